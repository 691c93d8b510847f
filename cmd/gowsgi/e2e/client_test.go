package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// client is a raw connection: what is sent and read is seen byte by byte.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (s *server) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.DialTimeout(s.network, s.addr, 10*time.Second)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.tail(20))
	}
	t.Cleanup(func() { c.Close() })
	made := &client{t, c, bufio.NewReaderSize(c, 65536)}
	made.limit()
	return made
}

// limit bounds what is sent and received from now on.
func (c *client) limit() { _ = c.SetDeadline(time.Now().Add(2 * time.Minute)) }

func (c *client) send(raw string) {
	c.t.Helper()
	c.limit()
	if _, err := io.WriteString(c.Conn, raw); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// request sends a whole HTTP/1.1 request; a body gets its Content-Length. headers are whole lines.
func (c *client) request(method, target, body string, headers ...string) {
	c.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: example.org\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	c.send(b.String() + "\r\n" + body)
}

// response is a reply whose head was read.
type response struct {
	c       *client
	proto   string
	status  int
	reason  string
	header  [][2]string // as sent, in order
	left    int64       // of a Content-Length
	framing string      // "none", "length", "chunked", "close"
	ended   bool
}

// head reads a status line and headers; the method decides whether a body follows.
func (c *client) head(method string) *response {
	c.t.Helper()
	r, err := c.tryHead(method)
	if err != nil {
		c.t.Fatalf("reading a response: %v", err)
	}
	return r
}

func (c *client) tryHead(method string) (*response, error) {
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	r := &response{c: c}
	var code string
	r.proto, code, _ = strings.Cut(line, " ")
	code, r.reason, _ = strings.Cut(code, " ")
	if r.status, err = strconv.Atoi(code); err != nil || len(code) != 3 || !strings.HasPrefix(r.proto, "HTTP/1.") {
		return nil, fmt.Errorf("status line %q", line)
	}
	for {
		if line, err = c.line(); err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("header line %q", line)
		}
		r.header = append(r.header, [2]string{name, strings.TrimPrefix(value, " ")})
	}
	length, encoding := r.values("Content-Length"), r.values("Transfer-Encoding")
	switch {
	case len(length)+len(encoding) > 1:
		return nil, fmt.Errorf("more than one framing: %q", r.header)
	case method == "HEAD" || r.status < 200 || r.status == 204 || r.status == 304:
		r.framing, r.ended = "none", true
	case len(encoding) == 1 && strings.EqualFold(encoding[0], "chunked"):
		r.framing = "chunked"
	case len(encoding) == 1:
		return nil, fmt.Errorf("transfer coding %q", encoding[0])
	case len(length) == 1:
		r.framing = "length"
		if r.left, err = strconv.ParseInt(length[0], 10, 64); err != nil || r.left < 0 {
			return nil, fmt.Errorf("Content-Length %q", length[0])
		}
		r.ended = r.left == 0
	default:
		r.framing = "close"
	}
	return r, nil
}

func (c *client) line() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		if err == io.EOF && line != "" {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	if !strings.HasSuffix(line, "\r\n") {
		return "", fmt.Errorf("line %q does not end with CR LF", line)
	}
	return line[:len(line)-2], nil
}

// do sends a request and reads the head of its response.
func (c *client) do(method, target, body string, headers ...string) *response {
	c.t.Helper()
	c.request(method, target, body, headers...)
	return c.head(method)
}

// get is GET on a connection of its own, with the body read.
func (s *server) get(t testing.TB, target string, headers ...string) (*response, string) {
	t.Helper()
	r := s.dial(t).do("GET", target, "", headers...)
	return r, r.body()
}

// getOK is get where the answer must be 200.
func (s *server) getOK(t testing.TB, target string, headers ...string) string {
	t.Helper()
	r, body := s.get(t, target, headers...)
	if r.status != 200 {
		t.Fatalf("GET %s: %d %s %q\n%s", target, r.status, r.reason, body, s.tail(30))
	}
	return body
}

// getJSON is getOK with the body decoded.
func getJSON[T any](t testing.TB, s *server, target string, headers ...string) (v T) {
	t.Helper()
	body := s.getOK(t, target, headers...)
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return v
}

func (r *response) values(name string) (out []string) {
	for _, h := range r.header {
		if strings.EqualFold(h[0], name) {
			out = append(out, h[1])
		}
	}
	return out
}

// value is the header's only value, "" where there is none.
func (r *response) value(name string) string {
	r.c.t.Helper()
	v := r.values(name)
	if len(v) > 1 {
		r.c.t.Fatalf("%s came %d times: %q", name, len(v), v)
	}
	return strings.Join(v, "")
}

// next reads the next piece of the body: one chunk where it is chunked, else what one read gives. io.EOF at the end; an end that is none is
// io.ErrUnexpectedEOF or a reset.
func (r *response) next() ([]byte, error) {
	if r.ended {
		return nil, io.EOF
	}
	switch r.framing {
	case "chunked":
		line, err := r.c.line()
		if err != nil {
			return nil, unexpected(err)
		}
		n, err := strconv.ParseInt(line, 16, 64)
		if err != nil {
			return nil, fmt.Errorf("chunk size %q", line)
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r.c.r, b); err != nil {
			return nil, unexpected(err)
		}
		if string(b[n:]) != "\r\n" {
			return nil, fmt.Errorf("chunk ends with %q", b[n:])
		}
		if n == 0 {
			r.ended = true
			return nil, io.EOF
		}
		return b[:n], nil
	case "length":
		b := make([]byte, min(r.left, 65536))
		n, err := r.c.r.Read(b)
		r.left -= int64(n)
		r.ended = r.left == 0
		if err != nil {
			return b[:n], unexpected(err)
		}
		return b[:n], nil
	default:
		b := make([]byte, 65536)
		n, err := r.c.r.Read(b)
		r.ended = err == io.EOF
		return b[:n], err
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pieces reads to the end and returns what next gave.
func (r *response) pieces() (out []string, err error) {
	for {
		b, err := r.next()
		if len(b) > 0 {
			out = append(out, string(b))
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

// body reads to the end, which must be a proper one.
func (r *response) body() string {
	r.c.t.Helper()
	p, err := r.pieces()
	if err != nil {
		r.c.t.Fatalf("response %d ends with %v after %d bytes", r.status, err, len(strings.Join(p, "")))
	}
	return strings.Join(p, "")
}

// atLeast reads n bytes of the body and returns them with their chunk boundaries lost.
func (r *response) atLeast(n int) string {
	r.c.t.Helper()
	var b bytes.Buffer
	for b.Len() < n {
		p, err := r.next()
		b.Write(p)
		if err != nil && b.Len() < n {
			r.c.t.Fatalf("%v after %q, expected %d bytes", err, b.String(), n)
		}
	}
	return b.String()
}

// closed waits until the server closes the connection, by an end of file or a reset, with nothing more sent.
func (c *client) closed() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("the connection stays open")
	}
	if len(rest) > 0 {
		c.t.Fatalf("more than one response: %q", rest)
	}
}

// usable checks that the connection still answers.
func (c *client) usable(target string, headers ...string) {
	c.t.Helper()
	if r := c.do("GET", target, "", headers...); r.status >= 500 {
		c.t.Fatalf("next request: %d", r.status)
	} else {
		r.body()
	}
}

// uploadReply is what the upload app answers to body.
func uploadReply(body string) string {
	return fmt.Sprintf("%d %x", len(body), sha256.Sum256([]byte(body)))
}
