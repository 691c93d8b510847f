package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func TestAGoHandlersResponseThatIsCutEndsWithoutCloseNotify(t *testing.T) {
	ts := serveTLS(t, hello, func(s *Server) {
		s.Mounts = []Mount{{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "a part")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})}}
	})
	c := ts.dialTLS(clientTLS("http/1.1"))
	c.send("GET / HTTP/1.0\r\n\r\n") // the end of the connection is that of the body
	if text, err := io.ReadAll(c); err == nil {
		t.Errorf("the end of %q can't be told from that of a whole response", text)
	}
}

func TestTheClientOfAPROXYHeaderHoldsOverTLSAndHTTP2(t *testing.T) {
	ts := serve(t, ends)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ts.serveOn(&Listener{Listener: ln, TLS: serverTLS(), ProxyProtocol: true})
	dial := func(header, protocol string) *tls.Conn {
		nc, err := net.Dial("tcp", ts.addr.String())
		if err == nil {
			_, err = io.WriteString(nc, header)
		}
		if err != nil {
			t.Fatal(err)
		}
		ts.client(nc)
		return tls.Client(nc, clientTLS(protocol))
	}
	v2 := proxyV2(1, 0x21, proxyV6Addresses())
	for header, want := range map[string]string{
		proxyV1: "192.0.2.1:4660 10.0.0.1:80 https", v2: "2001:db8::1:4660 2001:db8::2:443 https",
	} {
		c := ts.client(dial(header, "http/1.1"))
		c.send(bareRequest + bareRequest)
		c.want(200, want)
		c.want(200, want)
		h2 := &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return dial(header, "h2"), nil },
		}}
		if resp, body := get2(t, h2, asking("GET", "https://localhost/", "")); body != want || resp.ProtoMajor != 2 {
			t.Errorf("got %q by %s, want %q", body, resp.Proto, want)
		}
		h2.CloseIdleConnections()
	}
	// A handshake without the header, and a header within TLS.
	if err := dial("", "h2").Handshake(); err == nil {
		t.Error("a handshake without a PROXY header was made")
	}
	c := ts.client(dial(proxyV1, "http/1.1"))
	c.send(proxyV1 + bareRequest)
	if resp, _ := c.response("GET"); resp.StatusCode != 400 {
		t.Errorf("a second PROXY header got %d", resp.StatusCode)
	}
}

// evictable says of each connection whether it has no request in hand.
func (ts *testServer) evictable() (n int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for c := range ts.conns {
		if c.idleSince.Load() != 0 {
			n++
		}
	}
	return n
}

func TestHTTP2ConnectionsWithoutARequestAreClosedForNewOnes(t *testing.T) {
	held := make(chan struct{})
	ts := serveTLS(t, paths(map[string]func(r *fakeRequest){
		"/":     hello,
		"/held": func(r *fakeRequest) { <-held; hello(r) },
	}), func(s *Server) { s.MaxConnections = 4 })
	busy := ts.dial2raw()
	if err := busy.open(1, true, "GET", "/held"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the request is run", func() bool { return ts.calls.Load() == 1 })
	for name, occupy := range map[string]func(){
		"silent after the handshake": func() {
			if err := ts.dialTLS(clientTLS("h2")).Conn.(*tls.Conn).Handshake(); err != nil {
				t.Fatal(err)
			}
		},
		"in a header that does not end": func() {
			c := ts.dial2raw()
			if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block(":method", "GET")}); err != nil {
				t.Fatal(err)
			}
		},
		"idle": func() {
			c := ts.dial2raw()
			if err := c.open(1, true, "GET", "/"); err != nil || c.outcome(1) != "200" {
				t.Fatal(err)
			}
		},
	} {
		for range 8 {
			occupy()
		}
		waitFor(t, name+": it can be closed", func() bool { return ts.evictable() == ts.Connections()-1 })
		ts.dialTLS(clientTLS("http/1.1")).get("/")
	}
	close(held)
	if got := busy.outcome(1); got != "200" {
		t.Errorf("the request in hand: %s", got)
	}
}

func TestAnHTTP2HeaderThatTricklesEndsAtTheIdleTimeout(t *testing.T) {
	ts := serveTLS(t, hello, func(s *Server) { s.IdleTimeout = 300 * time.Millisecond })
	c := ts.dial2raw()
	go func() { _, _ = io.Copy(io.Discard, c.conn) }()
	err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block(":method", "GET", ":scheme", "https", ":path", "/")})
	for range 1000 {
		if err == nil {
			err = c.WriteContinuation(1, false, c.block("x", "y"))
		}
		if err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err == nil {
		t.Error("the connection is still open")
	}
}

