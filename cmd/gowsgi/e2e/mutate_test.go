package e2e

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/gowsgi/gowsgi/testdata/requests"
)

// mutator makes requests out of those of the table: whole lines and fragments that matter to framing are moved, doubled, cut and put in.
type mutator struct {
	*rand.Rand
	good, bad [][]byte // what the table takes, and refuses
}

func newMutator(t testing.TB, seed uint64) *mutator {
	m := &mutator{Rand: rand.New(rand.NewPCG(seed, 0))}
	for _, c := range requests.All(t) {
		switch n := len(c.Raw); {
		case n == 0 || n > 2000:
		case c.End == "open":
			m.good = append(m.good, c.Raw)
		default:
			m.bad = append(m.bad, c.Raw)
		}
	}
	return m
}

// fragments are put in at any place.
var fragments = []string{
	"\r\n", "\n", "\r", "\x00", " ", "\t", "\x0b", "\x0c", "\x7f", "\x85", "\xa0", "\xff", ",", ";", ":", "=", "\"", "\\", "_", "+", "-", "0x", "0", "1", "5", "a", "%",
	"\r\n\r\n", "\n\n", "\r\r\n", "\r\n ", "\r\n\t", "0\r\n\r\n", "5\r\nhello\r\n", "5;a=\"b\"\r\nhello\r\n", "00", "000005", "hello", "chunked", "identity", ", chunked", "chunked, ", "close", "keep-alive",
	"%2f", "%25", "%00", "%c3%a9", "%zz", "..", "//", "/.", ";b=c", "@", "[::1]", ":80", "HTTP/1.1", "HTTP/1.0", " HTTP/1.1\r\n", "GET ", "POST ", "http://a", "/", "?", "#", "*", "100-continue", "X: a",
}

// fieldLines are put in behind a line.
var fieldLines = []string{
	"Content-Length: 5", "Content-Length: 0", "Content-Length: 05", "Content-Length: 5, 5", "Content-Length:5 ", "content-length: 6", "Content-Length:", "Content_Length: 5",
	"Transfer-Encoding: chunked", "transfer-encoding: Chunked", "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding : chunked",
	"Transfer-Encoding: chunked, identity", "Transfer_Encoding: chunked", "Trailer: X", "TE: trailers",
	"Host: example.org", "Host: other.example:80", "Host:", "Connection: close", "Connection: keep-alive", "Connection: Content-Length", "Expect: 100-continue", "Expect: x",
	"X: a", "X:", "X: \xff\x85", "X_Y: a", "Cookie: a=b", "Content-Type: a/b", "X-Forwarded-Proto: https", "Upgrade: h2c", " folded", "\tfolded", "no colon", "GET / HTTP/1.1", "",
}

// next makes a request, or several.
func (m *mutator) next() []byte {
	raw := bytes.Clone(m.pick())
	for range 1 + m.IntN(3) {
		raw = m.mutate(raw)
	}
	return raw
}

func (m *mutator) pick() []byte {
	if m.IntN(4) > 0 { // one small change more often makes something new of a good one
		return m.good[m.IntN(len(m.good))]
	}
	return m.bad[m.IntN(len(m.bad))]
}

func (m *mutator) mutate(raw []byte) []byte {
	if len(raw) == 0 {
		return bytes.Clone(m.pick())
	}
	at := m.IntN(len(raw))
	switch m.IntN(10) {
	case 0, 1:
		return insert(raw, at, fragments[m.IntN(len(fragments))])
	case 2, 3: // a field line
		line := fieldLines[m.IntN(len(fieldLines))] + "\r\n"
		return insert(raw, lineEnd(raw, at), line)
	case 4: // without a few bytes
		return append(raw[:at:at], raw[min(len(raw), at+1+m.IntN(4)):]...)
	case 5:
		raw[at] = byte(m.IntN(256))
	case 6: // the other case
		for i := range raw {
			if c := raw[(at+i)%len(raw)] | 0x20; 'a' <= c && c <= 'z' {
				raw[(at+i)%len(raw)] ^= 0x20
				break
			}
		}
	case 7: // a line again, somewhere
		from := lineEnd(raw, at)
		line := string(raw[from:lineEnd(raw, from)])
		return insert(raw, lineEnd(raw, m.IntN(len(raw))), line)
	case 8: // without a line
		from := lineEnd(raw, at)
		return append(raw[:from:from], raw[lineEnd(raw, from):]...)
	case 9: // the beginning of this, the end of another
		other := m.pick()
		return append(raw[:lineEnd(raw, at):lineEnd(raw, at)], other[lineEnd(other, m.IntN(len(other))):]...)
	}
	return raw
}

func insert(raw []byte, at int, text string) []byte {
	return append(append(raw[:at:at], text...), raw[at:]...)
}

// lineEnd is where the line that at is in has ended.
func lineEnd(raw []byte, at int) int {
	if i := bytes.IndexByte(raw[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(raw)
}
