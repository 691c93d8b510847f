package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/gateway/static"
	"github.com/gowsgi/gowsgi/pyhost"
)

// entry is a line of the JSON access log.
type entry struct {
	Duration     float64 `json:"duration"`
	Queue        float64 `json:"queue_time"`
	Python       float64 `json:"python_time"`
	Status       int     `json:"status"`
	Ended        string  `json:"ended"`
	Method       string  `json:"method"`
	Target       string  `json:"target"`
	Protocol     string  `json:"protocol"`
	Scheme       string  `json:"scheme"`
	RemoteAddr   string  `json:"remote_addr"`
	UserAgent    string  `json:"user_agent"`
	BytesIn      int     `json:"bytes_in"`
	BytesOut     int     `json:"bytes_out"`
	BodyBytesOut int     `json:"body_bytes_out"`
	Thread       int     `json:"thread"`
	RequestID    string  `json:"request_id"`
	Line         *string `json:"line"`
}

// logged is an access log whose lines a test reads.
type logged struct {
	t     testing.TB
	lines logBuffer
	log   *accesslog.Log
}

func newLogged(t testing.TB) *logged {
	format, err := accesslog.ParseFormat("json")
	if err != nil {
		t.Fatal(err)
	}
	l := &logged{t: t}
	l.log = accesslog.New(&l.lines, accesslog.Options{Format: format})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *logged) set(s *Server) { s.AccessLog = l.log }

// entries waits for n, and returns all there are.
func (l *logged) entries(n int) (all []entry) {
	l.t.Helper()
	waitFor(l.t, "the access log", func() bool { return strings.Count(l.lines.String(), "\n") >= n })
	for line := range strings.Lines(l.lines.String()) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			l.t.Fatalf("%v: %q", err, line)
		}
		all = append(all, e)
	}
	return all
}

