package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// certificate makes one for any name, and returns the files of it and of its key.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	return cert, key
}

// asHTTP asks for a URL over a connection from a loopback address to another one, and decodes the JSON that comes.
func asHTTP(t testing.TB, url, from, to string, header http.Header) (v map[string]any) {
	t.Helper()
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			return d.DialContext(ctx, "tcp", to)
		},
	}
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatalf("%s: %v in %.300q", resp.Status, err, b)
	}
	return v
}

// wantKeys compares some keys of a JSON object; nil: not there.
func wantKeys(t testing.TB, got map[string]any, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if d := cmp.Diff(value, got[name]); d != "" {
			t.Errorf("%s (-expected +got):\n%s", name, d)
		}
	}
}

// spoofed are fields by which a client poses as a proxy.
var spoofed = http.Header{
	"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"gopher"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Port": {"666"},
	"X-Forwarded-Prefix": {"/evil"}, "Forwarded": {`for=6.6.6.6;host=evil.example`}, "X-Real-Ip": {"6.6.6.6"},
}

func TestBehindNginxTheAppSeesTheClientAndItsURL(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	for _, upstream := range []string{"unix", "tcp"} {
		trust := "unix"
		if upstream == "tcp" {
			trust = "127.0.0.1"
		}
		s := start(t, "environ", options{unix: upstream == "unix", args: []string{"--trusted-proxy", trust}})
		for _, scheme := range []string{"http", "https"} {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			file, err := ln.(*net.TCPListener).File()
			_ = ln.Close()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			words := ""
			if scheme == "https" {
				words = " ssl; ssl_certificate " + cert + "; ssl_certificate_key " + key
			}
			front := behindNginxOn(t, s, &server{network: "tcp", addr: ln.Addr().String(), name: "nginx"}, words, file)
			_, port, _ := net.SplitHostPort(front.addr)
			want := map[string]any{
				"REMOTE_ADDR": "127.0.0.5", "REMOTE_PORT": nil, "wsgi.url_scheme": scheme, "HTTP_HOST": "example.org:" + port,
				"SERVER_NAME": "example.org", "SERVER_PORT": port, "SCRIPT_NAME": "", "HTTP_X_FORWARDED_PORT": nil, "HTTP_X_FORWARDED_PREFIX": nil,
				"HTTP_FORWARDED": nil, "HTTP_X_REAL_IP": "127.0.0.5",
			}
			for _, header := range []http.Header{{}, spoofed} {
				wantKeys(t, asHTTP(t, scheme+"://example.org:"+port+"/a", "127.0.0.5", front.addr, header), want)
			}
		}
	}
}

func TestWithoutATrustedProxyItsWordDoesNotReachTheApp(t *testing.T) {
	t.Parallel()
	s := shared(t, "environ")
	got := asHTTP(t, "http://example.org/a", "127.0.0.5", s.addr, spoofed)
	wantKeys(t, got, map[string]any{"REMOTE_ADDR": "127.0.0.5", "wsgi.url_scheme": "http", "HTTP_HOST": "example.org", "SCRIPT_NAME": "", "SERVER_NAME": "127.0.0.1"})
	for name := range spoofed {
		if key := "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")); got[key] != nil {
			t.Errorf("%s is %v", key, got[key])
		}
	}
}

func TestFrameworksMakeURLsOfWhatATrustedProxySays(t *testing.T) {
	t.Parallel()
	said := http.Header{
		"X-Forwarded-For": {"6.6.6.6, 192.0.2.1, 127.0.0.9"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"shop.example"}, "X-Forwarded-Prefix": {"/shop"},
	}
	rfc7239 := http.Header{"Forwarded": {`for=6.6.6.6, for="192.0.2.1:4711";proto=https;host=shop.example, for=127.0.0.9`}, "X-Forwarded-For": {"6.6.6.6"}}
	for _, app := range []string{"flask_min", "django_min"} {
		env := []string{"E2E_ALLOWED_HOSTS=shop.example", "E2E_DATABASE=" + filepath.Join(tmp, token()+".sqlite3")}
		s := start(t, app, options{env: env, args: []string{"--trusted-proxy", "127.0.0.5", "--trusted-proxy", "127.0.0.9"}})
		got := asHTTP(t, "http://inner/where?q=1", "127.0.0.5", s.addr, said)
		if d := cmp.Diff(map[string]any{
			"url": "https://shop.example/shop/where?q=1", "client": "192.0.2.1", "secure": true, "script": "/shop", "link": "https://shop.example/shop/where",
		}, got); d != "" {
			t.Errorf("%s (-expected +got):\n%s", app, d)
		}
		got = asHTTP(t, "http://shop.example/where?q=1", "127.0.0.6", s.addr, said) // by somebody else
		if d := cmp.Diff(map[string]any{
			"url": "http://shop.example/where?q=1", "client": "127.0.0.6", "secure": false, "script": "", "link": "http://shop.example/where",
		}, got); d != "" {
			t.Errorf("%s (-expected +got):\n%s", app, d)
		}
		s = start(t, app, options{env: env, args: []string{"--trusted-proxy", "127.0.0.0/8", "--forwarded-header", "forwarded"}})
		got = asHTTP(t, "http://inner/where", "127.0.0.5", s.addr, rfc7239)
		wantKeys(t, got, map[string]any{"url": "https://shop.example/where", "client": "192.0.2.1", "secure": true})
	}
}

