package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHTTPHandlerGivesTheLengthOfTheBodyThatTheAppReads(t *testing.T) {
	app := newFakeApp(t, func(r *fakeRequest) {
		b, _ := io.ReadAll(r)
		r.Reply("200 OK", plainText, r.Environ["CONTENT_LENGTH"]+" "+string(b))
	})
	h := HTTPHandler(app, []Mount{{}}, HandlerOptions{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unpacked" { // as a middleware does that decompresses bodies
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("unpacked")), -1
		}
		h.ServeHTTP(w, r)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for _, c := range []struct {
		path string
		body io.Reader
		want string
	}{
		{"/", strings.NewReader("hello"), "5 hello"},
		{"/", io.MultiReader(strings.NewReader("hello")), "5 hello"}, // HTTP/2 without a length
		{"/unpacked", strings.NewReader("packed"), "8 unpacked"},
	} {
		resp, err := s.Client().Post(s.URL+c.path, "text/plain", c.body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.ProtoMajor != 2 || string(b) != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.path, b, err, c.want)
		}
	}
}

func TestTheHandlersRefuseAMalformedHost(t *testing.T) {
	for _, kind := range []string{"fasthttp", "net/http"} {
		ts := foreignServer(t, kind, hello, HandlerOptions{})
		for _, host := range []string{"user@h", "h:80x", "a/b", "h:1:2"} {
			c := ts.dial()
			c.send("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
			if resp, _ := c.response("GET"); resp.StatusCode != 400 {
				t.Errorf("%s: %q: %s", kind, host, resp.Status)
			}
		}
	}
}

func TestHandlerEndsAnEndlessResponseToHEAD(t *testing.T) {
	gone := make(chan bool, 1)
	ts := foreignServer(t, "fasthttp", func(r *fakeRequest) {
		r.Start("200 OK")
		for r.Yield(strings.Repeat("x", 10_000)) == nil {
		}
		gone <- true
	}, HandlerOptions{})
	c := ts.dial()
	c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.response("HEAD")
	<-gone
}

func TestTheHandlersAnswerWhereTheAppTakesTooLongOrIsNotCalled(t *testing.T) {
	for _, kind := range []string{"fasthttp", "net/http"} {
		ts := foreignServer(t, kind, func(r *fakeRequest) {
			switch r.Environ["PATH_INFO"] {
			case "/refused":
				r.Refuse()
			case "/late":
				r.TimeOut()
				r.AwaitCancel()
			case "/begun":
				r.Start("200 OK")
				_ = r.Yield("one")
				r.AwaitSent()
				r.TimeOut()
				r.AwaitCancel()
			}
		}, HandlerOptions{})
		if resp, _ := ts.dial().get("/refused"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %v", kind, resp)
		}
		if resp, _ := ts.dial().get("/late"); resp.StatusCode != 504 {
			t.Errorf("%s: %s", kind, resp.Status)
		}
		c := ts.dial()
		c.send("GET /begun HTTP/1.1\r\nHost: h\r\n\r\n")
		if resp, body, err := c.tryResponse("GET"); err == nil || body != "one" {
			t.Errorf("%s: %v %q", kind, resp, body)
		}
	}
}
