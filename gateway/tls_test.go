package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestWhatHoldsOfHTTP11HoldsOverTLS runs the tests of requests, bodies and responses again in a child where serve and dial speak TLS.
func TestWhatHoldsOfHTTP11HoldsOverTLS(t *testing.T) {
	if overTLS {
		t.Skip("this is the child")
	}
	tests := []string{
		"ASmallRequestIsAnswered", "PipelinedRequestsAreAnswered", "ShutdownClosesIdle", "ShutdownCutsRequests", "AConnectionThatIsCutAtShutdown",
		"HeaderNamesKeep", "WhatMustNotReachTheWire", "AResponseIsFramed", "HTTP10KeepAlive", "ConnectionCloseIsHeard", "EachChunkGoesOut", "AReplyLonger",
		"AReplyThatFallsShort", "AFailureBeforeTheHead", "TheNextRequestIsServed", "BigReplies", "FilesAreSent", "ASlowReader", "AResponseWhoseTimeIsOver",
		"ABodyIsWhole", "WithStreamInput", "ABodyThatTheAppDidNotRead", "ABodyOverTheLimit", "ABadChunkInAStream", "ContinueIs", "SlowClientsAre",
		"TheTimeForAHeader", "AClientThat",
	}
	child := exec.Command(os.Args[0], "-test.run=^Test("+strings.Join(tests, "|")+")", "-test.timeout=4m", "-test.v")
	child.Env = append(os.Environ(), "GATEWAY_TEST_TLS=1")
	out, err := child.CombinedOutput()
	if ran := strings.Count(string(out), "\n--- PASS: "); err != nil || ran < len(tests) {
		t.Errorf("%v, after %d tests that passed:\n%s", err, ran, out)
	}
}

func TestTheEnvironOfATLSConnectionHasTheNamesOfModSSL(t *testing.T) {
	keys := []string{"wsgi.url_scheme", "HTTPS", "SSL_PROTOCOL", "SSL_CIPHER", "SSL_TLS_SNI", "SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN", "SSL_CLIENT_I_DN",
		"SSL_CLIENT_M_SERIAL", "SSL_CLIENT_CERT"}
	run := func(r *fakeRequest) {
		var b strings.Builder
		for _, k := range keys {
			b.WriteString(k + "=" + r.Environ[k] + "\n")
		}
		r.Reply("200 OK", plainText, b.String())
	}
	config := serverTLS()
	config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, authority().pool
	ts := serveListener(t, run, func(ln net.Listener) net.Listener { return &Listener{Listener: ln, TLS: config} })

	_, without := ts.dialTLS(clientTLS("http/1.1")).get("/")
	want := "wsgi.url_scheme=https\nHTTPS=on\nSSL_PROTOCOL=TLSv1.3\nSSL_CIPHER=TLS_AES_128_GCM_SHA256\nSSL_TLS_SNI=localhost\nSSL_CLIENT_VERIFY=NONE\n" +
		"SSL_CLIENT_S_DN=\nSSL_CLIENT_I_DN=\nSSL_CLIENT_M_SERIAL=\nSSL_CLIENT_CERT=\n"
	if without != want {
		t.Errorf("without a client certificate: got\n%swant\n%s", without, want)
	}

	asks := clientTLS("http/1.1")
	asks.Certificates, asks.MaxVersion = []tls.Certificate{authority().issue("alice")}, tls.VersionTLS12
	_, with := ts.dialTLS(asks).get("/")
	for _, line := range []string{
		"SSL_PROTOCOL=TLSv1.2\n", "SSL_CLIENT_VERIFY=SUCCESS\n", "SSL_CLIENT_S_DN=CN=alice,O=Tests\n", "SSL_CLIENT_I_DN=CN=Test CA,O=Tests\n",
		"SSL_CLIENT_M_SERIAL=ABC123\n", "SSL_CLIENT_CERT=-----BEGIN CERTIFICATE-----\n",
	} {
		if !strings.Contains(with, line) {
			t.Errorf("with a client certificate: no %q in\n%s", line, with)
		}
	}
}

