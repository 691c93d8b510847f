package gateway

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// client2raw writes frames of its own making.
type client2raw struct {
	*http2.Framer
	conn net.Conn
	t    testing.TB
	text bytes.Buffer
	pack *hpack.Encoder
}

func (ts *testServer) dial2raw() *client2raw {
	ts.t.Helper()
	nc, err := net.Dial(ts.addr.Network(), ts.addr.String())
	if err != nil {
		ts.t.Fatal(err)
	}
	conn := tls.Client(nc, clientTLS("h2"))
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	ts.t.Cleanup(func() { _ = nc.Close() })
	c := &client2raw{Framer: http2.NewFramer(conn, conn), conn: conn, t: ts.t}
	c.pack = hpack.NewEncoder(&c.text)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = io.WriteString(conn, http2.ClientPreface)
	if err == nil {
		err = c.WriteSettings()
	}
	if err != nil {
		ts.t.Fatal(err)
	}
	return c
}

// block packs name, value, name, value.
func (c *client2raw) block(pairs ...string) []byte {
	c.text.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = c.pack.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(c.text.Bytes())
}

// open sends a header section; more are pairs after the four that each request has.
func (c *client2raw) open(stream uint32, end bool, method, path string, more ...string) error {
	return c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, EndStream: end, EndHeaders: true,
		BlockFragment: c.block(append([]string{":method", method, ":scheme", "https", ":path", path, ":authority", "localhost"}, more...)...),
	})
}

// outcome is the status of the stream's response, or how the stream or connection ended instead.
func (c *client2raw) outcome(stream uint32) string {
	c.t.Helper()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == stream {
				return f.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return f.ErrCode.String()
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return "GOAWAY " + f.ErrCode.String()
			}
		}
	}
}

