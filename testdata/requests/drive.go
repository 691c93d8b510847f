package requests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// SeenHeader is the field by which the app says what it saw. It answers with an empty body and a Content-Length of 0, so that a response to
// HEAD is framed as any other, and does not read the body where the path is /unread.
const SeenHeader = "X-Seen"

// Canary is the request that follows each case on its connection. It reaches the app where the connection stays open, and nowhere else.
func (c *Case) Canary() string {
	return "GET /canary?" + c.Name + " HTTP/1.1\r\nHost: canary.example\r\n\r\n"
}

// Drive sends the case in pieces of at most size bytes and checks all that comes. seen turns the value of SeenHeader into the form of [Seen].
// It returns the responses as they were.
func (c *Case) Drive(t testing.TB, nc net.Conn, size int, seen func(header string) string) (got []Response) {
	t.Helper()
	if c.End == "unanswered" {
		return c.drive(t, nc, c.Raw, size, seen)
	}
	return c.drive(t, nc, append(bytes.Clone(c.Raw), c.Canary()...), size, seen)
}

// DriveAlone is Drive without the canary, for a case that ends closed: the server does not wait for more before it refuses.
func (c *Case) DriveAlone(t testing.TB, nc net.Conn, seen func(header string) string) {
	t.Helper()
	c.drive(t, nc, c.Raw, len(c.Raw), seen)
}

func (c *Case) drive(t testing.TB, nc net.Conn, raw []byte, size int, seen func(header string) string) (got []Response) {
	t.Helper()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for len(raw) > 0 {
			n := min(size, len(raw))
			if _, err := nc.Write(raw[:n]); err != nil {
				return // the server may end the connection before it has all
			}
			raw = raw[n:]
		}
		if half, ok := nc.(interface{ CloseWrite() error }); ok && c.End == "unanswered" {
			_ = half.CloseWrite()
		}
	}()
	defer func() {
		_ = nc.Close()
		<-sent
	}()
	r := bufio.NewReader(nc)
	for i, want := range c.Want {
		resp, err := c.read(r)
		if err != nil {
			t.Fatalf("response %d: %v, want %d", i+1, err, want.Status)
		}
		res := Response{Status: resp.StatusCode}
		if resp.StatusCode == 200 {
			res.Seen = seen(resp.Header.Get(SeenHeader))
		}
		got = append(got, res)
		if res.Status != want.Status || res.Seen != want.Seen {
			t.Errorf("response %d is %d\n%swant %d\n%s", i+1, res.Status, res.Seen, want.Status, want.Seen)
			if res.Status != want.Status {
				return got
			}
		}
		if res.Status != 200 {
			checkRefusal(t, resp)
		}
		if last := i == len(c.Want)-1; resp.Close != (last && c.End == "closed") {
			t.Errorf("response %d says Connection: close: %v; want the connection %s", i+1, resp.Close, c.End)
		}
	}
	if c.End == "open" {
		resp, err := c.read(r)
		if err != nil || resp.StatusCode != 200 || !strings.Contains(seen(resp.Header.Get(SeenHeader)), `PATH_INFO="/canary"`) {
			t.Errorf("the next request on the connection: %v, %v", resp, err)
		}
		return got
	}
	rest, err := io.ReadAll(r)
	var timeout net.Error
	if len(rest) > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("then %.200q, %v; want the end of the connection", rest, err)
	}
	return got
}

// read reads the next response that is not a 100, which only HTTP/1.1 knows, with its body in Body's place.
func (c *Case) read(r *bufio.Reader) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == 100 && bytes.Contains(c.Raw, []byte("HTTP/1.1\r\n")) {
			continue
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(b))
		return resp, err
	}
}

// checkRefusal: a response of the server's own is plain, small, and kept by no cache.
func checkRefusal(t testing.TB, resp *http.Response) {
	t.Helper()
	body, _ := io.ReadAll(resp.Body)
	if resp.Header.Get("Cache-Control") != "no-store" || string(body) != fmt.Sprintf("%d %s\n", resp.StatusCode, http.StatusText(resp.StatusCode)) ||
		resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("a refusal with %v and %q", resp.Header, body)
	}
}

// Update writes the file anew with what the app saw, in the folder of this package, where the responses are the wanted ones.
func (c *Case) Update(t testing.TB, folder string, got []Response) {
	t.Helper()
	if !slices.EqualFunc(got, c.Want, func(a, b Response) bool { return a.Status == b.Status }) {
		return
	}
	file := filepath.Join(folder, c.Name+".txtar")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const marker = "-- want --\n"
	text := string(b[:bytes.LastIndex(b, []byte(marker))]) + marker
	for _, r := range got {
		text += fmt.Sprintf("%d\n%s", r.Status, r.Seen)
	}
	if err := os.WriteFile(file, []byte(text+c.End+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
