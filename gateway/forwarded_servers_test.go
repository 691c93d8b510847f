package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// location answers with the client and the URL as the environ has them.
func location(r *fakeRequest) {
	e := r.Environ
	r.Reply("200 OK", plainText, fmt.Sprintf("%s:%s %s%s://%s%s%s %s:%s", e["REMOTE_ADDR"], e["REMOTE_PORT"], e["HTTPS"], e["wsgi.url_scheme"], e["HTTP_HOST"], e["SCRIPT_NAME"], e["PATH_INFO"], e["SERVER_NAME"], e["SERVER_PORT"]))
}

// forwardedLines are of a client 192.0.2.1 that lied, behind two proxies.
const forwardedLines = "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nX-Forwarded-For: 127.0.0.2\r\nX-Forwarded-Proto: http, https, http\r\nX-Forwarded-Host: example.org\r\n" +
	"X-Forwarded-Prefix: /app\r\nForwarded: for=6.6.6.6\r\n"

const forwardedURL = "192.0.2.1: onhttps://example.org/app/a example.org:443"

func TestTheHandlersTakeATrustedProxysWord(t *testing.T) {
	for _, kind := range []string{"fasthttp", "net/http"} {
		for trust, want := range map[string]string{"127.0.0.0/8": forwardedURL, "10.0.0.1": ""} {
			ts := foreignServer(t, kind, location, HandlerOptions{TrustedProxies: trusted(t, trust)})
			c := ts.dial()
			for range 2 {
				c.send("GET /a HTTP/1.1\r\nHost: h\r\n" + forwardedLines + "\r\n")
				if want == "" {
					want = fmt.Sprintf("%v http://h/a %v", c.LocalAddr(), c.RemoteAddr())
				}
				if _, got := c.response("GET"); got != want {
					t.Errorf("%s: %s, expected %s", kind, got, want)
				}
			}
		}
		for policy, want := range map[HeaderPolicy]int{RefuseUnderscores: 400, DropUnderscores: 200, AllowUnderscores: 200} {
			ts := foreignServer(t, kind, location, HandlerOptions{HeaderPolicy: policy})
			c := ts.dial()
			c.send("GET /a HTTP/1.1\r\nHost: h\r\nX_A: 1\r\n\r\n")
			if resp, _ := c.response("GET"); resp.StatusCode != want {
				t.Errorf("%s: %v: %s", kind, policy, resp.Status)
			}
		}
	}
}

func TestATrustedProxysWordHoldsOverTLSAndHTTP2(t *testing.T) {
	for trust, want := range map[string]string{"127.0.0.0/8": forwardedURL, "10.0.0.1": ""} {
		ts := serveTLS(t, location, func(s *Server) { s.TrustedProxies = trusted(t, trust) })
		c := ts.dialTLS(clientTLS("http/1.1"))
		c.send("GET /a HTTP/1.1\r\nHost: h\r\n" + forwardedLines + "\r\n")
		if want == "" {
			c.want(200, fmt.Sprintf("%v onhttps://h/a %v", c.LocalAddr(), c.RemoteAddr()))
		} else {
			c.want(200, want)
		}
		// A proxy that speaks TLS itself, for a client that did not.
		c.send("GET /a HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: http\r\n\r\n")
		if _, got := c.response("GET"); strings.Contains(got, " http://h/a") != (want != "") {
			t.Error(got)
		}

		resp, body := overHTTP2(t, ts, nil, forwardedLines)
		if want != "" && body != want || want == "" && !strings.HasPrefix(body, "127.0.0.1:") || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s, expected %s", resp.Proto, body, want)
		}
	}
	ts := serveTLS(t, location, func(s *Server) { s.HeaderPolicy = RefuseUnderscores })
	if resp, body := overHTTP2(t, ts, nil, "X_A: 1\r\n"); resp.StatusCode != 400 {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// overHTTP2 asks for /a with these header lines; what is in first goes before the handshake.
func overHTTP2(t *testing.T, ts *testServer, first []byte, lines string) (*http.Response, string) {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: clientTLS("h2"), DialContext: func(context.Context, string, string) (net.Conn, error) {
		nc, err := net.Dial(ts.addr.Network(), ts.addr.String())
		if err == nil {
			_, err = nc.Write(first)
		}
		return nc, err
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest("GET", "https://localhost/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\r\n"), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 15 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestAPROXYHeaderComesBeforeTheHandshake(t *testing.T) {
	ts := serveListener(t, location, func(ln net.Listener) net.Listener {
		return &Listener{Listener: ln, TLS: serverTLS(), ProxyProtocol: true}
	}, func(s *Server) { s.TrustedProxies = trusted(t, "127.0.0.1") })
	const want = "192.0.2.1:4660 onhttps://h/a 10.0.0.1:80"
	for _, header := range []string{proxyV1, proxyV2(1, 0x11, proxyV4Addresses)} {
		c := ts.dial()
		c.send(header)
		over := ts.client(tls.Client(c.Conn, clientTLS("http/1.1")))
		for range 2 {
			over.send("GET /a HTTP/1.1\r\nHost: h\r\n" + forwardedLines + "\r\n")
			over.want(200, want)
		}
		if _, body := overHTTP2(t, ts, []byte(header), forwardedLines); body != strings.Replace(want, "//h/", "//localhost/", 1) {
			t.Error(body)
		}
	}
	c := ts.dial() // a handshake without it
	over := ts.client(tls.Client(c.Conn, clientTLS("http/1.1")))
	if err := over.Conn.(*tls.Conn).Handshake(); err == nil {
		t.Error("a handshake without a PROXY header")
	}
}

func TestAGoHandlerSeesTheClientAsAnAppDoes(t *testing.T) {
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr, " ", r.Host, " ", r.Header["X-Forwarded-For"], r.Header["X-Real-Ip"])
	})
	const lines = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: outside.example\r\nX-Real-IP: 192.0.2.8\r\n"
	ts := serveTLS(t, hello, func(s *Server) { s.Mounts, s.TrustedProxies = []Mount{{Handler: seen}}, trusted(t, "127.0.0.1") })
	const want = "192.0.2.7:0 outside.example [192.0.2.7] [192.0.2.8]"
	c := ts.client(tls.Client(ts.dial().Conn, clientTLS("http/1.1")))
	c.send("GET /a HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n")
	c.want(200, want)
	if _, body := overHTTP2(t, ts, nil, lines); body != want {
		t.Error(body)
	}
	ts = serve(t, hello, func(s *Server) { s.Mounts = []Mount{{Handler: seen}} })
	c = ts.dial()
	c.send("GET /a HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n")
	c.want(200, c.LocalAddr().String()+" h [] []")
}
