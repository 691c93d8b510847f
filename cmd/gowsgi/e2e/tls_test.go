package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tlsFiles are a certificate that signs itself, in files.
type tlsFiles struct {
	cert, key string
	pool      *x509.CertPool
	pair      tls.Certificate
}

// makeTLS writes a new certificate for localhost.
func makeTLS(t testing.TB, dir, name string) *tlsFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := &tlsFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
	for file, text := range map[string][]byte{f.cert: certPEM, f.key: keyPEM} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.pool.AppendCertsFromPEM(certPEM)
	if f.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *tlsFiles) args(more ...string) []string {
	return append([]string{"--certfile", f.cert, "--keyfile", f.key}, more...)
}

// tlsClient asks the server by TLS; with h2 by HTTP/2.
func tlsClient(t testing.TB, s *server, config *tls.Config, h2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	transport := &http.Transport{
		TLSClientConfig: config, Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, s.network, s.addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func fetchBody(t testing.TB, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	response, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestTheAppSeesHTTPSByHTTP11AndHTTP2(t *testing.T) {
	f := makeTLS(t, t.TempDir(), "server")
	s := start(t, "environ", options{args: f.args()})
	for _, h2 := range []bool{false, true} {
		_, body := fetchBody(t, tlsClient(t, s, &tls.Config{RootCAs: f.pool}, h2), "https://localhost/a%20b?q")
		var environ map[string]any
		if err := json.Unmarshal([]byte(body), &environ); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"wsgi.url_scheme": "https", "HTTPS": "on", "SSL_PROTOCOL": "TLSv1.3", "SSL_CLIENT_VERIFY": "NONE", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost",
			"PATH_INFO": "/a b", "QUERY_STRING": "q", "REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "127.0.0.1",
		}
		if h2 {
			want["SERVER_PROTOCOL"] = "HTTP/2.0"
		}
		for k, v := range want {
			if environ[k] != v {
				t.Errorf("HTTP/2 %v: %s is %v, want %s", h2, k, environ[k], v)
			}
		}
	}
}

func TestUploadsArriveWholeOverTLS(t *testing.T) {
	f := makeTLS(t, t.TempDir(), "server")
	s := start(t, "upload", options{args: f.args()})
	for _, h2 := range []bool{false, true} {
		c := tlsClient(t, s, &tls.Config{RootCAs: f.pool}, h2)
		for _, n := range []int{0, 1, 100_000, 5_000_000} {
			body := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
			response, err := c.Post("https://localhost/", "text/plain", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if want := fmt.Sprintf("%d %x", n, sha256.Sum256(body)); err != nil || string(got) != want {
				t.Errorf("HTTP/2 %v: got %s, %v; want %s", h2, got, err, want)
			}
		}
	}
}

func TestCurlSpeaksHTTP2WithTheServer(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	f := makeTLS(t, t.TempDir(), "server")
	s := start(t, "environ", options{args: f.args()})
	_, port, _ := net.SplitHostPort(s.addr)
	for flag, want := range map[string]string{"--http1.1": "1.1 200", "--http2": "2 200"} {
		out, code := runToEnd(t, exec.Command(curl, "--silent", "--show-error", flag, "--cacert", f.cert, "--output", os.DevNull, "--write-out", "%{http_version} %{http_code}",
			"https://localhost:"+port+"/"))
		if strings.Contains(out, "does not support") {
			t.Skip(out)
		}
		if code != 0 || out != want {
			t.Errorf("curl %s: %q, exit code %d", flag, out, code)
		}
	}
}

func TestARedirectingListenerSendsClientsToHTTPS(t *testing.T) {
	f := makeTLS(t, t.TempDir(), "server")
	s := start(t, "hello", options{args: f.args("--bind", "127.0.0.1:0 redirect", "--bind", "127.0.0.1:0 plain")})
	ports := servedPorts(t, s, 3)
	at := func(i int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i])) }
	ask := func(request string) (status, location string) {
		t.Helper()
		c, err := net.Dial("tcp", at(1))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, request)
		_ = c.(*net.TCPConn).CloseWrite()
		text, _ := io.ReadAll(c)
		head, _, _ := strings.Cut(string(text), "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		for _, line := range lines[1:] {
			if v, ok := strings.CutPrefix(line, "Location: "); ok {
				location = v
			}
		}
		_, status, _ = strings.Cut(lines[0], " ")
		return status, location
	}
	https := ":" + strconv.Itoa(ports[0])
	for _, test := range []struct{ name, request, location string }{ // no location: 400
		{"a path", "GET /a%20b/?c=d HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", "https://localhost" + https + "/a%20b/?c=d"},
		{"two slashes", "GET //elsewhere/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "https://localhost" + https + "//elsewhere/"},
		{"a whole URL", "GET http://localhost/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n", "https://localhost" + https + "/x?y"},
		{"a whole URL without path", "GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", "https://localhost" + https + "/"},
		{"an IPv6 address", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "https://[::1]" + https + "/"},
		{"a body", "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi", "https://localhost" + https + "/x"},
		{"no host", "GET / HTTP/1.0\r\n\r\n", ""},
		{"an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", ""},
		{"a host with a user", "GET / HTTP/1.1\r\nHost: localhost@elsewhere\r\n\r\n", ""},
		{"a host with a path", "GET / HTTP/1.1\r\nHost: elsewhere/\r\n\r\n", ""},
		{"all of the server", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},
	} {
		status, location := ask(test.request)
		want := "308 Permanent Redirect"
		if test.location == "" {
			want = "400 Bad Request"
		}
		if status != want || location != test.location {
			t.Errorf("%s: got %s %q, want %s %q", test.name, status, location, want, test.location)
		}
	}
	if _, body := fetchBody(t, http.DefaultClient, "http://"+at(2)+"/"); body == "" {
		t.Error("the plain listener does not serve the app")
	}
	http.DefaultClient.CloseIdleConnections()
}

