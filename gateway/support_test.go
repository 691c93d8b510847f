package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func dup(fd int) int {
	n, err := syscall.Dup(fd)
	if err != nil {
		panic(err)
	}
	return n
}

// waitFor polls until ok, for at most 10 s.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// testServer is a Server on a socket of its own, with a fake app.
type testServer struct {
	*Server
	t    testing.TB
	app  *fakeApp
	addr net.Addr
	logs *logBuffer
	// panics are expected.
	panics bool
}

// Go's poller takes its descriptors when it is first used: they are not to count as left over.
func init() {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = ln.Close()
	}
}

// resources counts what a test must leave as it was.
func resources() (goroutines, descriptors int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return runtime.NumGoroutine(), len(entries)
}

// shortTimeout is one that ends in a test, but not while a busy machine takes its time for a handshake or a request.
const shortTimeout = time.Second

// serve starts a server that run answers for; set changes it before. At the end of the test it is shut down, and goroutines, descriptors
// and exchanges must be as many as before.
func serve(t testing.TB, run func(r *fakeRequest), set ...func(s *Server)) *testServer {
	t.Helper()
	return serveListener(t, run, testListener, set...)
}

// serveListener is serve with what wrap makes of its listener.
func serveListener(t testing.TB, run func(r *fakeRequest), wrap func(net.Listener) net.Listener, set ...func(s *Server)) *testServer {
	t.Helper()
	goroutines, descriptors := resources()
	t.Cleanup(func() {
		var g, d int
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
			if g, d = resources(); g <= goroutines && d <= descriptors {
				return
			}
		}
		stacks := make([]byte, 1<<16)
		t.Errorf("left over: goroutines %d -> %d, descriptors %d -> %d\n%s", goroutines, g, descriptors, d, stacks[:runtime.Stack(stacks, true)])
	})
	ts := &testServer{t: t, app: newFakeApp(t, run), logs: &logBuffer{}}
	ts.Server = &Server{
		App: ts.app, Mounts: []Mount{{}}, Logger: slog.New(slog.NewTextHandler(ts.logs, nil)),
		SpoolDir: t.TempDir(),
	}
	for _, f := range set {
		f(ts.Server)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ts.serveOn(wrap(ln))
	return ts
}

func (ts *testServer) serveOn(ln net.Listener) {
	ts.addr = ln.Addr()
	ts.init()
	ended := make(chan error, 1)
	go func() { ended <- ts.Serve(ln) }()
	ts.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := ts.Shutdown(ctx); err != nil {
			ts.t.Error(err)
		}
		if err := <-ended; err != nil {
			ts.t.Error(err)
		}
		if !ts.panics && strings.Contains(ts.logs.String(), "panic") {
			ts.t.Error(ts.logs.String())
		}
	})
	waitFor(ts.t, "the listener is served", func() bool {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		return len(ts.listeners) > 0
	})
}

// client is one raw connection to the server.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (ts *testServer) dial() *client {
	ts.t.Helper()
	nc, err := net.Dial(ts.addr.Network(), ts.addr.String())
	if err != nil {
		ts.t.Fatal(err)
	}
	if overTLS && ts.addr.Network() == "tcp" {
		return ts.client(tls.Client(nc, clientTLS("http/1.1")))
	}
	return ts.client(nc)
}

func (ts *testServer) client(nc net.Conn) *client {
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	c := &client{Conn: nc, t: ts.t, r: bufio.NewReader(nc)}
	ts.t.Cleanup(func() { _ = nc.Close() })
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// response reads one response whole.
func (c *client) response(method string) (*http.Response, string) {
	c.t.Helper()
	resp, body, err := c.tryResponse(method)
	if err != nil {
		c.t.Fatalf("reading the response: %v (body so far %.200q)", err, body)
	}
	return resp, body
}

func (c *client) tryResponse(method string) (*http.Response, string, error) {
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// want reads one response and compares status and body.
func (c *client) want(status int, body string) *http.Response {
	c.t.Helper()
	resp, got := c.response("GET")
	if resp.StatusCode != status || body != "*" && got != body {
		c.t.Fatalf("got %d %.200q, want %d %.200q", resp.StatusCode, got, status, body)
	}
	return resp
}

// wantClosed expects the server to end the connection without a further byte.
func (c *client) wantClosed() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		rest := make([]byte, c.r.Buffered())
		_, _ = io.ReadFull(c.r, rest)
		c.t.Fatalf("got %q, want the end of the connection", string(b)+string(rest))
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the connection is still open")
	}
}

// exchange sends a request and reads the response.
func (c *client) get(path string) (*http.Response, string) {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
	return c.response("GET")
}

var plainText = []string{"Content-Type", "text/plain"}

// hello answers with the path.
func hello(r *fakeRequest) {
	r.Reply("200 OK", plainText, "hello "+r.Environ["PATH_INFO"])
}

// echo answers with the body.
func echo(r *fakeRequest) {
	b, err := io.ReadAll(r)
	if err != nil {
		r.Fail()
		return
	}
	r.Reply("200 OK", plainText, string(b))
}
