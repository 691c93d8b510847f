package gateway

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/testdata/requests"
)

var update = flag.Bool("update", false, "write what the app sees into testdata/requests anew")

// serveRequests starts a server for the table. canaries gives the names of the cases whose canary reached the app.
func serveRequests(t *testing.T) (ts *testServer, canaries func() map[string]bool) {
	var mu sync.Mutex
	reached := map[string]bool{}
	ts = serve(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/canary" {
			mu.Lock()
			reached[r.Environ["QUERY_STRING"]] = true
			mu.Unlock()
		}
		var body []byte
		if r.Environ["PATH_INFO"] != "/unread" {
			body, _ = io.ReadAll(r)
		}
		r.Reply("200 OK", []string{"Content-Length", "0", requests.SeenHeader, strconv.QuoteToASCII(requests.Seen(r.Environ, string(body)))})
	})
	return ts, func() map[string]bool {
		mu.Lock()
		defer mu.Unlock()
		return reached
	}
}

func unquoteSeen(header string) string {
	text, err := strconv.Unquote(header)
	if err != nil {
		return header
	}
	return text
}

func TestTheTableOfRequests(t *testing.T) {
	ts, canaries := serveRequests(t)
	cases := requests.All(t)
	if len(cases) < 300 {
		t.Errorf("the table has %d cases", len(cases))
	}
	t.Run("", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				if *update {
					for i := range c.Want {
						c.Want[i].Seen = ""
					}
				}
				drive := func(size int) []requests.Response {
					client := ts.dial()
					return c.Drive(t, client.Conn, size, unquoteSeen)
				}
				got := drive(1 << 20)
				if *update {
					c.Update(t, filepath.Join("..", "testdata", "requests"), got)
					return
				}
				if c.End == "closed" {
					c.DriveAlone(t, ts.dial().Conn, unquoteSeen)
				}
				if len(c.Raw) > 4000 {
					drive(1000)
					return
				}
				for _, size := range []int{1, 2, 7, max(1, len(c.Raw)-1)} {
					drive(size)
				}
			})
		}
	})
	reached := canaries()
	for _, c := range cases {
		if reached[c.Name] != (c.End == "open") {
			t.Errorf("%s: the connection is %s; the canary reached the app: %v", c.Name, c.End, reached[c.Name])
		}
	}
}

func TestAnHTTP10ClientThatExpectsContinueGetsNone(t *testing.T) {
	c := serve(t, echo).dial()
	c.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := c.r.Peek(1); err == nil {
		t.Fatalf("got %q", b)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	c.send("hello")
	c.want(200, "hello")
}

// TestASplitRequestIsReadAsAWholeOne cuts every request at every byte: scanner, parser and body decoder must come to the same result.
func TestASplitRequestIsReadAsAWholeOne(t *testing.T) {
	if testing.Short() {
		t.Skip("all of it is one goroutine, which the race detector sees nothing in")
	}
	for _, c := range requests.All(t) {
		checkSplits(t, c.Raw)
	}
}

// checkSplits compares what comes of raw in one piece with what comes of it in two, and byte by byte.
func checkSplits(t testing.TB, raw []byte) {
	t.Helper()
	whole := readPieces(raw)
	step := max(1, len(raw)/300)
	for i := 0; i < len(raw); i += step {
		if split := readPieces(raw[:i], raw[i:]); split != whole {
			t.Fatalf("%.200q split at %d:\n%s\nin one piece:\n%s", raw, i, split, whole)
		}
	}
	if len(raw) <= 4096 {
		pieces := make([][]byte, len(raw))
		for i := range raw {
			pieces[i] = raw[i : i+1]
		}
		if split := readPieces(pieces...); split != whole {
			t.Fatalf("%.200q byte by byte:\n%s\nin one piece:\n%s", raw, split, whole)
		}
	}
}

// readPieces reads one request that comes in pieces, as a connection does, and says what came of it.
func readPieces(pieces ...[]byte) string {
	var scan headScanner
	var buf []byte
	end, status := 0, 0
	for len(pieces) > 0 && end == 0 && status == 0 {
		buf = append(buf, pieces[0]...)
		pieces = pieces[1:]
		end, status = scan.scan(buf)
	}
	if status != 0 {
		return fmt.Sprintf("status %d", status)
	}
	if end == 0 {
		return "incomplete head"
	}
	var q request
	if status := q.parse(buf[:end]); status != 0 {
		return fmt.Sprintf("status %d", status)
	}
	text := fmt.Sprintf("%s %s %v %v %d %v %v %v", q.method, q.raw, q.http10, q.keepAlive, q.contentLength, q.chunked, q.expect, q.host)
	for _, f := range q.fields {
		text += fmt.Sprintf(" %q=%q", f.name, f.value)
	}
	d := newBodyDecoder(&q)
	in := buf[end:]
	var body bytes.Buffer
	for !d.done {
		for len(in) > 0 && !d.done {
			p, n, err := d.decode(in)
			if err != nil {
				return text + " bad body"
			}
			body.Write(p)
			in = in[n:]
		}
		if d.done || len(pieces) == 0 {
			break
		}
		in, pieces = pieces[0], pieces[1:]
	}
	return text + fmt.Sprintf(" body %q done %v", body.Bytes(), d.done)
}