func TestEachWayOfEndingGivesOneEntry(t *testing.T) {
	short, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	if _, err := short.WriteString("short"); err != nil {
		t.Fatal(err)
	}
	const get = "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: me\r\n\r\n"
	const post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
	long := strings.Repeat("x", 300<<10)
	for _, c := range []struct {
		name, send string
		run        func(r *fakeRequest)
		set        func(s *Server)
		leave      bool // the client leaves when the app has the request, or when all is sent
		read       int  // bytes of the body that it reads before
		status     int
		ended      string
		in, body   int // -1: is not told beforehand
	}{
		{name: "whole", send: get, run: hello, status: 200, ended: "ok", in: len(get), body: len("hello /")},
		{name: "HEAD", send: "HEAD" + get[3:], run: hello, status: 200, ended: "ok", in: len(get) + 1},
		{name: "body", send: post + "12345", run: echo, status: 200, ended: "ok", in: len(post) + 5, body: 5},
		{name: "chunked body", send: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n", run: echo, status: 200,
			ended: "ok", in: 71, body: 5},
		{name: "streamed body", send: post + "12345", run: echo, set: func(s *Server) { s.StreamInput = true }, status: 200, ended: "ok",
			in: len(post) + 5, body: 5},
		{name: "stream", send: get, run: func(r *fakeRequest) {
			r.Start("200 OK", plainText...)
			_ = r.Yield("ab")
			_ = r.Yield("c")
			r.Complete()
		}, status: 200, ended: "ok", in: len(get), body: -1},
		{name: "long", send: get, run: func(r *fakeRequest) { r.Reply("201 Created", plainText, long) }, status: 201, ended: "ok", in: len(get), body: len(long)},
		{name: "app fails", send: get, run: func(r *fakeRequest) { r.Fail() }, status: 500, ended: "app_error", in: len(get), body: 26},
		{name: "app fails late", send: get, run: func(r *fakeRequest) {
			r.Start("200 OK", plainText...)
			_ = r.Yield("ab")
			r.AwaitSent()
			r.Fail()
		}, status: 200, ended: "app_error", in: len(get), body: -1},
		{name: "bad header", send: get, run: func(r *fakeRequest) { r.Reply("200 OK", []string{"a b", "c"}) }, status: 500, ended: "app_error", in: len(get), body: 26},
		{name: "short reply", send: get, run: func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Length", "9"}, "abc") }, status: 200,
			ended: "app_error", in: len(get), body: 3},
		{name: "long reply", send: get, run: func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Length", "2"}, "abc") }, status: 200,
			ended: "app_error", in: len(get), body: 2},
		{name: "short file", send: get, run: func(r *fakeRequest) {
			r.Start("200 OK", "Content-Length", "100")
			r.SendFile(short, 0, 100)
			r.Complete()
		}, status: 200, ended: "app_error", in: len(get), body: 5},
		{name: "refused by the queue", send: get, run: func(r *fakeRequest) { r.Refuse() }, status: 503, ended: "refused", in: len(get), body: 24},
		{name: "deadline", send: get, run: func(r *fakeRequest) { r.TimeOut() }, status: 504, ended: "timeout", in: len(get), body: 20},
		{name: "deadline late", send: get, run: func(r *fakeRequest) {
			r.Start("200 OK", plainText...)
			_ = r.Yield("ab")
			r.AwaitSent()
			r.TimeOut()
		}, status: 200, ended: "timeout", in: len(get), body: -1},
		{name: "client leaves", send: get, leave: true, run: func(r *fakeRequest) { r.AwaitCancel() }, status: 499, ended: "client_gone", in: len(get)},
		{name: "client leaves with the whole response", send: get, leave: true, read: 2, run: func(r *fakeRequest) {
			r.Start("200 OK", "Content-Length", "2")
			_ = r.Yield("ab")
			r.AwaitCancel() // its last step, or its close(), takes longer
		}, status: 200, ended: "ok", in: len(get), body: 2},
		{name: "client leaves before its body", send: post + "123", leave: true, status: 499, ended: "client_gone", in: len(post) + 3},
		{name: "client leaves in the head", send: get[:20], leave: true, status: 499, ended: "client_gone", in: -1},
		{name: "client takes nothing", send: get, set: func(s *Server) { s.WriteTimeout = 50 * time.Millisecond }, run: func(r *fakeRequest) {
			r.Start("200 OK", plainText...)
			for r.Yield(long) == nil {
			}
			r.Fail()
		}, status: 200, ended: "cut", in: len(get), body: -1},
		{name: "400", send: "GET / HTTP/1.1\r\nHost : h\r\n\r\n", status: 400, ended: "refused", in: 28, body: 16},
		{name: "408", send: get[:20], set: func(s *Server) { s.HeaderTimeout = 20 * time.Millisecond }, status: 408, ended: "refused", in: 20, body: 20},
		{name: "408 of a body", send: post + "123", set: func(s *Server) { s.BodyTimeout = 20 * time.Millisecond }, status: 408, ended: "refused", in: len(post) + 3, body: 20},
		{name: "413", send: post + "12345", set: func(s *Server) { s.MaxBodySize = 4 }, status: 413, ended: "refused", in: len(post), body: -1},
		{name: "413 of a stream", send: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n", run: echo,
			set: func(s *Server) { s.MaxBodySize, s.StreamInput = 4, true }, status: 413, ended: "refused", in: -1, body: -1},
		{name: "404", send: get, set: func(s *Server) { s.Mounts = []Mount{{Prefix: "/api"}} }, status: 404, ended: "refused", in: len(get), body: 14},
		{name: "431", send: "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("y", 1000) + "\r\n\r\n", set: func(s *Server) { s.MaxHeaderFieldSize = 100 },
			status: 431, ended: "refused", in: -1, body: -1},
		{name: "505", send: "GET / HTTP/3.0\r\nHost: h\r\n\r\n", status: 505, ended: "refused", in: -1, body: -1},
		{name: "Go handler", send: get, set: func(s *Server) {
			s.Mounts = []Mount{{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "go") })}}
		}, status: 200, ended: "ok", in: len(get), body: 2},
		{name: "Go handler that panics", send: get, set: func(s *Server) {
			s.Mounts = []Mount{{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })}}
		}, status: 500, ended: "app_error", in: len(get), body: 26},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLogged(t)
			started := make(chan struct{})
			run := func(r *fakeRequest) {
				close(started)
				if c.run != nil {
					c.run(r)
				}
			}
			sets := []func(*Server){l.set}
			if c.set != nil {
				sets = append(sets, c.set)
			}
			ts := serve(t, run, sets...)
			client := ts.dial()
			client.send(c.send)
			switch {
			case c.ended == "cut": // it reads nothing
			case !c.leave:
				var got atomic.Int64
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _ = io.Copy(io.Discard, &countedBody{client, &got})
				}()
				want := int64(l.entries(1)[0].BytesOut)
				waitFor(t, "what was sent", func() bool {
					select {
					case <-ended: // by a reset, which may be faster
						return true
					default:
						return got.Load() >= want
					}
				})
				_ = client.Close()
				if <-ended; got.Load() > want {
					t.Errorf("%d bytes out, and %d came", want, got.Load())
				}
			case c.read > 0:
				resp, err := http.ReadResponse(client.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(resp.Body, make([]byte, c.read)); err != nil {
					t.Fatal(err)
				}
				_ = client.Close()
			case c.run != nil:
				<-started
				fallthrough
			default:
				_ = client.Close()
			}
			l.entries(1)
			ts.waitForEnd()
			all := l.entries(1)
			if len(all) != 1 {
				t.Fatalf("%+v", all)
			}
			e := all[0]
			if e.Status != c.status || e.Ended != c.ended || c.in >= 0 && e.BytesIn != c.in || c.body >= 0 && e.BodyBytesOut != c.body {
				t.Errorf("%+v", e)
			}
			if e.RemoteAddr != "127.0.0.1" || e.Scheme == "" || e.Duration < 0 || e.Duration > 60 {
				t.Errorf("%+v", e)
			}
			if unparsed := e.Line != nil; unparsed != (e.Method == "") || unparsed && !strings.HasPrefix(c.send, *e.Line) {
				t.Errorf("%+v", e)
			}
			if ran := c.run != nil && e.Ended != "refused"; ran && (e.Thread != 7 || e.Queue != 0.002 || e.Python != 0.003) {
				t.Errorf("%+v", e)
			}
		})
	}
}