// served is the name in the certificate that a new connection gets.
func (s *server) served() (string, error) {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, s.network, s.addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestARenewedCertificateServesWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	f := makeTLS(t, dir, "first")
	s := start(t, "hello", options{args: f.args()})
	want := func(name string) {
		t.Helper()
		eventually(t, "a new connection gets the certificate "+name, func() bool {
			got, err := s.served()
			if err != nil {
				t.Fatal(err)
			}
			return got == name
		})
	}
	want("first")
	makeTLS(t, dir, "second")
	want("second")
	if err := os.WriteFile(f.cert, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broken file is in the log", func() bool {
		want("second")
		return s.countLog("can't be used; those from before serve on") > 0
	})
	s.signal(t, syscall.SIGHUP)
	s.waitLog(t, "the reload failed")
	want("second")
	makeTLS(t, dir, "third")
	want("third")
	s.signal(t, syscall.SIGHUP)
	s.waitLog(t, "msg=reloaded")
	want("third")
}

func TestASessionIsResumedByEachWorker(t *testing.T) {
	f := makeTLS(t, t.TempDir(), "server")
	s := start(t, "sysinfo", options{args: f.args("--workers", "3")})
	cache := tls.NewLRUClientSessionCache(1)
	for i := range 20 {
		c, err := tls.Dial(s.network, s.addr, &tls.Config{RootCAs: f.pool, ServerName: "localhost", ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		if _, err := io.ReadAll(c); err != nil { // the tickets come with it
			t.Error(err)
		}
		if resumed := c.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed is %v", i, resumed)
		}
		_ = c.Close()
	}
}

func TestTheAppSeesTheClientsCertificate(t *testing.T) {
	f, alice := makeTLS(t, t.TempDir(), "server"), makeTLS(t, t.TempDir(), "alice")
	s := start(t, "environ", options{args: f.args("--client-ca", alice.cert)})
	for _, h2 := range []bool{false, true} {
		if _, err := tlsClient(t, s, &tls.Config{RootCAs: f.pool}, h2).Get("https://localhost/"); err == nil {
			t.Error("a client without a certificate gets in")
		}
		_, body := fetchBody(t, tlsClient(t, s, &tls.Config{RootCAs: f.pool, Certificates: []tls.Certificate{alice.pair}}, h2), "https://localhost/")
		for _, want := range []string{`"SSL_CLIENT_VERIFY": "SUCCESS"`, `"SSL_CLIENT_S_DN": "CN=alice"`, `-----BEGIN CERTIFICATE-----`} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in %s", want, body)
			}
		}
	}
}

func TestTLSFilesThatCannotBeUsedAreAUsageError(t *testing.T) {
	dir := t.TempDir()
	f, other := makeTLS(t, dir, "server"), makeTLS(t, t.TempDir(), "other")
	for want, args := range map[string][]string{
		"missing.pem does not exist":               {"--certfile", filepath.Join(dir, "missing.pem")},
		"does not belong to the first certificate": {"--certfile", f.cert, "--keyfile", other.key},
		"holds no private key":                     {"--certfile", f.cert},
		"one for each --certfile":                  {"--certfile", f.cert, "--keyfile", f.key, "--keyfile", other.key},
		"--client-ca needs --certfile":             {"--client-ca", f.cert},
		"redirect needs a certificate":             {"--bind", "127.0.0.1:0 redirect"},
		"redirect needs a listener":                {"--certfile", f.cert, "--keyfile", f.key, "--bind", "127.0.0.1:0 redirect"},
	} {
		all := append([]string{"serve", "--chdir", appDir("hello")}, args...)
		if !strings.Contains(strings.Join(args, " "), "--bind") {
			all = append(all, "--bind", "127.0.0.1:0")
		}
		out, code := runToEnd(t, command(append(all, "wsgi")...))
		if code != 2 || !strings.Contains(out, want) {
			t.Errorf("%q: exit code %d, %s", args, code, out)
		}
	}
}

func TestAKeyThatOnlyRootMayReadServesAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	f := makeTLS(t, t.TempDir(), "server")
	const nobody = 65534
	s := start(t, "identity", options{args: f.args("--python", pythonFor(t, &syscall.Credential{Uid: nobody, Gid: nobody}),
		"--user", strconv.Itoa(nobody), "--group", strconv.Itoa(nobody))})
	if got, err := s.served(); err != nil || got != "server" {
		t.Errorf("got %s, %v", got, err)
	}
	s.waitLog(t, "renewing it takes a restart")
	s.signal(t, syscall.SIGHUP)
	s.waitLog(t, "reloaded")
	if got, err := s.served(); err != nil || got != "server" {
		t.Errorf("after a reload: got %s, %v", got, err)
	}
}