func TestAnHTTP2BodyThatComesTooSlowlyIsAnswered408(t *testing.T) {
	ts := serveTLS(t, echo, func(s *Server) { s.BodyTimeout, s.MinBodyRate = 300*time.Millisecond, 1000 })
	c := ts.dial2raw()
	if err := c.open(1, false, "POST", "/"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() { ended <- c.outcome(1) }()
	for i := range 200 {
		_ = c.WriteData(1, false, []byte("x")) // silent for no 300 ms
		select {
		case got := <-ended:
			if got != "408" {
				t.Errorf("got %s, want 408", got)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
		if i == 199 {
			t.Fatal("the body may take for ever")
		}
	}
}

func TestAnHTTP2ReaderThatIsSlowerThanTheLeastRateIsReset(t *testing.T) {
	ts := serveTLS(t, large, func(s *Server) { s.WriteTimeout = 300 * time.Millisecond })
	c := ts.dial2raw()
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	if err := c.open(1, true, "GET", "/"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		got := c.outcome(1)
		ended <- got + " " + c.outcome(1)
	}()
	for range 200 {
		_ = c.WriteWindowUpdate(1, 1)
		select {
		case got := <-ended:
			if !strings.HasPrefix(got, "200 ") || strings.HasSuffix(got, "closed") || strings.Contains(got, "GOAWAY") {
				t.Errorf("got %s, want a reset of the stream", got)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("the response may take for ever")
}

// The name is in an environ that says nothing else of the client's making unchecked.
func TestANameOfAHandshakeThatIsNoHostNameIsNotInTheEnviron(t *testing.T) {
	ts := serveTLS(t, func(r *fakeRequest) { r.Reply("200 OK", plainText, fmt.Sprintf("%q", r.Environ["SSL_TLS_SNI"])) })
	config := clientTLS("http/1.1")
	config.InsecureSkipVerify = true
	for name, want := range map[string]string{"localhost": "localhost", "a\r\nX: b": "", strings.Repeat("a", 300): ""} {
		config.ServerName = name
		c := ts.dialTLS(config)
		c.send(bareRequest)
		c.want(200, fmt.Sprintf("%q", want))
	}
}

func TestTheLogWarnsOfClientsWhoseCertificateIsRefused(t *testing.T) {
	stranger := clientTLS("http/1.1")
	stranger.Certificates = []tls.Certificate{authority().issue("alice")}
	for why, client := range map[string]*tls.Config{"client didn't provide a certificate": clientTLS("http/1.1"), "unknown authority": stranger} {
		t.Run(why, func(t *testing.T) {
			config := serverTLS()
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
			ts := serveListener(t, hello, func(ln net.Listener) net.Listener { return &Listener{Listener: ln, TLS: config} })
			_, _ = io.ReadAll(ts.dialTLS(client))
			waitFor(t, "the warning", func() bool { return strings.Contains(ts.logs.String(), "clients were refused") })
			if logs := ts.logs.String(); !strings.Contains(logs, "level=WARN") || !strings.Contains(logs, "127.0.0.1") || !strings.Contains(logs, why) {
				t.Error(logs)
			}
		})
	}
}

func TestRefusedCertificatesAreLoggedOnceAMinuteWithTheirNumber(t *testing.T) {
	logs := &logBuffer{}
	s := &Server{Logger: slog.New(slog.NewTextHandler(logs, nil))}
	begin := time.Now()
	for _, step := range []struct {
		after     time.Duration
		new, want int
	}{{0, 3, 3}, {time.Second, 4, 0}, {59 * time.Second, 5, 0}, {60 * time.Second, 1, 10}, {130 * time.Second, 0, 0}, {131 * time.Second, 1, 1}} {
		for range step.new {
			s.uncertified.add("a client")
		}
		before := logs.String()
		s.report(begin.Add(step.after))
		waitFor(t, "it is logged", func() bool { return !s.reporting.Load() })
		said := strings.TrimPrefix(logs.String(), before)
		if step.want == 0 && said != "" || step.want > 0 && !strings.Contains(said, fmt.Sprintf(" connections=%d ", step.want)) {
			t.Errorf("after %v: %q, want %d", step.after, said, step.want)
		}
	}
}
