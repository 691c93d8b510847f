package acme

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/acme/acmetest"
)

// site is a server with a listener for HTTPS and one for HTTP, as gowsgi has them.
type site struct {
	http, https       net.Listener
	httpSeen, tlsSeen sync.Map // requests and handshakes of challenges
	certs             *Certificates
}

func (s *site) httpPort() int { return s.http.Addr().(*net.TCPAddr).Port }
func (s *site) tlsPort() int  { return s.https.Addr().(*net.TCPAddr).Port }

// authority starts one that reaches the site at the ports.
func authority(t *testing.T, httpPort, tlsPort int, validity time.Duration) *acmetest.Authority {
	t.Helper()
	a := acmetest.Start(t, validity)
	a.Reach(httpPort, tlsPort)
	return a
}

const (
	long   = 90 * 24 * time.Hour // the validity of a certificate
	nobody = 1                   // a port
)

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	for _, ln := range []*net.Listener{&s.http, &s.https} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*ln = l
		t.Cleanup(func() { _ = l.Close() })
	}
	return s
}

// serve answers challenges and clients, of those domains that the settings list.
func (s *site) serve(t *testing.T, settings Settings, log *slog.Logger) {
	s.certs = NewCertificates(settings, log)
	challenges := s.certs.HTTPChallenge(http.NotFoundHandler())
	plain := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.httpSeen.Store(r.Host, true)
		challenges.ServeHTTP(w, r)
	})}
	secure := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })}
	secure.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	config := &tls.Config{}
	s.certs.AddTo(config)
	configFor := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, err := configFor(hello)
		if c != nil {
			s.tlsSeen.Store(hello.ServerName, true)
		}
		return c, err
	}
	go func() { _ = plain.Serve(s.http) }()
	go func() { _ = secure.Serve(tls.NewListener(s.https, config)) }()
	t.Cleanup(func() {
		_ = plain.Close()
		_ = secure.Close()
	})
}

// dial makes a handshake for a name.
func (s *site) dial(a *acmetest.Authority, name string) (*tls.ConnectionState, error) {
	d := &net.Dialer{Timeout: 5 * time.Second}
	c, err := tls.DialWithDialer(d, "tcp", s.https.Addr().String(), &tls.Config{ServerName: name, RootCAs: a.Roots})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	state := c.ConnectionState()
	return &state, nil
}

// logged is a log that can be read.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLog(t *testing.T) (*logged, *slog.Logger) {
	l := &logged{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("logged:\n" + l.String())
		}
	})
	return l, slog.New(slog.NewTextHandler(l, nil))
}

