package accesslog

import (
	"bytes"
	"testing"
)

func TestPlainTextIsToldByEachOfItsBytes(t *testing.T) {
	for _, stop := range []byte{0, ' ', '|'} {
		for size := range 20 {
			for at := range size {
				for c := range 256 {
					p := bytes.Repeat([]byte{'x'}, size)
					p[at] = byte(c)
					got, ok := appendPlain([]byte("before"), p, stop)
					if want := plain[c] && (stop == 0 || byte(c) != stop); ok != want {
						t.Fatalf("%#x at %d of %d, stop %q: %v", c, at, size, stop, ok)
					}
					if ok && string(got) != "before"+string(p) || !ok && string(got) != "before" {
						t.Fatalf("%q", got)
					}
				}
			}
		}
	}
}
