package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/pyhost"
)

func TestASmallRequestIsAnswered(t *testing.T) {
	ts := serve(t, hello)
	c := ts.dial()
	for range 3 {
		resp, body := c.get("/world")
		if body != "hello /world" || resp.Header.Get("Content-Length") != "12" || resp.Header.Get("Server") != "gowsgi" || resp.Header.Get("Date") == "" {
			t.Fatalf("%v %q", resp.Header, body)
		}
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/0" {
			time.Sleep(20 * time.Millisecond)
		}
		hello(r)
	})
	c := ts.dial()
	var all strings.Builder
	for i := range 20 {
		all.WriteString("POST /" + string(rune('0'+i%10)) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
	}
	c.send(all.String())
	for i := range 20 {
		c.want(200, "hello /"+string(rune('0'+i%10)))
	}
}

func TestUnixSocketsAreServed(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		r.Reply("200 OK", plainText, r.Environ["SERVER_NAME"]+" "+r.Environ["SERVER_PORT"]+" "+r.Environ["REMOTE_ADDR"]+"|")
	})
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ts.serveOn(ln)
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: example.org:81\r\n\r\n")
	c.want(200, "example.org 81 |")
	c.send("GET / HTTP/1.0\r\n\r\n")
	c.want(200, "localhost 80 |")
}

func TestShutdownClosesIdleConnectionsAtOnceAndLetsRequestsFinish(t *testing.T) {
	started, finish := make(chan struct{}), make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/slow" {
			close(started)
			<-finish
		}
		hello(r)
	})
	idle, fresh, slow := ts.dial(), ts.dial(), ts.dial()
	idle.get("/")
	slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	<-started
	ended := make(chan error)
	go func() { ended <- ts.Shutdown(context.Background()) }()
	idle.wantClosed()
	fresh.wantClosed()
	if _, err := net.Dial("tcp", ts.addr.String()); err == nil {
		t.Error("the listener still accepts")
	}
	close(finish)
	if resp := slow.want(200, "hello /slow"); !resp.Close {
		t.Error("no Connection: close")
	}
	slow.wantClosed()
	_ = slow.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsRequestsWhenItsContextEnds(t *testing.T) {
	started := make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		close(started)
		if !r.AwaitCancel() {
			t.Error("not cancelled")
		}
	})
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-started
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if err := ts.Shutdown(ctx); err == nil || !strings.HasPrefix(err.Error(), "gateway: ") {
		t.Errorf("Shutdown: %v", err)
	}
	c.wantClosed()
}

func TestServeRefusesAListenerWithoutASocket(t *testing.T) {
	s := &Server{}
	err := s.Serve(struct{ net.Listener }{must(net.Listen("tcp", "127.0.0.1:0"))})
	if err == nil || !strings.HasPrefix(err.Error(), "gateway: ") {
		t.Errorf("Serve: %v", err)
	}
	_ = s.Shutdown(context.Background())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAConnectionThatIsCutAtShutdownEndsWhateverItWaitedFor(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK")
		for r.Yield(strings.Repeat("x", 60<<10)) == nil {
		}
	})
	ts.dial().send("GET / HT")
	ts.dial().send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
	ts.dial().send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") // and reads nothing of a response that does not end
	waitFor(t, "all three have a goroutine", func() bool {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		n := 0
		for c := range ts.conns {
			c.mu.Lock()
			if c.owner == byGoroutine || c.busy {
				n++
			}
			c.mu.Unlock()
		}
		return n == 3
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ts.Shutdown(ctx); err == nil {
		t.Error("the shutdown waited for nobody and says that all went well")
	}
}

func TestAcceptErrorsDoNotEndTheServer(t *testing.T) {
	ts := serve(t, hello)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Once the client has its descriptor, no further one is to be had.
	dialer := net.Dialer{Control: func(string, string, syscall.RawConn) error {
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: limit.Max})
	}}
	nc, err := dialer.Dial("tcp", ts.addr.String())
	if err == nil {
		waitFor(t, "accept fails", func() bool { return strings.Contains(ts.logs.String(), "accept failed") })
		defer func() { _ = nc.Close() }()
	}
	if e := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); e != nil || err != nil {
		t.Fatal(e, err)
	}
	ts.client(nc).want200(t)
	if n := strings.Count(ts.logs.String(), "accept failed"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func (c *client) want200(t *testing.T) {
	t.Helper()
	if resp, _ := c.get("/"); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
}

// panicApp panics in NewExchange, or in the first Take of each exchange.
type panicApp struct {
	*fakeApp
	inTake bool
}

func (a panicApp) NewExchange() pyhost.Exchange {
	if !a.inTake {
		panic("no exchange")
	}
	return &panicExchange{Exchange: a.fakeApp.NewExchange()}
}

type panicExchange struct {
	pyhost.Exchange
	sink  pyhost.Sink
	taken bool
}

func (x *panicExchange) Submit(r *pyhost.Request, s pyhost.Sink) error {
	x.sink = s
	return x.Exchange.Submit(r, x)
}

func (x *panicExchange) ExchangeReady(pyhost.Exchange) { x.sink.ExchangeReady(x) }

func (x *panicExchange) Take(out *pyhost.Output) {
	if !x.taken {
		x.taken = true
		panic("no take")
	}
	x.Exchange.Take(out)
}

func TestAPanicIsLoggedAndCostsAtMostItsConnection(t *testing.T) {
	for _, inTake := range []bool{false, true} {
		ts := serve(t, hello, func(s *Server) { s.App = panicApp{s.App.(*fakeApp), inTake} })
		ts.panics = true
		for range 3 {
			c := ts.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			if !inTake {
				c.want(500, "500 Internal Server Error\n")
			}
			c.wantClosed()
		}
		if n := strings.Count(ts.logs.String(), "gateway: panic"); n != 3 || !strings.Contains(ts.logs.String(), "stack") {
			t.Errorf("%d panics logged: %s", n, ts.logs)
		}
	}
}

func TestAConnectionThatComesWhileTheServerShutsDownIsLeftToOthersOrServed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File() // as another process has it
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	entered, release := make(chan struct{}), make(chan struct{})
	s := &Server{AcceptGate: func() {
		entered <- struct{}{}
		<-release
	}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-entered
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	waitFor(t, "it drains", s.draining.Load)
	close(release)
	if err := <-down; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	_ = other.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
	left, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	_ = left.SetDeadline(time.Now().Add(30 * time.Second))
	if line, err := bufio.NewReader(left).ReadString('\n'); line != "GET / HTTP/1.1\r\n" {
		t.Errorf("%q %v", line, err)
	}
}