func TestHTTP2RequestsAreRefusedAsThoseOfHTTP11Are(t *testing.T) {
	ts := serveTLS(t, hello, func(s *Server) { s.MaxBodySize, s.MaxHeaderFields = 1000, 50 })
	many := make([]string, 0, 200)
	for range 100 {
		many = append(many, "x-many", "1")
	}
	for _, test := range []struct {
		name   string
		want   string
		method string
		path   string
		more   []string
	}{
		{"fine", "200", "GET", "/", nil},
		{"the same host twice over", "200", "GET", "/", []string{"host", "localhost"}},
		{"another host", "400", "GET", "/", []string{"host", "elsewhere"}},
		{"two hosts", "400", "GET", "/", []string{"host", "localhost", "host", "localhost"}},
		{"a whole URL for a path", "400", "GET", "https://elsewhere/", nil},
		{"a path without slash", "PROTOCOL_ERROR", "GET", "x", nil},
		{"CONNECT", "PROTOCOL_ERROR", "CONNECT", "/", nil},
		{"a body over the limit", "413", "POST", "/", []string{"content-length", "1001"}},
		{"two lengths", "400", "POST", "/", []string{"content-length", "5", "content-length", "5"}},
		{"no number for a length", "400", "POST", "/", []string{"content-length", "+5"}},
		{"too many fields", "431", "GET", "/", many},
		{"too many bytes in the header", "431", "GET", "/", []string{"x-long", strings.Repeat("x", 40_000), "x-too", strings.Repeat("x", 40_000)}},
		{"a value longer than any header may be", "GOAWAY COMPRESSION_ERROR", "GET", "/", []string{"x-long", strings.Repeat("x", 70_000)}},
		{"a line that is too long", "414", "GET", "/" + strings.Repeat("x", 17_000), nil},
		{"a bad name", "PROTOCOL_ERROR", "GET", "/", []string{"x y", "1"}},
		{"a line end in a value", "PROTOCOL_ERROR", "GET", "/", []string{"x", "1\r\n2"}},
		{"a field of the connection", "400", "GET", "/", []string{"connection", "close"}},
		{"a transfer coding", "400", "POST", "/", []string{"transfer-encoding", "chunked"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := ts.dial2raw()
			defer c.conn.Close()
			block := c.block(append([]string{":method", test.method, ":scheme", "https", ":path", test.path, ":authority", "localhost"}, test.more...)...)
			first := block[:min(len(block), 16<<10)]
			if err := c.WriteHeaders(http2.HeadersFrameParam{
				StreamID: 1, EndStream: test.method != "POST", EndHeaders: len(first) == len(block), BlockFragment: first,
			}); err != nil {
				t.Fatal(err)
			}
			for rest := block[len(first):]; len(rest) > 0; {
				n := min(len(rest), 16<<10)
				if err := c.WriteContinuation(1, n == len(rest), rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if got := c.outcome(1); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestTheSchemeOfAnHTTP2RequestIsThatOfItsConnection(t *testing.T) {
	schemes := make(chan string, 1)
	ts := serveTLS(t, func(r *fakeRequest) {
		schemes <- r.Environ["wsgi.url_scheme"]
		r.Reply("200 OK", nil)
	})
	c := ts.dial2raw()
	_ = c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, EndStream: true, EndHeaders: true, BlockFragment: c.block(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "localhost"),
	})
	if got := c.outcome(1); got != "200" {
		t.Fatal(got)
	}
	if scheme := <-schemes; scheme != "https" {
		t.Errorf("got %s", scheme)
	}
}

// honest asks until stop is closed, and reports each failure.
func (ts *testServer) honest(stop chan struct{}) (ended chan int) {
	c := ts.client2()
	ended = make(chan int, 1)
	go func() {
		served := 0
		defer func() { ended <- served }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			response, err := c.Get("https://localhost/honest")
			if err != nil {
				ts.t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			served++
		}
	}()
	return ended
}

// CVE-2023-44487.
func TestRequestsThatAreResetAtOnceCostOtherClientsNothing(t *testing.T) {
	ts := serveTLS(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/reset" {
			r.AwaitCancel()
			return
		}
		hello(r)
	})
	stop := make(chan struct{})
	ended := ts.honest(stop)
	c := ts.dial2raw()
	go func() { // else the server could not write
		_, _ = io.Copy(io.Discard, c.conn)
	}()
	var err error
	most := 1_000_000
	if testing.Short() {
		most = 10_000
	}
	sent, goroutines := 0, 0
	for stream := uint32(1); err == nil && sent < most; stream += 2 {
		if err = c.open(stream, true, "GET", "/reset"); err == nil {
			err = c.WriteRSTStream(stream, http2.ErrCodeCancel)
		}
		if sent++; sent%1000 == 0 {
			goroutines = max(goroutines, runtime.NumGoroutine())
		}
	}
	t.Logf("%d requests were reset, then: %v", sent, err) // net/http ends the connection once four times as many wait as may be in hand
	if goroutines > 10*maxStreams {
		t.Errorf("there were %d goroutines", goroutines)
	}
	_ = c.conn.Close()
	close(stop)
	if n := <-ended; n == 0 {
		t.Error("no other client was served")
	}
	waitFor(t, "no request of the attacker is left", func() bool { return ts.calls.Load() == 0 })
}

// CVE-2023-45288 and its like.
func TestAHeaderThatNeverEndsEndsItsConnection(t *testing.T) {
	ts := serveTLS(t, hello)
	stop := make(chan struct{})
	ended := ts.honest(stop)
	c := ts.dial2raw()
	go func() { _, _ = io.Copy(io.Discard, c.conn) }()
	piece := bytes.Repeat(c.block("x-flood", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"), 300)
	err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: c.block(":method", "GET", ":scheme", "https", ":path", "/")})
	sent := 0
	const most = 256 << 20
	for err == nil && sent < most {
		err = c.WriteContinuation(1, false, piece)
		sent += len(piece)
	}
	if err == nil {
		t.Errorf("%d bytes of a header were taken", sent)
	}
	close(stop)
	if n := <-ended; n == 0 {
		t.Error("no other client was served")
	}
}

func TestAnHTTP2ClientThatIsSlowWithItsBodyIsAnswered408(t *testing.T) {
	ts := serveTLS(t, echo, func(s *Server) { s.BodyTimeout = 100 * time.Millisecond })
	c := ts.dial2raw()
	if err := c.open(1, false, "POST", "/", "content-length", "10"); err != nil {
		t.Fatal(err)
	}
	_ = c.WriteData(1, false, []byte("12345"))
	if got := c.outcome(1); got != "408" {
		t.Errorf("got %s, want 408", got)
	}
}

// It takes frames of the connection, but gives its stream no window.
func TestAnHTTP2StreamOfWhichNothingIsTakenIsReset(t *testing.T) {
	gone := make(chan bool, 1)
	ts := serveTLS(t, func(r *fakeRequest) {
		r.Start("200 OK")
		for r.Yield(strings.Repeat("x", 60<<10)) == nil {
		}
		gone <- true
	}, func(s *Server) { s.WriteTimeout = 100 * time.Millisecond })
	c := ts.dial2raw()
	if err := c.open(1, true, "GET", "/"); err != nil {
		t.Fatal(err)
	}
	if got := c.outcome(1); got != "200" {
		t.Fatal(got)
	}
	if got := c.outcome(1); got == "closed" || strings.HasPrefix(got, "GOAWAY") {
		t.Errorf("got %s, want a reset of the stream", got)
	}
	<-gone
}

// The end of a small response, which net/http holds back until its handler has returned.
func TestAnHTTP2StreamWithoutAnyWindowIsReset(t *testing.T) {
	ts := serveTLS(t, hello, func(s *Server) { s.WriteTimeout = 100 * time.Millisecond })
	c := ts.dial2raw()
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	if err := c.open(1, true, "GET", "/"); err != nil {
		t.Fatal(err)
	}
	if got := c.outcome(1); got != "200" {
		t.Fatal(got)
	}
	if got := c.outcome(1); got == "closed" || strings.HasPrefix(got, "GOAWAY") {
		t.Errorf("got %s, want a reset of the stream", got)
	}
}

func TestAStreamThatIsSilentBetweenItsChunksIsNotReset(t *testing.T) {
	ts := serveTLS(t, func(r *fakeRequest) {
		r.Start("200 OK")
		_ = r.Yield(strings.Repeat("x", 10_000))
		r.AwaitSent()
		time.Sleep(300 * time.Millisecond) // the app's own time, several write timeouts
		_ = r.Yield("end")
		r.Complete()
	}, func(s *Server) { s.WriteTimeout = 50 * time.Millisecond })
	_, body := get2(t, ts.client2(), asking("GET", "https://localhost/", ""))
	if !strings.HasSuffix(body, "xend") {
		t.Errorf("got %.20q", body)
	}
}
