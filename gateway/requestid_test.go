package gateway

import (
	"net/http"
	"testing"
	"time"
)

func TestTheServersOwnAnswersHaveTheIDThatIsLogged(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: h\r\n"
	for _, c := range []struct {
		name, request string
		status        int
		set           func(s *Server)
	}{
		{"no mount", "GET /none HTTP/1.1\r\nHost: h\r\n\r\n", 404, func(s *Server) { s.Mounts = []Mount{{Prefix: "/app"}} }},
		{"body too long", post + "Content-Length: 11\r\n\r\n", 413, func(s *Server) { s.MaxBodySize = 10 }},
		{"slow body", post + "Content-Length: 11\r\n\r\n", 408, func(s *Server) { s.BodyTimeout = 40 * time.Millisecond }},
		{"slow body of a stream", post + "Content-Length: 11\r\n\r\n", 408, func(s *Server) { s.BodyTimeout, s.StreamInput = 40*time.Millisecond, true }},
		{"malformed body of a stream", post + "Transfer-Encoding: chunked\r\n\r\nzz", 400, func(s *Server) { s.StreamInput = true }},
		{"header with an underscore", post + "A_B: c\r\n\r\n", 400, func(s *Server) { s.HeaderPolicy = RefuseUnderscores }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLogged(t)
			ts := serve(t, echo, l.set, c.set)
			client := ts.dial()
			client.send(c.request)
			resp := client.want(c.status, "*")
			if e := l.entries(1)[0]; len(e.RequestID) != 32 || resp.Header.Get(requestIDField) != e.RequestID || e.Status != c.status {
				t.Errorf("%q is told, and %+v is logged", resp.Header, e)
			}
		})
	}
}

func TestAnIDOfATrustedProxyIsToldWhereTheBodyOverwroteTheHeader(t *testing.T) {
	l := newLogged(t)
	ts := serve(t, echo, l.set, func(s *Server) {
		s.TrustedProxies, s.BodyTimeout, s.StreamInput = trusted(t, "*"), 200*time.Millisecond, true
	})
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nX-Request-ID: from-the-proxy\r\nContent-Length: 100000\r\n\r\n")
	for range 20 {
		c.send(pad(1000))
	}
	resp := c.want(408, "*")
	if e := l.entries(1)[0]; resp.Header.Get(requestIDField) != "from-the-proxy" || e.RequestID != "from-the-proxy" {
		t.Errorf("%q is told, and %+v is logged", resp.Header, e)
	}
}

func TestAGoHandlersResponseOverHTTP2HasTheIDThatIsLogged(t *testing.T) {
	l := newLogged(t)
	ts := serveTLS(t, hello, l.set, func(s *Server) { s.Mounts = []Mount{{Handler: http.NotFoundHandler()}} })
	resp, _ := get2(t, ts.client2(), asking("GET", "https://localhost/", ""))
	if e := l.entries(1)[0]; len(e.RequestID) != 32 || resp.Header.Get(requestIDField) != e.RequestID {
		t.Errorf("%q is told, and %+v is logged", resp.Header, e)
	}
}
