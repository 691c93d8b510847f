// Package contentcoding reads which content codings a client takes: RFC 9110 sections 8.4.1 and 12.5.3.
package contentcoding

import "strings"

// Coding is a content coding.
type Coding uint8

// The codings, Identity being none.
const (
	Identity Coding = iota
	Zstd
	Brotli
	Gzip
	Count = iota // how many there are
)

var names = [Count]string{"identity", "zstd", "br", "gzip"}

// String is the name in Accept-Encoding and Content-Encoding.
func (c Coding) String() string { return names[c] }

// Weights are what a client's Accept-Encoding fields say. The zero value is of no field.
type Weights struct {
	named  [Count]int // one more than the weight in thousandths; 0: not named
	others int        // "*", likewise
}

// Add reads a field. A weight that is malformed counts as 0: the client may not want that coding.
func (w *Weights) Add(field string) {
	for item := range strings.SplitSeq(field, ",") {
		name, parameter, weighted := strings.Cut(item, ";")
		q := 1000
		if weighted {
			q = weight(strings.Trim(parameter, " \t"))
		}
		switch name = strings.Trim(name, " \t"); {
		case name == "*":
			w.others = q + 1
		case strings.EqualFold(name, "x-gzip"): // RFC 9110 section 8.4.1.3
			w.named[Gzip] = q + 1
		default:
			for c := range names {
				if strings.EqualFold(name, names[c]) {
					w.named[c] = q + 1
				}
			}
		}
	}
}

// Of is the weight of a coding in thousandths; 0: the client does not want it, or did not say so. Identity is acceptable all the same unless
// it is excluded, but comes last where it is not named.
func (w *Weights) Of(c Coding) int {
	q := w.named[c]
	if q == 0 && c != Identity {
		q = w.others
	}
	return max(q-1, 0)
}

// weight reads q=qvalue, RFC 9110 section 12.4.2, in thousandths.
func weight(v string) int {
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
		if v[i] < '0' || '9' < v[i] {
			return 0
		}
		q += int(v[i]-'0') * unit
	}
	if q > 1000 {
		return 0
	}
	return q
}