// waitForEnd waits until no connection and no request is left.
func (ts *testServer) waitForEnd() {
	waitFor(ts.t, "the end", ts.empty)
}

func TestRequestsOfAConnectionAreLoggedOneByOne(t *testing.T) {
	l := newLogged(t)
	ts := serve(t, hello, l.set)
	c := ts.dial()
	for _, path := range []string{"/a", "/bc"} {
		c.get(path)
	}
	c.send("GET /d HTTP/1.1\r\nHost: h\r\n\r\nGET /e HTTP/1.1\r\nHost: h\r\n\r\nGET /f HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	for range 3 {
		c.response("GET")
	}
	want := map[string]int{"/a": 28, "/bc": 29, "/d": 28, "/e": 28, "/f": 47}
	for _, e := range l.entries(5) {
		if want[e.Target] != e.BytesIn || e.BodyBytesOut != len("hello "+e.Target) || e.Status != 200 || e.Protocol != "HTTP/1.1" {
			t.Errorf("%+v", e)
		}
		delete(want, e.Target)
	}
	if len(want) > 0 {
		t.Error(want)
	}
}

func TestAConnectionWithoutARequestIsNotLogged(t *testing.T) {
	l := newLogged(t)
	ts := serve(t, hello, l.set)
	_ = ts.dial().Close()
	ts.waitForEnd()
	ts.dial().get("/")
	if all := l.entries(1); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

func TestARequestThatShutdownCutsIsLoggedAsCut(t *testing.T) {
	l := newLogged(t)
	begun := make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		close(begun)
		r.AwaitCancel()
	}, l.set)
	ts.dial().send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = ts.Shutdown(ctx)
	if e := l.entries(1)[0]; e.Ended != "cut" || e.Status != 444 {
		t.Errorf("%+v", e)
	}
}

