package gateway

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// handle serves h for every path but /app, which is hello's.
func handle(t testing.TB, h http.HandlerFunc, set ...func(s *Server)) *testServer {
	return serve(t, hello, append(set, func(s *Server) { s.Mounts = []Mount{{Prefix: "/app"}, {Handler: h}} })...)
}

func TestAMountMayBeAGoHandler(t *testing.T) {
	ts := handle(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		w.Header().Add("X-Two", "a")
		w.Header().Add("X-Two", "b")
		io.WriteString(w, r.URL.Path+" "+r.URL.RawQuery+" "+r.Host+" "+r.Header.Get("X-Sent")+" "+r.Proto)
	})
	c := ts.dial()
	c.send("GET /a%20b?q=1 HTTP/1.1\r\nHost: h.example\r\nx-sent: yes\r\n\r\nGET /app HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, body := c.response("GET")
	if body != "/a b q=1 h.example yes HTTP/1.1" || resp.ContentLength != int64(len(body)) || resp.Header.Get("Date") == "" ||
		resp.Header.Get("X-Method") != "GET" || len(resp.Header["X-Two"]) != 2 {
		t.Errorf("%+v %q", resp, body)
	}
	c.want(200, "hello ")
	c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, body := c.response("HEAD"); body != "" {
		t.Errorf("HEAD has a body: %q", body)
	}
	c.send("GET / HTTP/1.0\r\n\r\n")
	if resp := c.want(200, "/    HTTP/1.0"); !resp.Close {
		t.Errorf("HTTP/1.0: %+v", resp.Header)
	}
	c.wantClosed()
}

func TestAGoHandlersResponseIsFramedAsItWasWritten(t *testing.T) {
	more := make(chan bool)
	ts := handle(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/flush":
			io.WriteString(w, "one")
			w.(http.Flusher).Flush()
			<-more
			io.WriteString(w, "two")
		case "/long":
			io.Copy(w, strings.NewReader(strings.Repeat("x", 100_000)))
		case "/short":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "short")
			if r.URL.RawQuery == "flush" {
				w.(http.Flusher).Flush()
			}
		case "/more":
			w.Header().Set("Content-Length", "2")
			if _, err := io.WriteString(w, "more"); err != http.ErrContentLength {
				t.Error(err)
			}
			io.WriteString(w, "ok")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
			io.WriteString(w, "dropped")
		case "/bad":
			w.Header().Set("X-Bad", "a\r\nb")
			io.WriteString(w, "dropped")
		case "/close":
			w.Header().Set("Connection", "close")
		}
	})
	c := ts.dial()
	c.send("GET /flush HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || len(resp.TransferEncoding) != 1 {
		t.Fatal(resp, err)
	}
	first := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "one" {
		t.Fatalf("%q %v", first, err)
	}
	more <- true
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "two" {
		t.Fatalf("%q %v", rest, err)
	}
	if _, body := c.get("/long"); body != strings.Repeat("x", 100_000) {
		t.Errorf("long: %d bytes", len(body))
	}
	c.send("GET /none HTTP/1.1\r\nHost: h\r\n\r\nGET /more HTTP/1.1\r\nHost: h\r\n\r\nGET /bad HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(204, "")
	c.want(200, "ok")
	c.want(500, "")
	c.send("GET /close HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(200, "")
	c.wantClosed()
	c = ts.dial()
	c.send("GET /short HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(500, "500 Internal Server Error\n")
	c = ts.dial()
	c.send("GET /short?flush HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, _, err := c.tryResponse("GET"); err == nil {
		t.Error("a short response looks whole")
	}
	c = ts.dial()
	c.send("GET /long HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	c.want(200, strings.Repeat("x", 100_000))
	c.wantClosed()
}

func TestAGoHandlerReadsTheBodyAsItComes(t *testing.T) {
	ts := handle(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unread" {
			io.WriteString(w, "unread")
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		io.WriteString(w, strconv.Itoa(len(b)))
	}, func(s *Server) { s.MaxBodySize, s.BodyTimeout = 500_000, 50*time.Millisecond })
	c := ts.dial()
	body := strings.Repeat("b", 300_000)
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + body)
	c.want(200, "300000")
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("3e8\r\n"+body[:1000]+"\r\n", 300) + "0\r\nX: y\r\n\r\n")
	c.want(200, "300000")
	c.send("POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + body[:100000])
	c.want(200, "unread")
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if line, err := c.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatal(line, err)
	}
	c.r.ReadString('\n')
	c.send("hello")
	c.want(200, "5")
	for request, status := range map[string]int{
		"Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("3e8\r\n"+body[:1000]+"\r\n", 501): 400, // over the limit
		"Content-Length: 500001\r\n\r\n":             413,
		"Content-Length: 5\r\n\r\nhell":              400, // and no more
		"Transfer-Encoding: chunked\r\n\r\nzz\r\n":   400,
		"Expect: something\r\n\r\n":                  417,
		"Transfer-Encoding: gzip, chunked\r\n\r\n":   400,
		"Content-Length: 1\r\nContent-Length: 1\r\n": 400,
	} {
		c := ts.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\n" + request)
		if status == 400 && strings.HasSuffix(request, "1\r\n") {
			c.send("\r\n")
		}
		c.want(status, "*")
		c.wantClosed()
	}
}

func TestAGoHandlerThatPanicsCostsItsConnection(t *testing.T) {
	ts := handle(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/begun":
			w.(http.Flusher).Flush()
		}
		panic("mine")
	})
	ts.panics = true
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(500, "500 Internal Server Error\n")
	c.wantClosed()
	c = ts.dial()
	c.send("GET /begun HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, _, err := c.tryResponse("GET"); err == nil {
		t.Error("a response that was cut looks whole")
	}
	if logs := ts.logs.String(); strings.Count(logs, "panic=mine") != 2 {
		t.Error(logs)
	}
	c = ts.dial()
	c.send("GET /abort HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(500, "*")
	if logs := ts.logs.String(); strings.Count(logs, "gateway: panic") != 2 {
		t.Error(logs)
	}
}

func TestAGoHandlerServesFilesAndRanges(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	path := filepath.Join(t.TempDir(), "data.bin")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ts := handle(t, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	c := ts.dial()
	if resp, body := c.get("/"); resp.ContentLength != int64(len(data)) || body != string(data) {
		t.Errorf("%d bytes of %d", len(body), len(data))
	}
	for _, r := range []struct{ from, to int }{{0, 0}, {5, 99_999}, {1_000_000, 1_599_999}} {
		c.send("GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=" + strconv.Itoa(r.from) + "-" + strconv.Itoa(r.to) + "\r\n\r\n")
		c.want(206, string(data[r.from:r.to+1]))
	}
	c.send("GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=0-9999,1000000-1009999\r\n\r\n")
	if resp, body := c.response("GET"); resp.StatusCode != 206 || !strings.Contains(body, string(data[1_000_000:1_010_000])) {
		t.Errorf("%+v %d bytes", resp, len(body))
	}
	if _, body := c.get("/app/after"); body != "hello /after" {
		t.Error(body)
	}
}

func TestAClientThatTakesNothingOfAGoHandlersResponseIsCut(t *testing.T) {
	ended := make(chan error, 1)
	ts := handle(t, func(w http.ResponseWriter, r *http.Request) {
		p := make([]byte, 1<<20)
		for {
			if _, err := w.Write(p); err != nil {
				ended <- err
				return
			}
		}
	}, func(s *Server) { s.WriteTimeout = 50 * time.Millisecond })
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the handler still writes")
	}
}