// within waits for a condition.
func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// start starts a manager for the test.
func start(t *testing.T, s Settings, log *slog.Logger) *Manager {
	t.Helper()
	if err := s.Prepare(); err != nil {
		t.Fatal(err)
	}
	m, err := NewManager(s, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	m.Start()
	return m
}

const patience = 60 * time.Second

func TestEachListedDomainGetsACertificateByHTTP(t *testing.T) {
	s := newSite(t)
	a := authority(t, s.httpPort(), nobody, long)
	_, log := newLog(t)
	settings := Settings{Domains: []string{"www.gowsgi.test", "api.gowsgi.test"}, Directory: a.Directory, CAFile: a.CAFile, Storage: t.TempDir(), OverHTTP: true}
	s.serve(t, settings, log)
	start(t, settings, log)
	for _, name := range settings.Domains {
		within(t, patience, "a certificate for "+name, func() bool {
			_, err := s.dial(a, name)
			return err == nil
		})
		if _, asked := s.httpSeen.Load(fmt.Sprintf("%s:%d", name, s.httpPort())); !asked {
			t.Errorf("no challenge for %s came by HTTP", name)
		}
	}
}

func TestWithoutAPlainListenerTheChallengeComesByTLSAlone(t *testing.T) {
	s := newSite(t)
	a := authority(t, s.httpPort(), s.tlsPort(), long)
	_, log := newLog(t)
	settings := Settings{Domains: []string{"www.gowsgi.test"}, Directory: a.Directory, CAFile: a.CAFile, Storage: t.TempDir()}
	s.serve(t, settings, log)
	start(t, settings, log)
	within(t, patience, "a certificate", func() bool {
		_, err := s.dial(a, "www.gowsgi.test")
		return err == nil
	})
	if _, asked := s.tlsSeen.Load("www.gowsgi.test"); !asked {
		t.Error("no challenge came by TLS")
	}
	s.httpSeen.Range(func(host, _ any) bool {
		t.Errorf("a challenge for %v came by HTTP", host)
		return true
	})
}

func TestACertificateThatIsDueIsRenewedAndServedAtOnce(t *testing.T) {
	s := newSite(t)
	a := authority(t, s.httpPort(), s.tlsPort(), 15*time.Second)
	_, log := newLog(t)
	settings := Settings{Domains: []string{"www.gowsgi.test"}, Directory: a.Directory, CAFile: a.CAFile, Storage: t.TempDir(), OverHTTP: true}
	s.serve(t, settings, log)
	start(t, settings, log)
	serials := map[string]bool{}
	within(t, 2*patience, "two certificates", func() bool {
		if state, err := s.dial(a, "www.gowsgi.test"); err == nil {
			serials[state.PeerCertificates[0].SerialNumber.String()] = true
		}
		return len(serials) == 2
	})
}

func TestSeveralManagersOfOneFolderAskOnce(t *testing.T) {
	s := newSite(t)
	a := authority(t, s.httpPort(), s.tlsPort(), long)
	text, log := newLog(t)
	settings := Settings{Domains: []string{"www.gowsgi.test"}, Directory: a.Directory, CAFile: a.CAFile, Storage: t.TempDir(), OverHTTP: true}
	s.serve(t, settings, log)
	start(t, settings, log)
	start(t, settings, log)
	within(t, patience, "a certificate", func() bool {
		_, err := s.dial(a, "www.gowsgi.test")
		return err == nil
	})
	locks := filepath.Join(settings.Storage, "locks")
	within(t, patience, "both managers are done", func() bool {
		left, _ := os.ReadDir(locks)
		return len(left) == 0
	})
	if n := strings.Count(text.String(), "a certificate came"); n != 1 {
		t.Errorf("%d certificates came", n)
	}
}

func TestKeysAreTheOwnersAlone(t *testing.T) {
	s := newSite(t)
	a := authority(t, s.httpPort(), s.tlsPort(), long)
	_, log := newLog(t)
	settings := Settings{
		Domains: []string{"www.gowsgi.test"}, Directory: a.Directory, CAFile: a.CAFile, Storage: filepath.Join(t.TempDir(), "made", "by", "the", "manager"),
	}
	s.serve(t, settings, log)
	start(t, settings, log)
	within(t, patience, "a certificate", func() bool {
		_, err := s.dial(a, "www.gowsgi.test")
		return err == nil
	})
	keys := 0
	err := filepath.WalkDir(settings.Storage, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // a lock that went away
		}
		st, err := d.Info()
		if err != nil {
			return nil
		}
		if filepath.Ext(path) == ".key" {
			keys++
			if st.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v", path, st.Mode())
			}
		}
		if d.IsDir() && st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v", path, st.Mode())
		}
		return nil
	})
	if err != nil || keys < 2 { // the account's, and the certificate's
		t.Errorf("%d keys, %v", keys, err)
	}
}