func TestHTTPHandlerLogsItsRequests(t *testing.T) {
	for _, c := range []struct {
		name   string
		run    func(r *fakeRequest)
		status int
		ended  string
		body   int
	}{
		{"whole", hello, 200, "ok", 7},
		{"fails", func(r *fakeRequest) { r.Fail() }, 500, "app_error", -1},
		{"refused", func(r *fakeRequest) { r.Refuse() }, 503, "refused", -1},
		{"deadline", func(r *fakeRequest) { r.TimeOut() }, 504, "timeout", -1},
		{"short", func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Length", "9"}, "abc") }, 200, "app_error", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLogged(t)
			ts := foreignServer(t, "net/http", c.run, HandlerOptions{AccessLog: l.log})
			client := ts.dial()
			client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, _, err := client.tryResponse("GET")
			e := l.entries(1)[0]
			if e.Status != c.status || e.Ended != c.ended || c.body >= 0 && e.BodyBytesOut != c.body || e.Thread != 7 || len(e.RequestID) != 32 {
				t.Errorf("%+v", e)
			}
			if err != nil {
				return // it was cut
			}
			if id := resp.Header.Get(requestIDField); id != e.RequestID {
				t.Errorf("%q, and %q is logged", id, e.RequestID)
			}
		})
	}
}

func TestARequestHasOneIDEverywhere(t *testing.T) {
	l := newLogged(t)
	ts := serve(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/fail" {
			r.Fail()
			return
		}
		r.Reply("200 OK", []string{"X-App", r.Environ[requestIDKey]})
	}, l.set)
	seen := map[string]bool{}
	for i, path := range []string{"/", "/", "/fail"} {
		resp, _ := ts.dial().get(path)
		id := resp.Header.Get(requestIDField)
		if e := l.entries(i + 1)[i]; e.RequestID != id || path == "/" && resp.Header.Get("X-App") != id {
			t.Errorf("%q %q %+v", id, resp.Header, e)
		}
		if !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(id) || seen[id] {
			t.Errorf("%q", id)
		}
		seen[id] = true
	}
}

func TestTheAppsOwnRequestIDStays(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) { r.Reply("200 OK", []string{"x-request-id", "mine"}) }, func(s *Server) { s.RequestIDs = true })
	resp, _ := ts.dial().get("/")
	if all := resp.Header.Values(requestIDField); len(all) != 1 || all[0] != "mine" {
		t.Errorf("%q", all)
	}
}

func TestARequestIDIsTakenFromATrustedProxyAlone(t *testing.T) {
	local, err := ParseTrustedProxy("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Repeat("aZ0._:+/=@-", 11) + "1234567"
	for _, c := range []struct {
		name    string
		trusted bool
		fields  string
		want    string // "": a new one
	}{
		{"trusted", true, "X-Request-ID: " + good + "\r\n", good},
		{"not trusted", false, "X-Request-ID: abc\r\n", ""},
		{"too long", true, "X-Request-ID: " + good + "x\r\n", ""},
		{"with a space", true, "X-Request-ID: a b\r\n", ""},
		{"with a quote", true, "X-Request-ID: a\"b\r\n", ""},
		{"empty", true, "X-Request-ID:\r\n", ""},
		{"twice", true, "X-Request-ID: a\r\nx-request-id: b\r\n", ""},
		{"with an underscore", true, "X_Request_ID: a\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ts := serve(t, func(r *fakeRequest) { r.Reply("200 OK", plainText, r.Environ[requestIDKey]) }, func(s *Server) {
				s.RequestIDs = true
				if c.trusted {
					s.TrustedProxies = []TrustedProxy{local}
				}
			})
			client := ts.dial()
			client.send("GET / HTTP/1.1\r\nHost: h\r\n" + c.fields + "\r\n")
			resp, body := client.response("GET")
			if resp.Header.Get(requestIDField) != body || c.want != "" && body != c.want || c.want == "" && len(body) != 32 {
				t.Errorf("%q %q", resp.Header, body)
			}
		})
	}
}

