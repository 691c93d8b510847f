package gateway

import "bytes"

// coding is a content coding, RFC 9110 section 8.4.1, in the order in which the server prefers them where a client likes several as much:
// zstd costs the least for what it saves, gzip saves the least.
type coding uint8

const (
	identity coding = iota
	zstdCoding
	brotliCoding
	gzipCoding
	codings
)

var codingNames = [codings]string{"identity", "zstd", "br", "gzip"}

// notNamed is the weight of a coding that a client says nothing of.
const notNamed = -1

// acceptedCoding is the coding that a client wants by its Accept-Encoding fields, RFC 9110 section 12.5.3. It is identity also where the
// client takes nothing that the server has: a response without a coding is better than none.
func acceptedCoding(fields []field) coding {
	weights := [codings]int{notNamed, notNamed, notNamed, notNamed}
	others := notNamed // "*"
	for i := range fields {
		if f := &fields[i]; len(f.name) == len("Accept-Encoding") && equalFold(f.name, "accept-encoding") {
			acceptWeights(f.value, &weights, &others)
		}
	}
	best, most := identity, max(weights[identity], 0)
	for c := zstdCoding; c < codings; c++ {
		w := weights[c]
		if w == notNamed {
			w = others
		}
		// A coding is as good as none at the same weight; among codings the first is the best.
		if w > most || w > 0 && w == most && best == identity {
			best, most = c, w
		}
	}
	return best
}

// acceptWeights notes the weights of one field.
func acceptWeights(v []byte, weights *[codings]int, others *int) {
	for len(v) > 0 {
		var element []byte
		element, v, _ = bytes.Cut(v, []byte(","))
		name, weight, weighted := bytes.Cut(element, []byte(";"))
		q := 1000
		if weighted {
			q = parseWeight(trimOWS(weight))
		}
		switch name = trimOWS(name); {
		case string(name) == "*":
			*others = q
		case equalFold(name, "x-gzip"): // RFC 9110 section 8.4.1.3
			weights[gzipCoding] = q
		default:
			for c := range weights {
				if equalFold(name, codingNames[c]) {
					weights[c] = q
				}
			}
		}
	}
}

// parseWeight reads q=qvalue, RFC 9110 section 12.4.2, in thousandths. What is none counts as 0: the client may not want it.
func parseWeight(v []byte) int {
	if len(v) < 3 || len(v) > len("q=0.000") || v[0]|0x20 != 'q' || v[1] != '=' || v[2] != '0' && v[2] != '1' {
		return 0
	}
	q := int(v[2]-'0') * 1000
	if len(v) == 3 {
		return q
	}
	if v[3] != '.' {
		return 0
	}
	for i, unit := 4, 100; i < len(v); i, unit = i+1, unit/10 {
		if !isDigit(v[i]) {
			return 0
		}
		q += int(v[i]-'0') * unit
	}
	if q > 1000 {
		return 0
	}
	return q
}
