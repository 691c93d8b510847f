package gateway

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pad is text of n bytes.
func pad(n int) string { return strings.Repeat("a", n) }

func TestEveryLimitOfARequestHoldsAtOneUnderAndOneOver(t *testing.T) {
	const host = "Host: h\r\n"
	get := func(fields string) string { return "GET / HTTP/1.1\r\n" + host + fields + "\r\n" }
	for _, row := range []struct {
		name  string
		set   func(s *Server)
		limit int
		over  int // the status
		make  func(n int) string
	}{
		{"request line", func(s *Server) { s.MaxRequestLine = 100 }, 100, 414,
			func(n int) string { return "GET /" + pad(n-len("GET / HTTP/1.1")) + " HTTP/1.1\r\n" + host + "\r\n" }},
		{"default request line", nil, 16 << 10, 414,
			func(n int) string { return "GET /" + pad(n-len("GET / HTTP/1.1")) + " HTTP/1.1\r\n" + host + "\r\n" }},
		{"field lines", func(s *Server) { s.MaxHeaderFields = 10 }, 10, 431, func(n int) string { return get(strings.Repeat("A: b\r\n", n-1)) }},
		{"default field lines", nil, 256, 431, func(n int) string { return get(strings.Repeat("A: b\r\n", n-1)) }},
		{"one field line", func(s *Server) { s.MaxHeaderFieldSize = 50 }, 50, 431, func(n int) string { return get("A: " + pad(n-len("A: ")) + "\r\n") }},
		{"the last field line", func(s *Server) { s.MaxHeaderFieldSize = 50 }, 50, 431,
			func(n int) string { return get("A: b\r\nA: " + pad(n-len("A: ")) + "\r\n") }},
		{"header section", func(s *Server) { s.MaxHeaderSize = 200 }, 200, 431,
			func(n int) string {
				return get("A: " + pad(100) + "\r\nB: " + pad(n-len(host+"A: \r\nB: \r\n")-100) + "\r\n")
			}},
		{"default header section", nil, 64 << 10, 431,
			func(n int) string {
				return get("A: " + pad(32<<10) + "\r\nB: " + pad(n-len(host+"A: \r\nB: \r\n")-32<<10) + "\r\n")
			}},
		{"body with a length", func(s *Server) { s.MaxBodySize = 1000 }, 1000, 413,
			func(n int) string {
				return fmt.Sprintf("POST / HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", host, n, pad(n))
			}},
		{"chunked body", func(s *Server) { s.MaxBodySize = 1000 }, 1000, 413,
			func(n int) string {
				return fmt.Sprintf("POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%s", host, chunkedText(pad(n), 300))
			}},
		{"streamed body", func(s *Server) { s.MaxBodySize, s.StreamInput = 1000, true }, 1000, 413,
			func(n int) string {
				return fmt.Sprintf("POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%s", host, chunkedText(pad(n), 300))
			}},
		{"spooled bodies", func(s *Server) { s.MaxSpool = 2 << 20 }, 2 << 20, 503,
			func(n int) string {
				return fmt.Sprintf("POST / HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", host, n, pad(n))
			}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var canaries atomic.Int64
			ts := serve(t, func(r *fakeRequest) {
				if r.Environ["PATH_INFO"] == "/canary" {
					canaries.Add(1)
				}
				_, _ = io.Copy(io.Discard, r)
				r.Reply("200 OK", plainText, "fine")
			}, func(s *Server) {
				if row.set != nil {
					row.set(s)
				}
			})
			for _, n := range []int{row.limit - 1, row.limit} {
				c := ts.dial()
				c.send(row.make(n))
				c.want(200, "fine")
			}
			c := ts.dial()
			// The canary may not go out whole where the server has closed already.
			_, _ = io.WriteString(c, row.make(row.limit+1)+"GET /canary HTTP/1.1\r\nHost: h\r\n\r\n")
			resp := c.want(row.over, "*")
			if resp.Header.Get("Cache-Control") != "no-store" || !resp.Close || resp.ContentLength > 100 {
				t.Errorf("the refusal is %v", resp)
			}
			c.wantClosed()
			if n := canaries.Load(); n > 0 {
				t.Errorf("%d requests behind the refused one reached the app", n)
			}
		})
	}
}

func TestTheLastRequestOfAConnectionClosesIt(t *testing.T) {
	for _, pipelined := range []bool{false, true} {
		ts := serve(t, hello, func(s *Server) { s.MaxConnectionRequests = 3 })
		c := ts.dial()
		const request = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
		if pipelined {
			c.send(strings.Repeat(request, 5))
		}
		for i := range 3 {
			if !pipelined {
				c.send(request)
			}
			if resp := c.want(200, "hello /x"); resp.Close != (i == 2) {
				t.Errorf("response %d: Connection: close is %t", i, resp.Close)
			}
		}
		c.wantClosed()
		if n := ts.Requests(); n != 3 {
			t.Errorf("%d requests reached the app", n)
		}
	}
}

