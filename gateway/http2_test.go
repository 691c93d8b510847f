package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// client2 is a client that speaks HTTP/2 with the server.
func (ts *testServer) client2() *http.Client {
	ts.t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		TLSClientConfig: clientTLS(), Protocols: protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial(ts.addr.Network(), ts.addr.String())
		},
	}
	ts.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 15 * time.Second}
}

// get2 asks by HTTP/2 and reads the response.
func get2(t testing.TB, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.ProtoMajor != 2 {
		t.Fatalf("the response came by %s", response.Proto)
	}
	return response, string(body)
}

func asking(method, url, body string) *http.Request {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		panic(err)
	}
	return req
}

func TestARequestOverHTTP2IsAnswered(t *testing.T) {
	ts := serveTLS(t, func(r *fakeRequest) {
		b, _ := io.ReadAll(r)
		r.Reply("200 OK", plainText, fmt.Sprintln(r.Environ["SERVER_PROTOCOL"], r.Environ["wsgi.url_scheme"], r.Environ["HTTPS"], r.Environ["SSL_PROTOCOL"],
			r.Environ["REMOTE_ADDR"], r.Environ["HTTP_HOST"], r.Environ["PATH_INFO"], r.Environ["HTTP_COOKIE"], len(b)))
	})
	c := ts.client2()
	r := asking("POST", "https://localhost/a%20b", strings.Repeat("x", 3_000_000))
	r.Header["Cookie"] = []string{"a=1", "b=2"}
	_, body := get2(t, c, r)
	if want := "HTTP/2.0 https on TLSv1.3 127.0.0.1 localhost /a b a=1; b=2 3000000\n"; body != want {
		t.Errorf("got %q, want %q", body, want)
	}
	if n := ts.Requests(); n != 1 {
		t.Errorf("%d requests are counted", n)
	}
	if n := ts.Connections(); n != 1 {
		t.Errorf("%d connections are counted", n)
	}
}

func TestShutdownLetsHTTP2RequestsFinishAndSendsClientsAway(t *testing.T) {
	started, finish := make(chan struct{}), make(chan struct{})
	ts := serveTLS(t, func(r *fakeRequest) {
		close(started)
		<-finish
		r.Reply("200 OK", plainText, "late, but whole")
	})
	c := ts.client2()
	type result struct {
		body string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		response, err := c.Get("https://localhost/")
		if err != nil {
			results <- result{err: err}
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		results <- result{string(body), err}
	}()
	<-started
	ended := make(chan error, 1)
	go func() { ended <- ts.Shutdown(context.Background()) }()
	waitFor(t, "the server drains", ts.draining.Load)
	select {
	case err := <-ended:
		t.Fatalf("Shutdown returned %v while a request is in hand", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	if r := <-results; r.err != nil || r.body != "late, but whole" {
		t.Errorf("got %q, %v", r.body, r.err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsHTTP2RequestsWhenItsContextEnds(t *testing.T) {
	started := make(chan struct{})
	ts := serveTLS(t, func(r *fakeRequest) {
		close(started)
		r.AwaitCancel()
	})
	c := ts.client2()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Get("https://localhost/")
		failed <- err
	}()
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ts.Shutdown(ctx); err == nil {
		t.Error("Shutdown says that all is well")
	}
	if err := <-failed; err == nil {
		t.Error("the client got a response")
	}
}

func TestAnHTTP2ResponseThatFailsIsResetSoThatTheClientCanTell(t *testing.T) {
	ts := serveTLS(t, func(r *fakeRequest) {
		r.Start("200 OK")
		_ = r.Yield("a part")
		r.AwaitSent()
		r.Fail()
	})
	response, err := ts.client2().Get("https://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the end of %q can't be told from that of a whole response", body)
	}
}

func TestAnHTTP2ClientThatResetsIsNoticed(t *testing.T) {
	started, cancelled := make(chan struct{}), make(chan bool, 1)
	ts := serveTLS(t, func(r *fakeRequest) {
		close(started)
		cancelled <- r.AwaitCancel()
	})
	ctx, cancel := context.WithCancel(context.Background())
	c := ts.client2()
	go func() {
		<-started
		cancel()
	}()
	if _, err := c.Do(asking("GET", "https://localhost/", "").WithContext(ctx)); err == nil {
		t.Error("the client got a response")
	}
	if !<-cancelled {
		t.Error("not cancelled")
	}
}

func TestTheLastRequestOfAnHTTP2ConnectionClosesIt(t *testing.T) {
	ts := serveTLS(t, func(r *fakeRequest) { r.Reply("200 OK", plainText, r.Environ["REMOTE_PORT"]) }, func(s *Server) { s.MaxConnectionRequests = 3 })
	c := ts.client2()
	ports := map[string]int{}
	for range 9 {
		_, port := get2(t, c, asking("GET", "https://localhost/", ""))
		ports[port]++
	}
	for port, n := range ports {
		if n > 3 {
			t.Errorf("%d requests on the connection from port %s", n, port)
		}
	}
}

func TestHTTP2TakesStreamsAndFilesOfAnyLength(t *testing.T) {
	text := bodyText(3_000_000)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ts := serveTLS(t, paths(map[string]func(r *fakeRequest){
		"/file": func(r *fakeRequest) {
			f, err := os.Open(file)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			r.Start("200 OK", "Content-Length", "2999999")
			r.SendFile(f, 1, 2_999_999)
			r.Complete()
			r.AwaitSent()
		},
		"/echo": echo,
	}))
	c := ts.client2()
	if _, body := get2(t, c, asking("GET", "https://localhost/file", "")); body != text[1:] {
		t.Errorf("the file came as %d bytes", len(body))
	}
	for _, expect := range []string{"", "100-continue"} {
		r := asking("POST", "https://localhost/echo", text)
		if expect != "" {
			r.Header.Set("Expect", expect)
		}
		if _, body := get2(t, c, r); body != text {
			t.Errorf("with Expect %q the body came back as %d bytes", expect, len(body))
		}
	}
}

func TestARequestOfAnHTTP2ConnectionThatIsClosedForOthersDoesNotReachTheApp(t *testing.T) {
	ts := serveTLS(t, hello)
	if _, body := get2(t, ts.client2(), asking("GET", "https://localhost/", "")); body != "hello /" {
		t.Fatal(body)
	}
	c := ts.only()
	waitFor(t, "the idle connection is closed", c.evict)
	c.idleSince.Store(0) // as when the request was read before
	r := httptest.NewRequest("GET", "https://localhost/", nil)
	r = r.WithContext(context.WithValue(r.Context(), connKey{}, c))
	defer func() {
		if p := recover(); p != http.ErrAbortHandler || ts.Requests() != 1 {
			t.Errorf("panic %v, and %d requests were given to the app", p, ts.Requests())
		}
	}()
	ts.h2.ServeHTTP(httptest.NewRecorder(), r)
}
