package accesslog

import (
	"bytes"
	"encoding/binary"
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

// plainLen is the length of the longest beginning of p in which every byte stands for itself. It looks at eight bytes at a time.
func plainLen(p []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for len(p)-n >= 8 {
		x := binary.LittleEndian.Uint64(p[n:])
		quote, backslash, del := x^'"'*ones, x^'\\'*ones, x^0x7f*ones
		if (x|(x-' '*ones)|(quote-ones)|(backslash-ones)|(del-ones))&tops != 0 {
			break
		}
		n += 8
	}
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