func TestWithoutAnAuthorityAClientIsToldAtOnceAndTheLogSaysWhy(t *testing.T) {
	s := newSite(t)
	text, log := newLog(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	directory := "https://" + gone.Addr().String() + "/dir"
	_ = gone.Close()
	settings := Settings{Domains: []string{"www.gowsgi.test"}, Directory: directory, Storage: t.TempDir(), OverHTTP: true}
	s.serve(t, settings, log)
	start(t, settings, log)
	for range 5 {
		_, err := s.dial(&acmetest.Authority{}, "www.gowsgi.test")
		if err == nil || !strings.Contains(err.Error(), "remote error: tls") {
			t.Fatalf("a handshake without a certificate: %v", err)
		}
	}
	if n := strings.Count(text.String(), "a client was refused, since there is no certificate"); n != 1 {
		t.Errorf("said %d times", n)
	}
	within(t, patience, "the log says that the authority can't be reached", func() bool {
		return strings.Contains(text.String(), "connection refused") && strings.Contains(text.String(), "will retry")
	})
	if r, err := http.Get("http://" + s.http.Addr().String() + "/"); err != nil || r.StatusCode != http.StatusNotFound {
		t.Errorf("the plain listener: %v, %v", r, err)
	}
}

func TestAnAuthorityThatRefusesIsNotAskedAgainAtOnce(t *testing.T) {
	s := newSite(t)
	a := authority(t, nobody, nobody, long)
	text, log := newLog(t)
	settings := Settings{Domains: []string{"www.gowsgi.test"}, Directory: a.Directory, CAFile: a.CAFile, Storage: t.TempDir(), OverHTTP: true}
	s.serve(t, settings, log)
	start(t, settings, log)
	within(t, patience, "a retry is announced", func() bool { return strings.Contains(text.String(), "will retry") })
	if !strings.Contains(text.String(), "retrying_in=1m0s") {
		t.Error("not after a minute")
	}
}

func TestOnlyListedNamesAreAnswered(t *testing.T) {
	dir := t.TempDir()
	const directory = "https://127.0.0.1:1/dir"
	challenge := `{"type":"http-01","token":"T","keyAuthorization":"T.K","identifier":{"type":"dns","value":"%s"}}`
	for _, name := range []string{"www.gowsgi.test", "other.test"} {
		for _, issuer := range []string{"127.0.0.1-1-dir"} {
			store(t, filepath.Join(dir, "acme", issuer, "challenge_tokens", name+".json"), fmt.Sprintf(challenge, name))
		}
	}
	_, log := newLog(t)
	c := NewCertificates(Settings{Domains: []string{"www.gowsgi.test"}, Directory: directory, Storage: dir}, log)
	h := c.HTTPChallenge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for _, e := range []struct {
		method, host, path string
		status             int
	}{
		{"GET", "www.gowsgi.test", ChallengePath + "/T", 200},
		{"GET", "WWW.gowsgi.test:80", ChallengePath + "/T", 200},
		{"GET", "www.gowsgi.test", ChallengePath + "/t", 418},
		{"GET", "www.gowsgi.test", ChallengePath + "/T/", 418},
		{"GET", "www.gowsgi.test", ChallengePath, 418},
		{"GET", "www.gowsgi.test", "/T", 418},
		{"POST", "www.gowsgi.test", ChallengePath + "/T", 418},
		{"GET", "other.test", ChallengePath + "/T", 418},
		{"GET", "../www.gowsgi.test", ChallengePath + "/T", 418},
		{"GET", "", ChallengePath + "/T", 418},
	} {
		r := httptest.NewRequest(e.method, e.path, nil)
		r.Host = e.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != e.status || e.status == 200 && w.Body.String() != "T.K" {
			t.Errorf("%s %s at %s: %d %q", e.method, e.path, e.host, w.Code, w.Body)
		}
	}
	for name, listed := range map[string]bool{"www.gowsgi.test": true, "WWW.Gowsgi.Test": true, "other.test": false, "": false} {
		config, err := c.challengeConfig(&tls.ClientHelloInfo{ServerName: name, SupportedProtos: []string{"acme-tls/1"}})
		if (err == nil) != listed || (config != nil) != listed {
			t.Errorf("TLS-ALPN-01 for %q: %v, %v", name, config, err)
		}
	}
	for _, protos := range [][]string{nil, {"h2", "http/1.1"}, {"acme-tls/1", "http/1.1"}} {
		if config, err := c.challengeConfig(&tls.ClientHelloInfo{ServerName: "www.gowsgi.test", SupportedProtos: protos}); config != nil || err != nil {
			t.Errorf("%q: %v, %v", protos, config, err)
		}
	}
}

// store writes a file of the storage.
func store(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDomains(t *testing.T) {
	for text, want := range map[string]string{
		"example.org": "example.org", "WWW.Example.ORG.": "www.example.org", "bücher.example": "xn--bcher-kva.example", "intranet": "intranet",
		"*.example.org": "", "127.0.0.1": "", "[::1]": "", "": "", "a b": "", "example.org/x": "", "-a.org": "", "https://example.org": "", "a..b": "", "example.org:443": "",
	} {
		if got, err := Domain(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestSettingsThatNoAuthorityCanServe(t *testing.T) {
	for _, e := range []struct {
		s    Settings
		want string
	}{
		{Settings{Domains: []string{"example.org"}, Directory: DefaultDirectory}, ""},
		{Settings{Domains: []string{"intranet"}, Directory: "https://ca.intranet/dir"}, ""},
		{Settings{Domains: []string{"intranet"}, Directory: DefaultDirectory}, "Let's Encrypt"},
		{Settings{Domains: []string{"example.org"}, Directory: "http://ca.intranet/dir"}, "https://"},
		{Settings{Domains: []string{"example.org"}, Directory: "ca"}, "https://"},
	} {
		e.s.Storage = t.TempDir()
		if err := e.s.Prepare(); (err == nil) != (e.want == "") || err != nil && !strings.Contains(err.Error(), e.want) {
			t.Errorf("%+v: %v", e.s, err)
		}
	}
}

func TestAFolderThatCantBeWrittenIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	store(t, file, "")
	s := Settings{Domains: []string{"example.org"}, Directory: DefaultDirectory, Storage: filepath.Join(file, "certificates")}
	err := s.Prepare()
	if err == nil || !strings.Contains(err.Error(), filepath.Join(file, "certificates")) || !strings.Contains(err.Error(), "--acme-storage") {
		t.Error(err)
	}
}

func TestAFileWithoutCertificatesIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	store(t, file, "no PEM")
	for _, name := range []string{file, file + "-missing"} {
		s := Settings{Domains: []string{"example.org"}, Directory: DefaultDirectory, Storage: t.TempDir(), CAFile: name}
		err := s.Prepare()
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Error(err)
		}
	}
}

func TestTheFolderThatTheEnvironmentSuggests(t *testing.T) {
	for _, e := range []struct{ state, data, home, want string }{
		{"/var/lib/site:/var/lib/more", "/data", "/home/me", "/var/lib/site"},
		{"", "/data", "/home/me", "/data/gowsgi"},
		{"", "relative", "/home/me", "/home/me/.local/share/gowsgi"},
		{"", "", "/home/me", "/home/me/.local/share/gowsgi"},
		{"", "", "", ""},
	} {
		t.Setenv("STATE_DIRECTORY", e.state)
		t.Setenv("XDG_DATA_HOME", e.data)
		t.Setenv("HOME", e.home)
		if got, err := DefaultStorage(); got != e.want || (err == nil) != (e.want != "") {
			t.Errorf("%+v: %q, %v", e, got, err)
		}
	}
}

func TestAManagerThatStoppedLeavesNothing(t *testing.T) {
	_, log := newLog(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	s := Settings{Domains: []string{"www.gowsgi.test"}, Directory: "https://" + gone.Addr().String() + "/dir", Storage: t.TempDir()}
	if err := s.Prepare(); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 10 {
		m, err := NewManager(s, log)
		if err != nil {
			t.Fatal(err)
		}
		m.Start()
		locks := filepath.Join(s.Storage, "locks")
		within(t, patience, "it has begun", func() bool {
			files, _ := os.ReadDir(locks)
			return len(files) > 0
		})
		m.Stop()
		within(t, patience, "its locks are gone", func() bool {
			files, _ := os.ReadDir(locks)
			return len(files) == 0
		})
	}
	within(t, patience, "its goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}
