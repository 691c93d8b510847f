package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gowsgi/gowsgi/testdata/requests"
)

// foreignServer is somebody else's server with a handler of ours.
func foreignServer(t *testing.T, kind string, run func(r *fakeRequest), o HandlerOptions) *testServer {
	t.Helper()
	ts := &testServer{t: t, app: newFakeApp(t, run), logs: &logBuffer{}}
	o.Logger = slog.New(slog.NewTextHandler(ts.logs, nil))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ts.addr = ln.Addr()
	mounts := []Mount{{Prefix: "/api", App: 1}, {App: 0}}
	if kind == "fasthttp" {
		s := &fasthttp.Server{Handler: Handler(ts.app, mounts, o), Logger: slog.NewLogLogger(slog.NewTextHandler(ts.logs, nil), slog.LevelInfo)}
		go func() { _ = s.Serve(ln) }()
		t.Cleanup(func() { _ = s.Shutdown() })
		return ts
	}
	mux := http.NewServeMux()
	mux.Handle("/", HTTPHandler(ts.app, mounts, o))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.NewTextHandler(ts.logs, nil), slog.LevelInfo)}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return ts
}

func TestTheHandlersServeInSomebodyElsesServer(t *testing.T) {
	big := strings.Repeat("0123456789", 200_000)
	for _, kind := range []string{"fasthttp", "net/http"} {
		t.Run(kind, func(t *testing.T) {
			closing := make(chan struct{})
			ts := foreignServer(t, kind, paths(map[string]func(*fakeRequest){
				"/environ": func(r *fakeRequest) {
					r.Reply("200 OK", []string{"x-Case", "1"}, fmt.Sprint(r.App, requests.Seen(r.Environ, "")))
				},
				"/a/b/../x//y": hello,
				"/echo":        echo,
				"/digest":      digest,
				"/big":         func(r *fakeRequest) { r.Reply("200 OK", nil, big, "x") },
				"/length":      func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Length", "3"}, "abcdef") },
				"/short":       func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Length", "9"}, "abcdef") },
				"/204":         func(r *fakeRequest) { r.Reply("204 No Content", []string{"Content-Length", "0"}) },
				"/fail":        func(r *fakeRequest) { r.Fail() },
				"/bad":         func(r *fakeRequest) { r.Reply("200 OK", []string{"X-A", "b\nc"}, "x") },
				"/late": func(r *fakeRequest) {
					r.Start("200 OK")
					_ = r.Yield("x")
					r.Fail()
				},
				"/close": func(r *fakeRequest) {
					hello(r)
					<-closing
				},
			}), HandlerOptions{SpoolDir: t.TempDir()})
			c := ts.dial()
			c.send("GET /api/environ?q=%20 HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nx-a: 2\r\nX_A: 3\r\nProxy: evil\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n")
			want := `1HTTP_COOKIE="a=1; b=2"` + "\n" + `HTTP_HOST="h:1"` + "\n" + `HTTP_X_A="1,2"` + "\n" + `PATH_INFO="/environ"` + "\n" +
				`QUERY_STRING="q=%20"` + "\n" + `REQUEST_METHOD="GET"` + "\n" + `SCRIPT_NAME="/api"` + "\n"
			if resp := c.want(200, want); resp.Header.Get("x-case") != "1" {
				t.Error(resp.Header)
			}
			if kind == "fasthttp" { // net/http's ServeMux cleans paths by itself
				c.send("GET /a%2Fb/../x//y HTTP/1.1\r\nHost: h\r\n\r\n")
				c.want(200, "hello /a/b/../x//y")
			}
			c.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
			c.want(200, "hello")
			c.send("POST /digest HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunkedText("hello", 2))
			if _, body := c.response("GET"); !strings.HasSuffix(body, " memory 5") {
				t.Error(body)
			}
			c.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
			resp, body := c.response("GET")
			if resp.StatusCode == 100 {
				resp, body = c.response("GET")
			}
			if resp.StatusCode != 200 || body != "hello" {
				t.Errorf("%v %q", resp, body)
			}
			for path, want := range map[string]string{"/big": big + "x", "/length": "abc", "/204": ""} {
				if resp, body := c.get(path); resp.StatusCode >= 300 || body != want {
					t.Errorf("%s: %v %d bytes", path, resp, len(body))
				}
			}
			for _, path := range []string{"/fail", "/bad"} {
				if resp, body := c.get(path); resp.StatusCode != 500 || !strings.Contains(body, "Internal Server Error") || resp.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %v %q", path, resp, body)
				}
			}
			c.send("HEAD /big HTTP/1.1\r\nHost: h\r\n\r\n")
			c.response("HEAD")
			c.get("/close")
			close(closing)
			if resp, _ := c.get("/%zz"); resp.StatusCode != 400 {
				t.Error(resp.Status)
			}
			for _, path := range []string{"/late", "/short"} {
				c := ts.dial()
				c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
				_ = wantCut(t, c)
			}
			if !strings.Contains(ts.logs.String(), "shorter than its Content-Length") || !strings.Contains(ts.logs.String(), "X-A") {
				t.Error(ts.logs)
			}
		})
	}
}

func TestTheHandlersStreamChunksAsTheyComeAndNoticeAClientThatLeft(t *testing.T) {
	for _, kind := range []string{"fasthttp", "net/http"} {
		t.Run(kind, func(t *testing.T) {
			next, gone := make(chan struct{}), make(chan bool, 1)
			ts := foreignServer(t, kind, func(r *fakeRequest) {
				r.Start("200 OK")
				for _, s := range []string{"one", "two"} {
					_ = r.Yield(s)
					<-next
				}
				for r.Yield(strings.Repeat("x", 10_000)) == nil {
				}
				gone <- true
			}, HandlerOptions{})
			c := ts.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"one", "two"} {
				got := make([]byte, 3)
				if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
					t.Fatalf("%q %v", got, err)
				}
				next <- struct{}{}
			}
			_ = c.Close()
			<-gone
		})
	}
}

func TestHTTPHandlerStreamsTheBodyToTheApp(t *testing.T) {
	read := make(chan string)
	ts := foreignServer(t, "net/http", func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/ignore" {
			hello(r)
			return
		}
		p := make([]byte, 100)
		for {
			n, err := r.Read(p)
			if err != nil {
				break
			}
			read <- string(p[:n])
		}
		hello(r)
	}, HandlerOptions{StreamInput: true})
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n")
	for _, s := range []string{"one", "two"} {
		c.send(s)
		if got := <-read; got != s {
			t.Error(got)
		}
	}
	c.want(200, "hello /")
	c.send("POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n")
	c.want(200, "hello /ignore")
}

func TestHandlerRefusesAServerWithStreamRequestBody(t *testing.T) {
	logs := &logBuffer{}
	app := newFakeApp(t, hello)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{StreamRequestBody: true, Handler: Handler(app, []Mount{{}}, HandlerOptions{Logger: slog.New(slog.NewTextHandler(logs, nil))})}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Shutdown() })
	ts := &testServer{t: t, addr: ln.Addr()}
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
	c.want(500, "500 Internal Server Error\n")
	if !strings.Contains(logs.String(), "StreamRequestBody") {
		t.Error(logs)
	}
}