func TestAClientThatSpeaksPlainHTTPToATLSListenerIsTold(t *testing.T) {
	ts := serveTLS(t, hello)
	nc, err := net.Dial("tcp", ts.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	c := ts.client(nc)
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(400, "*")
	c.wantClosed()
}

func TestAHandshakeThatTakesTooLongIsCut(t *testing.T) {
	ts := serveTLS(t, hello, func(s *Server) { s.HeaderTimeout = 100 * time.Millisecond })
	for _, sent := range []string{"", "\x16\x03\x01\x02\x00\x01"} {
		nc, err := net.Dial("tcp", ts.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		c := ts.client(nc)
		c.send(sent)
		c.wantClosed()
	}
	waitFor(t, "no connection is left", func() bool { return ts.Connections() == 0 })
}

func TestShutdownDoesNotWaitForAHandshakeThatHasNotBegun(t *testing.T) {
	ts := serveTLS(t, hello)
	nc, err := net.Dial("tcp", ts.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	ts.client(nc)
	waitFor(t, "the connection is there", func() bool { return ts.Connections() == 1 })
	// The end of the test is the shutdown, which fails where it takes longer than 10 s.
}

func TestACutResponseEndsWithoutCloseNotifyAndAWholeOneWithIt(t *testing.T) {
	ts := serveTLS(t, paths(map[string]func(r *fakeRequest){
		"/whole": func(r *fakeRequest) {
			r.Start("200 OK")
			_ = r.Yield("all of it")
			r.Complete()
		},
		"/cut": func(r *fakeRequest) {
			r.Start("200 OK")
			_ = r.Yield("a part")
			r.AwaitSent()
			r.Fail()
		},
	}))
	read := func(path string) (string, error) {
		c := ts.dialTLS(clientTLS("http/1.1"))
		c.send("GET " + path + " HTTP/1.0\r\n\r\n") // the end of the connection is that of the body
		b, err := io.ReadAll(c)
		return string(b), err
	}
	if text, err := read("/whole"); err != nil || !strings.HasSuffix(text, "all of it") {
		t.Errorf("got %q, %v", text, err)
	}
	if text, err := read("/cut"); err == nil {
		t.Errorf("the end of %q can't be told from that of a whole response", text)
	}
}

func TestAnIdleTLSConnectionIsClosedWithCloseNotify(t *testing.T) {
	ts := serveTLS(t, hello, func(s *Server) { s.IdleTimeout = shortTimeout })
	c := ts.dialTLS(clientTLS("http/1.1"))
	c.get("/")
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want io.EOF", err)
	}
}

func TestAClientThatNeverReadsIsCutOverTLS(t *testing.T) {
	gone := make(chan struct{})
	ts := serveTLS(t, func(r *fakeRequest) {
		defer close(gone)
		r.Start("200 OK")
		for r.Yield(strings.Repeat("x", 60<<10)) == nil {
		}
	}, func(s *Server) { s.WriteTimeout = 50 * time.Millisecond })
	c := ts.dialTLS(clientTLS("http/1.1"))
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-gone
	waitFor(t, "the connection is forgotten", func() bool { return ts.Connections() == 0 })
}

// A whole response that the socket does not take at once is finished by the writer, though TLS has taken all of it.
func TestAWholeResponseThatTheSocketDoesNotTakeAtOnceArrives(t *testing.T) {
	body := bodyText(60 << 10)
	ts := serveTLS(t, func(r *fakeRequest) { r.Reply("200 OK", plainText, body) })
	c := ts.dialTLS(clientTLS("http/1.1"))
	const n = 300
	c.send(strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", n))
	waitFor(t, "some are written by a goroutine", func() bool {
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "(*call).write(")
	})
	for range n {
		c.want(200, body)
	}
}

func TestRecordsThatComeInPiecesAreReadWhole(t *testing.T) {
	ts := serveTLS(t, echo)
	nc, err := net.Dial("tcp", ts.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	c := ts.client(tls.Client(byteByByte{nc}, clientTLS("http/1.1")))
	for range 3 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
		c.want(200, "hello")
	}
}

// byteByByte writes each byte by itself.
type byteByByte struct{ net.Conn }

func (c byteByByte) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		runtime.Gosched()
	}
	return len(p), nil
}

// serve counts what is left over.
func TestManyHandshakesLeaveNothing(t *testing.T) {
	ts := serveTLS(t, hello)
	const n, atOnce = 2000, 50
	ends := make(chan error, n)
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			nc, err := net.Dial("tcp", ts.addr.String())
			if err != nil {
				ends <- err
				return
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
			protocol := []string{"h2", "http/1.1", "other"}[i%3]
			switch conn := tls.Client(nc, clientTLS(protocol)); {
			case i%5 == 0: // it leaves before
				_, err = nc.Write([]byte("\x16\x03\x01\x00"))
			case protocol == "other":
				if conn.Handshake() == nil {
					err = errors.New("a protocol that nobody speaks was agreed on")
				}
			default:
				err = conn.Handshake()
			}
			ends <- err
		}()
	}
	for range n {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	waitFor(t, "no connection is left", func() bool { return ts.Connections() == 0 })
}

func TestAnIdleTLSConnectionHasNoGoroutineAndLittleMemory(t *testing.T) {
	ts := serveTLS(t, hello)
	const n = 300
	measure := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	ts.dialTLS(clientTLS("http/1.1")).get("/")
	before, goroutines := measure(), runtime.NumGoroutine()
	conns := make([]*client, n)
	for i := range conns {
		conns[i] = ts.dialTLS(clientTLS("http/1.1"))
		conns[i].get("/")
	}
	waitFor(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+n/10 })
	per := (measure() - before) / n
	t.Logf("%d bytes for each idle connection, the client's end among them", per)
	if per > 64<<10 {
		t.Errorf("%d bytes for each idle connection", per)
	}
}

func TestTheHandlerOfAListenerAnswersInsteadOfTheMounts(t *testing.T) {
	ts := serveListener(t, hello, func(ln net.Listener) net.Listener {
		return &Listener{Listener: ln, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "the listener's "+r.URL.Path)
		})}
	})
	if _, body := ts.dial().get("/x"); body != "the listener's /x" {
		t.Errorf("got %q", body)
	}
}