func TestAClientGetsAsManyConnectionsAsItMay(t *testing.T) {
	ts := serve(t, hello, func(s *Server) { s.MaxClientConnections, s.HeaderTimeout = 3, 40*time.Millisecond })
	var open []*client
	for range 3 {
		c := ts.dial()
		c.get("/")
		open = append(open, c)
	}
	for range 5 {
		if nc, err := net.Dial("tcp", ts.addr.String()); err == nil { // else it was closed so soon that the dial has seen it
			ts.client(nc).wantClosed()
		}
	}
	waitFor(t, "that is logged", func() bool { return strings.Contains(ts.logs.String(), "their address has as many") })
	if n := strings.Count(ts.logs.String(), "their address has as many"); n > 2 {
		t.Errorf("5 connections were logged in %d lines", n)
	}
	for _, c := range open {
		c.get("/") // undisturbed
	}
	_ = open[0].Close()
	waitFor(t, "one has left", func() bool { return ts.Connections() == 2 })
	ts.dial().get("/")
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.ofClient) != 1 {
		t.Errorf("clients are %v", ts.ofClient)
	}
}

func TestClientsAreToldApartByTheirNetwork(t *testing.T) {
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"::ffff:192.0.2.1", "192.0.2.1", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"fe80::1%1", "fe80::2", true},
	} {
		if same := clientOf(row.a) == clientOf(row.b); same != row.same {
			t.Errorf("%s and %s: %t", row.a, row.b, same)
		}
	}
	if clientOf("").IsValid() {
		t.Error("a unix socket's client is counted")
	}
}

func TestConnectionsOfATrustedProxyAndOnUnixSocketsAreNotLimitedByClient(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ts := serve(t, hello, func(s *Server) {
			s.MaxClientConnections = 2
			if network == "tcp" {
				p, err := ParseTrustedProxy("127.0.0.0/8")
				if err != nil {
					t.Fatal(err)
				}
				s.TrustedProxies = []TrustedProxy{p}
			}
		})
		if network == "unix" {
			ln, err := net.Listen("unix", t.TempDir()+"/s")
			if err != nil {
				t.Fatal(err)
			}
			ts.serveOn(ln)
		}
		for range 5 {
			ts.dial().get("/")
		}
	}
}

func TestANewConnectionTakesThePlaceOfTheLongestIdleOne(t *testing.T) {
	release := make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/wait" {
			<-release
		}
		hello(r)
	}, func(s *Server) { s.MaxConnections = 10 })
	busy := ts.dial()
	busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	waitFor(t, "a request is in hand", func() bool { return ts.calls.Load() == 1 })
	slow := ts.dial()
	slow.send("GET / HTTP/1.1\r\nHo")
	var idle []*client
	for range 8 {
		c := ts.dial()
		c.get("/")
		idle = append(idle, c)
	}
	waitFor(t, "all are there", func() bool { return ts.Connections() == 10 })
	for range 50 { // five times as many as there may be
		c := ts.dial()
		if resp, _ := c.get("/"); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		if n := ts.Connections(); n > 11 {
			t.Fatalf("%d connections", n)
		}
	}
	slow.wantClosed()
	for _, c := range idle {
		c.wantClosed()
	}
	close(release)
	busy.want(200, "hello /wait")
}

func TestWhereAllConnectionsHaveARequestANewOneWaits(t *testing.T) {
	release := make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/wait" {
			<-release
		}
		hello(r)
	}, func(s *Server) { s.MaxConnections, s.HeaderTimeout = 3, 40*time.Millisecond })
	var busy []*client
	for i := range 3 {
		c := ts.dial()
		c.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
		busy = append(busy, c)
		waitFor(t, "a request is in hand", func() bool { return ts.calls.Load() == int64(i+1) })
	}
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	waitFor(t, "that is logged", func() bool { return strings.Contains(ts.logs.String(), "no connection is accepted") })
	if n := ts.Connections(); n != 3 {
		t.Errorf("%d connections", n)
	}
	close(release)
	for _, b := range busy {
		b.want(200, "hello /wait")
	}
	c.want(200, "hello /")
}

func TestAConnectionThatIsBeingClosedForAnotherRunsNoRequest(t *testing.T) {
	ts := serve(t, hello)
	c := ts.dial()
	c.get("/")
	sc := ts.only()
	before := ts.Requests()
	waitFor(t, "the idle connection is closed", sc.evict) // the response may be there before its end is
	if sc.evict() {
		t.Error("it was closed twice")
	}
	_, _ = io.WriteString(c, "POST /important HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	waitFor(t, "it is closed", func() bool { return ts.Connections() == 0 })
	if n := ts.Requests() - before; n != 0 {
		t.Errorf("%d requests reached the app", n)
	}
}

// only is the server's only connection.
func (ts *testServer) only() (c *conn) {
	waitFor(ts.t, "one connection is there", func() bool {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		for c = range ts.conns {
		}
		return len(ts.conns) == 1
	})
	return c
}