// proxied dials as an address and sends a PROXY header first.
func (s *server) proxied(t testing.TB, header string) *client {
	t.Helper()
	c := s.dial(t)
	c.send(header)
	return c
}

func TestListenersWithAndWithoutPROXYHeadersModesAndOwners(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp(tmp, "bind-")
	if err != nil {
		t.Fatal(err)
	}
	front, back := filepath.Join(dir, "proxied.sock"), filepath.Join(dir, "plain.sock")
	owner, group := os.Getuid(), os.Getgid()
	if owner == 0 {
		owner, group = 54321, 54322
	}
	control := filepath.Join(dir, "control.sock")
	s := start(t, "environ", options{args: []string{
		"--bind", "unix:" + front + " mode=0600 proxy-protocol", "--bind", fmt.Sprintf("unix:%s mode=0666 user=%d group=%d", back, owner, group),
		"--trusted-proxy", "unix", "--trusted-proxy", "192.0.2.0/24", "--control-socket", control,
	}})
	proxied, plain := &server{network: "unix", addr: front}, &server{network: "unix", addr: back}
	check := func() {
		t.Helper()
		for path, mode := range map[string]os.FileMode{front: 0o600, back: 0o666} {
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if st.Mode().Perm() != mode {
				t.Errorf("%s has the mode %v", path, st.Mode())
			}
			if sys := st.Sys().(*syscall.Stat_t); path == back && (int(sys.Uid) != owner || int(sys.Gid) != group) {
				t.Errorf("%s belongs to %d:%d", path, sys.Uid, sys.Gid)
			}
		}
		decode := func(c *client, headers ...string) (env map[string]any) {
			t.Helper()
			if err := json.Unmarshal([]byte(c.do("GET", "/", "", headers...).body()), &env); err != nil {
				t.Fatal(err)
			}
			return env
		}
		const header = "PROXY TCP4 198.51.100.7 10.0.0.1 4660 8443\r\n"
		wantKeys(t, decode(proxied.proxied(t, header), "X-Forwarded-For: 6.6.6.6"), map[string]any{
			"REMOTE_ADDR": "198.51.100.7", "REMOTE_PORT": "4660", "SERVER_NAME": "10.0.0.1", "SERVER_PORT": "8443", "HTTP_X_FORWARDED_FOR": nil,
		})
		trusted := strings.Replace(header, "198.51.100.7", "192.0.2.9", 1)
		wantKeys(t, decode(proxied.proxied(t, trusted), "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"), map[string]any{
			"REMOTE_ADDR": "6.6.6.6", "REMOTE_PORT": nil, "wsgi.url_scheme": "https",
		})
		wantKeys(t, decode(plain.dial(t), "X-Forwarded-For: 6.6.6.6"), map[string]any{"REMOTE_ADDR": "6.6.6.6"})
		if c := plain.proxied(t, header); true {
			c.request("GET", "/", "")
			if r := c.head("GET"); r.status != 400 {
				t.Errorf("a PROXY header where none is expected: %d", r.status)
			}
		}
		c := proxied.dial(t)
		c.request("GET", "/", "")
		c.closed()
	}
	check()
	if out, code := runToEnd(t, command("reload", "--control-socket", control)); code != 0 {
		t.Fatalf("gowsgi reload: %d\n%s", code, out)
	}
	check()
	before := s.countLog("msg=reloaded")
	s.signal(t, syscall.SIGUSR2) // another program in its place
	eventually(t, "the upgrade is over", func() bool { return s.countLog("msg=reloaded") > before })
	check()
}

func TestNamesWithUnderscoresGoByTheHeaderPolicy(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]any{"drop": nil, "allow": "1"} {
		s := start(t, "environ", options{args: []string{"--header-policy", policy}})
		wantKeys(t, getJSON[map[string]any](t, s, "/", "X_A: 1", "X-B: 2", "X_B: 3", "X_Forwarded_For: 6.6.6.6"), map[string]any{
			"HTTP_X_A": want, "HTTP_X_B": "2", "HTTP_X_FORWARDED_FOR": nil,
		})
	}
	s := start(t, "environ", options{args: []string{"--header-policy", "refuse"}})
	if r, _ := s.get(t, "/", "X_A: 1"); r.status != 400 {
		t.Errorf("%d", r.status)
	}
	s.getOK(t, "/", "X-A: 1")
}

func TestASocketOfSystemdHasTheWordsOfItsAddress(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp(tmp, "passed-")
	if err != nil {
		t.Fatal(err)
	}
	var passed []*server
	var files []*os.File
	for _, name := range []string{"plain", "proxied"} {
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		passed, files = append(passed, &server{network: "unix", addr: ln.Addr().String()}), append(files, f)
	}
	args := append([]string{"serve", "--bind", "unix:" + passed[1].addr + " proxy-protocol", "--workers", "1", "--chdir", appDir("environ"), "--control-socket", dir + "/control"}, python.args...)
	c := through("LISTEN_PID=$$", append(args, "wsgi")...)
	c.Env, c.ExtraFiles = append(c.Env, "LISTEN_FDS=2"), files
	s := runServer(t, "environ", c)
	s.waitLog(t, "serving wsgi on unix:"+passed[1].addr)
	passed[0].getOK(t, "/")
	p := passed[1].proxied(t, "PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n")
	var env map[string]any
	if err := json.Unmarshal([]byte(p.do("GET", "/", "").body()), &env); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, env, map[string]any{"REMOTE_ADDR": "192.0.2.1", "SERVER_PORT": "80"})
}
