package accesslog

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

const hexDigits = "0123456789ABCDEF"

// plain says of each byte whether it stands for itself.
var plain = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

const ones = 0x0101010101010101 // times a byte: a word of it

// plainWord says whether eight bytes stand for themselves and none is the one that stops is made of.
func plainWord(x, stops uint64) bool {
	const tops = 0x80 * ones
	quote, backslash, stop := x^'"'*ones, x^'\\'*ones, x^stops
	return (x|(x-' '*ones)|(x+ones)|(quote-ones)|(backslash-ones)|(stop-ones))&tops == 0 // x+ones: of DEL
}

// appendPlain appends p if every byte stands for itself and none is stop; 0: any may be there. It looks at eight bytes at a time.
func appendPlain(dst, p []byte, stop byte) (_ []byte, ok bool) {
	start, stops := len(dst), uint64(stop)*ones
	dst = slices.Grow(dst, len(p))[:start+len(p)]
	to := dst[start:]
	if len(p) < 8 {
		for i, c := range p {
			if !plain[c] || c == stop {
				return dst[:start], false
			}
			to[i] = c
		}
		return dst, true
	}
	for i := 0; i < len(p); i += 8 {
		i = min(i, len(p)-8) // the last eight
		x := binary.LittleEndian.Uint64(p[i:])
		if !plainWord(x, stops) {
			return dst[:start], false
		}
		binary.LittleEndian.PutUint64(to[i:], x)
	}
	return dst, true
}

// plainLen is the length of the longest beginning of p in which every byte stands for itself.
func plainLen(p []byte) int {
	n := 0
	for n < len(p) && plain[p[n]] {
		n++
	}
	return n
}

// appendText appends a field of a text format, at most max bytes long.
func appendText(dst, p []byte, max int) []byte {
	if len(p) == 0 {
		return append(dst, '-')
	}
	end := len(dst) + max
	for {
		n := plainLen(p)
		dst = append(dst, p[:min(n, end-len(dst))]...)
		if p = p[n:]; len(p) == 0 || len(dst)+4 > end {
			return dst
		}
		dst = append(dst, '\\', 'x', hexDigits[p[0]>>4], hexDigits[p[0]&15])
		p = p[1:]
	}
}

// appendJSON appends the inside of a JSON string, at most max bytes long, in ASCII alone: bytes that are no UTF-8 become U+FFFD.
func appendJSON(dst, p []byte, max int) []byte {
	end := len(dst) + max
	for {
		n := plainLen(p)
		dst = append(dst, p[:min(n, end-len(dst))]...)
		if p = p[n:]; len(p) == 0 || len(dst)+12 > end {
			return dst
		}
		r, size := utf8.DecodeRune(p)
		p = p[size:]
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x10000:
			dst = appendUnit(dst, r)
		default:
			r -= 0x10000
			dst = appendUnit(appendUnit(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
		}
	}
}

// appendUnit appends one unit of UTF-16.
func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// escapeAll escapes a further byte in dst[start:], which is then at most max bytes long.
func escapeAll(dst []byte, start int, c byte, max int) []byte {
	if bytes.IndexByte(dst[start:], c) < 0 {
		return dst
	}
	p := append([]byte(nil), dst[start:]...)
	dst, end := dst[:start], start+max
	for _, b := range p {
		switch {
		case b != c && len(dst) < end:
			dst = append(dst, b)
		case b == c && len(dst)+4 <= end:
			dst = append(dst, '\\', 'x', hexDigits[b>>4], hexDigits[b&15])
		default:
			return dst
		}
	}
	return dst
}
