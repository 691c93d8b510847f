//go:build cgo

package pyhost

import (
	"bytes"
	"fmt"
	"testing"
)

func init() {
	childActions["rooms"] = func(h *Host) error {
		for round := range 40 { // more than are kept, and used again
			for _, size := range []int{1, 64 << 10, 128 << 10, 128<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
				body := make([]byte, size)
				for i := range body {
					body[i] = byte(i + i>>8 + round)
				}
				if err := echoThroughRoom(h, body); err != nil {
					return fmt.Errorf("a body of %d bytes, round %d: %w", size, round, err)
				}
			}
		}
		return nil
	}
}

// echoThroughRoom sends a body that comes in two parts, and compares what the app read.
func echoThroughRoom(h *Host, body []byte) error {
	unused := h.NewExchange()
	if _, err := unused.BodyRoom(len(body)); err != nil {
		return err
	}
	defer unused.Release() // never submitted
	x := h.NewExchange()
	first := min(len(body), 64<<10)
	room, err := x.BodyRoom(first)
	if err != nil {
		return err
	}
	copy(room, body)
	if room, err = x.BodyRoom(len(body)); err != nil {
		return err
	}
	copy(room[first:], body[first:])
	var got bytes.Buffer
	r := newLentRequest()
	r.chunk = func(c Chunk) { got.Write(c.Data) }
	rec := AppendPair(AppendPair(nil, "REQUEST_METHOD", "POST"), "PATH_INFO", "/")
	if err := x.Submit(&Request{Environ: rec, Body: room, ContentLength: int64(len(body))}, r); err != nil {
		return err
	}
	if err := r.wait(); err != nil {
		return err
	}
	if !bytes.Equal(got.Bytes(), body) {
		return fmt.Errorf("the app read %d other bytes", got.Len())
	}
	return nil
}

func TestABodyInTheExchangesOwnMemoryReachesTheApp(t *testing.T) {
	dir := write(t, "echo.py", "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [environ['wsgi.input'].read()]\n")
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"echo"}, Action: "rooms"}.start(t)
	if r.code != 0 {
		t.Errorf("%+v", r)
	}
}
