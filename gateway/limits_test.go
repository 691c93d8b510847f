package gateway

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/pyhost"
)

func TestAnAppThatComputesLongBetweenItsChunksIsNotCut(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK")
		_ = r.Yield("one ")
		r.AwaitSent()
		time.Sleep(200 * time.Millisecond) // longer than the client may take nothing
		_ = r.Yield("two")
		r.Complete()
	}, func(s *Server) { s.WriteTimeout = 40 * time.Millisecond })
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(200, "one two")
}

// stuckWriter takes nothing until it is opened, like a pipe whose reader sleeps.
type stuckWriter struct{ open chan struct{} }

func (w stuckWriter) Write(p []byte) (int, error) {
	<-w.open
	return len(p), nil
}

func TestALogThatCanNotBeWrittenHoldsUpNobodyElse(t *testing.T) {
	w := stuckWriter{make(chan struct{})}
	ts := serve(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/bad" {
			r.Reply("200 OK", []string{"Content-Length", "x"}, "secret")
			return
		}
		hello(r)
	}, func(s *Server) { s.Logger = slog.New(slog.NewTextHandler(w, nil)) })
	bad, good := ts.dial(), ts.dial()
	bad.send("GET /bad HTTP/1.1\r\nHost: h\r\n\r\n")
	waitFor(t, "the bad response is there", func() bool { return ts.calls.Load() > 0 })
	timer := time.AfterFunc(10*time.Second, func() { close(w.open) })
	good.send("GET /good HTTP/1.1\r\nHost: h\r\n\r\n")
	good.want(200, "hello /good")
	if timer.Stop() {
		close(w.open)
	} else {
		t.Error("another client waited for the log")
	}
	bad.want(500, "500 Internal Server Error\n")
}

// heldApp holds up the first Take of each exchange, and with it the event goroutine.
type heldApp struct {
	*fakeApp
	taking, goOn chan struct{}
}

func (a heldApp) NewExchange() pyhost.Exchange {
	return &heldExchange{Exchange: a.fakeApp.NewExchange(), app: a}
}

type heldExchange struct {
	pyhost.Exchange
	app  heldApp
	sink pyhost.Sink
	once sync.Once
}

func (x *heldExchange) Submit(r *pyhost.Request, s pyhost.Sink) error {
	x.sink = s
	return x.Exchange.Submit(r, x)
}

func (x *heldExchange) ExchangeReady(pyhost.Exchange) { x.sink.ExchangeReady(x) }

func (x *heldExchange) Take(out *pyhost.Output) {
	x.once.Do(func() {
		x.app.taking <- struct{}{}
		<-x.app.goOn
	})
	x.Exchange.Take(out)
}

func TestTheIdleTimeoutHoldsWhereABodyEndsWhileItsResponseIsWritten(t *testing.T) {
	taking, goOn := make(chan struct{}), make(chan struct{})
	ts := serve(t, hello, func(s *Server) {
		s.StreamInput, s.IdleTimeout, s.App = true, shortTimeout, heldApp{s.App.(*fakeApp), taking, goOn}
	})
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
	<-taking
	ts.mu.Lock()
	var sc *conn
	for sc = range ts.conns {
	}
	ts.mu.Unlock()
	wants := func(set bool) bool {
		sc.mu.Lock()
		defer sc.mu.Unlock()
		sc.wantsBody = sc.wantsBody || set
		return sc.wantsBody
	}
	wants(true)
	c.send("hello")
	waitFor(t, "the body is about to be given to the app", func() bool { return !wants(false) })
	close(goOn)
	c.want(200, "hello /")
	c.wantClosed()
}

// countingApp counts the pieces in which bodies come.
type countingApp struct {
	*fakeApp
	pieces *atomic.Int64
}

func (a countingApp) NewExchange() pyhost.Exchange {
	return &countingExchange{Exchange: a.fakeApp.NewExchange(), pieces: a.pieces}
}

type countingExchange struct {
	pyhost.Exchange
	sink   pyhost.Sink
	pieces *atomic.Int64
}

func (x *countingExchange) Submit(r *pyhost.Request, s pyhost.Sink) error {
	x.sink = s
	return x.Exchange.Submit(r, x)
}

func (x *countingExchange) ExchangeReady(pyhost.Exchange) { x.sink.ExchangeReady(x) }

func (x *countingExchange) PushBody(p []byte) (int64, error) {
	x.pieces.Add(1)
	return x.Exchange.PushBody(p)
}

func TestTinyChunksOfABodyAreGathered(t *testing.T) {
	var pieces atomic.Int64
	ts := serve(t, echo, func(s *Server) {
		s.StreamInput, s.App = true, countingApp{s.App.(*fakeApp), &pieces}
	})
	body := bodyText(20_000)
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunkedText(body, 1))
	c.want(200, body)
	if n := pieces.Load(); n > 1000 {
		t.Errorf("%d bytes came in %d pieces", len(body), n)
	}
}

func TestABodyThatIsAnnouncedAndNotSentCostsLittleMemory(t *testing.T) {
	const n, most = 50, 128 << 10 // bytes for each body and its client: a buffer to read long bodies into is as much
	for _, fields := range []string{"Content-Length: 100000\r\n\r\nx", "Content-Length: 1048577\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\nffff\r\nx"} {
		t.Run(fields, func(t *testing.T) {
			ts := serve(t, echo)
			measure := func() int64 {
				runtime.GC()
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc)
			}
			before := measure()
			var all []*client
			for range n {
				c := ts.dial()
				all = append(all, c)
				c.send("POST / HTTP/1.1\r\nHost: h\r\n" + fields)
			}
			waitFor(t, "all bodies are waited for", func() bool {
				ts.mu.Lock()
				defer ts.mu.Unlock()
				waiting := 0
				for c := range ts.conns {
					if c.deadline.Load() > ts.clock.Load()+int64(50*time.Second) && c.deadline.Load() < ts.clock.Load()+int64(70*time.Second) {
						waiting++
					}
				}
				return waiting == n
			})
			if per := (measure() - before) / n; per > most {
				t.Errorf("%d bytes for each body of one byte", per)
			}
			for _, c := range all {
				_ = c.Close()
			}
		})
	}
}

func TestAClientThatDoesNotCloseIsLingeredForOnce(t *testing.T) {
	ts := serve(t, hello, func(s *Server) { s.BodyTimeout = 40 * time.Millisecond }) // for a short tick
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	c.want(200, "hello /")
	start := time.Now()
	waitFor(t, "the server closes", func() bool {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		return len(ts.conns) == 0
	})
	if d := time.Since(start); d >= 2*lingerTimeout {
		t.Errorf("after %v", d)
	}
}

func TestConnectionsWithoutALimitAreAsManyAsTheOpenFilesAllow(t *testing.T) {
	most := fileLimit() / 4 * 3
	for given, want := range map[int]int{-1: most, 0: min(defaultMaxConnections, most), 5: 5} {
		s := &Server{MaxConnections: given}
		if s.initLimits(); s.maxConns != want {
			t.Errorf("%d: %d, want %d", given, s.maxConns, want)
		}
	}
}
