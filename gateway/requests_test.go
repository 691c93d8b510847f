package gateway

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/requests/valid/*.want anew")

// perConnection are the variables that differ from run to run.
var perConnection = []string{"REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_SOFTWARE", "wsgi.url_scheme"}

// environText is the environ and the body, a line each, sorted. Long values are shortened.
func environText(env map[string]string, body string) string {
	var lines []string
	for k, v := range env {
		if !slices.Contains(perConnection, k) {
			if len(v) > 1000 {
				v = fmt.Sprintf("%s... (%d bytes)", v[:20], len(v))
			}
			lines = append(lines, fmt.Sprintf("%s=%q\n", k, v))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "") + fmt.Sprintf("body=%q\n", body)
}

func TestValidRequestsGiveTheirEnviron(t *testing.T) {
	var mu sync.Mutex
	var got string
	ts := serve(t, func(r *fakeRequest) {
		body, _ := io.ReadAll(r)
		mu.Lock()
		got = environText(r.Environ, string(body))
		mu.Unlock()
		hello(r)
	})
	for _, file := range requestFiles(t, "valid") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			wantFile := strings.TrimSuffix(file, ".http") + ".want"
			for _, slow := range []bool{false, true} {
				if slow && len(raw) > 4000 {
					continue
				}
				c := ts.dial()
				c.t = t
				if slow {
					for i := range raw {
						c.send(string(raw[i : i+1]))
					}
				} else {
					c.send(string(raw))
				}
				c.want(200, "*")
				_ = c.Close()
				mu.Lock()
				text := got
				mu.Unlock()
				if *update {
					if err := os.WriteFile(wantFile, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(wantFile)
				if err != nil {
					t.Fatal(err)
				}
				if text != string(want) {
					t.Errorf("slow %v: got\n%swant\n%s", slow, text, want)
				}
			}
		})
	}
}

func TestInvalidRequestsAreRefusedAndTheConnectionIsClosed(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		t.Errorf("the app was called for %.100q", r.Environ["PATH_INFO"])
		hello(r)
	})
	for _, file := range requestFiles(t, "invalid") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".http") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			c := ts.dial()
			c.t = t
			c.send(string(raw) + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, body := c.response("GET")
			if fmt.Sprintln(resp.StatusCode) != string(want) || !resp.Close {
				t.Errorf("got %d, close %v, want %s", resp.StatusCode, resp.Close, want)
			}
			if resp.Header.Get("Cache-Control") != "no-store" || body != fmt.Sprintf("%d %s\n", resp.StatusCode, http.StatusText(resp.StatusCode)) {
				t.Errorf("headers %v, body %q", resp.Header, body)
			}
			c.wantClosed()
			_ = c.Close()
		})
	}
}

// TestASplitRequestIsReadAsAWholeOne cuts every request at every byte: scanner, parser and body decoder must come to the same result.
func TestASplitRequestIsReadAsAWholeOne(t *testing.T) {
	for _, file := range append(requestFiles(t, "valid"), requestFiles(t, "invalid")...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checkSplits(t, raw)
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
