package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// stream is a Go handler whose response has no end of its own. It tells why it ended.
type stream struct {
	s     *Server
	ended chan string
}

func (h *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/body" {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	_, _ = io.WriteString(w, "hello\n")
	w.(http.Flusher).Flush()
	select {
	case <-r.Context().Done():
		h.ended <- "left"
	case <-h.s.Draining():
		_, _ = io.WriteString(w, "bye\n")
		h.ended <- "drained"
	}
}

func (h *stream) want(t *testing.T, why string) {
	t.Helper()
	select {
	case got := <-h.ended:
		if got != why {
			t.Errorf("the stream ended for %q, want %q", got, why)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on")
	}
}

// opener begins a stream and reads its first line.
type opener func(ctx context.Context, method, path, body string) *http.Response

// streams calls f for each way by which a client may get a stream.
func streams(t *testing.T, f func(t *testing.T, ts *testServer, h *stream, open opener)) {
	t.Helper()
	for _, way := range []string{"HTTP/1.1", "TLS", "HTTP/2"} {
		t.Run(way, func(t *testing.T) {
			h := &stream{ended: make(chan string, 1)}
			set := func(s *Server) { h.s, s.Mounts = s, []Mount{{Handler: h}} }
			var ts *testServer
			scheme := "https"
			if way == "HTTP/1.1" {
				ts = serve(t, hello, set)
			} else {
				ts = serveTLS(t, hello, set)
			}
			if way == "HTTP/1.1" && !overTLS {
				scheme = "http"
			}
			c := ts.client2()
			if way != "HTTP/2" {
				c.Transport.(*http.Transport).Protocols.SetHTTP1(true)
				c.Transport.(*http.Transport).Protocols.SetHTTP2(false)
			}
			f(t, ts, h, func(ctx context.Context, method, path, body string) *http.Response {
				response, err := c.Do(asking(method, scheme+"://localhost"+path, body).WithContext(ctx))
				if err != nil {
					t.Fatal(err)
				}
				line := make([]byte, len("hello\n"))
				if _, err := io.ReadFull(response.Body, line); err != nil || string(line) != "hello\n" {
					t.Fatalf("%q %v", line, err)
				}
				return response
			})
		})
	}
}

func TestAGoHandlersContextEndsWhenTheClientLeaves(t *testing.T) {
	streams(t, func(t *testing.T, ts *testServer, h *stream, open opener) {
		for _, request := range []struct{ method, path, body string }{{"GET", "/", ""}, {"POST", "/body", strings.Repeat("b", 100_000)}, {"POST", "/", "unread"}} {
			ctx, leave := context.WithCancel(context.Background())
			response := open(ctx, request.method, request.path, request.body)
			leave()
			h.want(t, "left")
			_ = response.Body.Close()
		}
	})
}

func TestAGoHandlersStreamEndsWholeWhenTheServerDrains(t *testing.T) {
	streams(t, func(t *testing.T, ts *testServer, h *stream, open opener) {
		response := open(context.Background(), "GET", "/", "")
		defer response.Body.Close()
		ended := make(chan error, 1)
		go func() { ended <- ts.Shutdown(context.Background()) }()
		h.want(t, "drained")
		if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "bye\n" {
			t.Errorf("%q %v", rest, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAGoHandlersContextEndsWhenItsConnectionIsCut(t *testing.T) {
	streams(t, func(t *testing.T, ts *testServer, h *stream, open opener) {
		response := open(context.Background(), "POST", "/", "unread")
		defer response.Body.Close()
		ts.cutAll()
		h.want(t, "left")
	})
}

func TestAConnectionIsHandedOnBehindAGoHandlersStream(t *testing.T) {
	h := &stream{ended: make(chan string, 1)}
	other := serve(t, hello)
	ts := serve(t, hello, func(s *Server) {
		h.s, s.Mounts = s, []Mount{{Handler: h}}
		s.HandOver = func(fd int) bool { return other.Adopt(dup(fd)) == nil }
	})
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- ts.Shutdown(context.Background()) }()
	h.want(t, "drained")
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hello\nbye\n" {
		t.Errorf("%q %v", body, err)
	}
	waitFor(t, "the other server has the connection", func() bool { return other.Connections() == 1 })
	if _, body := c.get("/next"); body != "hello /next" {
		t.Error(body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAGoHandlerCanFlushInAnotherServerThatLogs(t *testing.T) {
	l := newLogged(t)
	more := make(chan bool)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		<-more
	})
	server := httptest.NewServer(HTTPHandler(nil, []Mount{{Handler: h}}, HandlerOptions{AccessLog: l.log}))
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, len("hello"))); err != nil {
		t.Error(err)
	}
	close(more)
}