func TestWithoutRequestIDsTheHeaderIsAnyOther(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) { r.Reply("200 OK", plainText, r.Environ[requestIDKey]) })
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: what a client says\r\n\r\n")
	if resp := c.want(200, "what a client says"); resp.Header.Get(requestIDField) != "" {
		t.Errorf("%q", resp.Header)
	}
}

func TestTheServersLinesAboutARequestHaveItsID(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Length", "9"}, "abc") }, func(s *Server) { s.RequestIDs = true })
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the line", func() bool { return strings.Contains(ts.logs.String(), "request_id="+resp.Header.Get(requestIDField)) })
}

func TestIDsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for range 4 {
		ids := requestIDsFor(true, nil)
		for range 1000 {
			seen[string(ids.appendNew(nil))] = true
		}
	}
	if len(seen) != 4000 {
		t.Error(len(seen))
	}
}

// A log that can't be written holds no request, and memory stays bounded.
func TestAnAccessLogThatIsStuckHoldsNobody(t *testing.T) {
	stuck := make(chan struct{})
	format, _ := accesslog.ParseFormat("combined")
	log := accesslog.New(stuckWriter{stuck}, accesslog.Options{Format: format})
	t.Cleanup(func() {
		close(stuck)
		_ = log.Close(context.Background())
	})
	ts := serve(t, hello, func(s *Server) { s.AccessLog = log })
	c := ts.dial()
	target := "/" + strings.Repeat("x", 4000)
	for range 600 { // more than are kept
		if resp, _ := c.get(target); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
}

func TestRequestsOverHTTP2AreLogged(t *testing.T) {
	l := newLogged(t)
	ts := serveTLS(t, func(r *fakeRequest) {
		if r.Environ["SCRIPT_NAME"] == "/fail" {
			r.Fail()
			return
		}
		echo(r)
	}, l.set, func(s *Server) { s.Mounts = []Mount{{Prefix: "/echo"}, {Prefix: "/fail"}} })
	c := ts.client2()
	for i, want := range []entry{
		{Target: "/echo", Status: 200, Ended: "ok", BytesIn: 5, BodyBytesOut: 5, Thread: 7},
		{Target: "/fail", Status: 500, Ended: "app_error", Thread: 7},
		{Target: "/other", Status: 404, Ended: "refused"},
	} {
		resp, _ := get2(t, c, asking("POST", "https://localhost"+want.Target, "12345"))
		e := l.entries(i + 1)[i]
		if e.Target != want.Target || e.Status != want.Status || e.Ended != want.Ended || e.Thread != want.Thread || e.Protocol != "HTTP/2.0" ||
			e.Scheme != "https" || i == 0 && (e.BytesIn != 5 || e.BodyBytesOut != 5) || e.RequestID == "" {
			t.Errorf("%+v", e)
		}
		if id := resp.Header.Get(requestIDField); id != e.RequestID {
			t.Errorf("%q", id)
		}
	}
}

func TestRequestsOverTLSAreLogged(t *testing.T) {
	l := newLogged(t)
	ts := serveTLS(t, hello, l.set)
	c := ts.client(tls.Client(must(net.Dial("tcp", ts.addr.String())), clientTLS("http/1.1")))
	c.get("/")
	if e := l.entries(1)[0]; e.Scheme != "https" || e.Protocol != "HTTP/1.1" || e.BytesIn != 27 || e.BodyBytesOut != len("hello /") || e.Ended != "ok" {
		t.Errorf("%+v", e)
	}
}

func TestABodyThatGoesOnAfterItsResponseChangesNoOtherEntry(t *testing.T) {
	l := newLogged(t)
	ts := serve(t, hello, l.set, func(s *Server) { s.StreamInput = true })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 150 {
				nc, err := net.Dial("tcp", ts.addr.String())
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = nc.Write([]byte("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"))
				for range 3 {
					_, _ = nc.Write([]byte("5\r\n12345\r\n"))
				}
				_ = nc.Close()
			}
		})
	}
	all.Wait()
}

type refusingApp struct{ *fakeApp }

func (a refusingApp) NewExchange() pyhost.Exchange { return refusingExchange{a.fakeApp.NewExchange()} }

type refusingExchange struct{ pyhost.Exchange }

func (refusingExchange) Submit(*pyhost.Request, pyhost.Sink) error { return errors.New("no more") }

func TestARequestThatTheAppCanNotBeGivenIsLogged(t *testing.T) {
	l := newLogged(t)
	ts := serve(t, hello, l.set, func(s *Server) { s.App = refusingApp{s.App.(*fakeApp)} })
	c := ts.dial()
	c.get("/")
	if e := l.entries(1)[0]; e.Status != 503 || e.Ended != "refused" || e.BytesIn == 0 {
		t.Errorf("%+v", e)
	}
}

type panickingApp struct{ *fakeApp }

func (panickingApp) NewExchange() pyhost.Exchange { panic("no exchange") }

func TestAPanicBeforeTheAppHasTheRequestIsLogged(t *testing.T) {
	l := newLogged(t)
	ts := serve(t, hello, l.set, func(s *Server) { s.App = panickingApp{s.App.(*fakeApp)} })
	ts.panics = true
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12") // its body is read into an exchange
	c.want(500, "500 Internal Server Error\n")
	if e := l.entries(1)[0]; e.Status != 500 || e.Ended != "refused" {
		t.Errorf("%+v", e)
	}
}

func TestAFileThatTheAppNamesIsLoggedAsOK(t *testing.T) {
	dir := fileFolder(t)
	l := newLogged(t)
	ts := serve(t, named("X-Sendfile"), l.set, sending(t, static.SenderOptions{Roots: []string{dir}}))
	ts.dial().get("/?" + dir + "/page.txt")
	if e := l.entries(1)[0]; e.Status != 200 || e.Ended != "ok" || e.BodyBytesOut != 10 {
		t.Errorf("%+v", e)
	}
	sender, err := static.NewSender(static.SenderOptions{Roots: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	l = newLogged(t)
	ts = foreignServer(t, "net/http", named("X-Sendfile"), HandlerOptions{AccessLog: l.log, SendFile: sender})
	ts.dial().get("/?" + dir + "/page.txt")
	if e := l.entries(1)[0]; e.Status != 200 || e.Ended != "ok" || e.BodyBytesOut != 10 {
		t.Errorf("%+v", e)
	}
}

func TestAFileThatShrinksWhileItIsSentIsTheServersFault(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.bin")
	for _, kind := range []string{"X-Sendfile", "handler"} {
		if err := os.WriteFile(path, make([]byte, 32<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		l := newLogged(t)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
		ts := serve(t, named("X-Sendfile"), l.set, sending(t, static.SenderOptions{Roots: []string{dir}}), func(s *Server) {
			s.Mounts = []Mount{{}, {Prefix: "/go", Handler: h}}
		})
		c := ts.dial()
		target := "/?" + path
		if kind == "handler" {
			target = "/go"
		}
		c.send("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")
		if _, err := c.r.ReadByte(); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c.r)
		if e := l.entries(1)[0]; e.Status != 200 || e.Ended != "app_error" {
			t.Errorf("%s: %+v", kind, e)
		}
	}
}
