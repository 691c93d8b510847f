package acme

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs/certtest"
	"go.uber.org/zap"
)

// exchange puts another file in a file's place.
func exchange(t *testing.T, path string, text []byte) {
	t.Helper()
	store(t, path+".new", string(text))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

const directory = "https://ca.test/dir"

func settings(t *testing.T, domains ...string) Settings {
	return Settings{Domains: domains, Directory: directory, Storage: t.TempDir()}
}

func TestWhileANewPairIsHalfWrittenTheOldOneIsServed(t *testing.T) {
	s := settings(t, "www.gowsgi.test")
	p := newPair(&s, "www.gowsgi.test")
	look := func() (*tls.Certificate, error) {
		p.looked = time.Time{}
		cert, err, _ := p.current()
		return cert, err
	}
	if cert, err := look(); cert != nil || !errors.Is(err, errNone) {
		t.Fatalf("nothing there: %v, %v", cert, err)
	}
	cert1, key1 := certtest.SelfSigned(t, "www.gowsgi.test")
	exchange(t, p.keyFile, key1)
	if cert, err := look(); cert != nil || !errors.Is(err, errNone) {
		t.Fatalf("the key alone: %v, %v", cert, err)
	}
	exchange(t, p.certFile, cert1)
	first, err := look()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := look(); again != first || err != nil {
		t.Errorf("the same files were read anew: %v", err)
	}
	cert2, key2 := certtest.SelfSigned(t, "www.gowsgi.test")
	exchange(t, p.keyFile, key2)
	if cert, err := look(); cert != first || err == nil {
		t.Errorf("another key alone: %v", err)
	}
	exchange(t, p.certFile, cert2)
	second, err := look()
	if err != nil || second == first {
		t.Errorf("the new pair is not served: %v", err)
	}
	exchange(t, p.certFile, []byte("no PEM"))
	if cert, err := look(); cert != second || err == nil {
		t.Errorf("a broken certificate: %v", err)
	}
	if err := os.Remove(p.certFile); err != nil {
		t.Fatal(err)
	}
	if cert, _ := look(); cert != second {
		t.Error("the pair is gone from memory with its files")
	}
}

func TestFilesAreLookedAtOnceASecondAtMost(t *testing.T) {
	s := settings(t, "www.gowsgi.test")
	p := newPair(&s, "www.gowsgi.test")
	cert, key := certtest.SelfSigned(t, "www.gowsgi.test")
	exchange(t, p.keyFile, key)
	exchange(t, p.certFile, cert)
	first, err, _ := p.current()
	if err != nil {
		t.Fatal(err)
	}
	p.looked = time.Now().Add(time.Hour) // so that this test can be as slow as it likes
	if err := os.Remove(p.certFile); err != nil {
		t.Fatal(err)
	}
	if again, err, _ := p.current(); again != first || err != nil {
		t.Errorf("%v", err)
	}
}

func TestOtherCertificatesServeOtherNamesAndThoseThatWait(t *testing.T) {
	s := settings(t, "www.gowsgi.test", "api.gowsgi.test")
	_, log := newLog(t)
	c := NewCertificates(s, log)
	p := newPair(&s, "www.gowsgi.test")
	cert, key := certtest.SelfSigned(t, "www.gowsgi.test")
	exchange(t, p.keyFile, key)
	exchange(t, p.certFile, cert)
	other, asked := &tls.Certificate{}, 0
	config := &tls.Config{
		GetCertificate:     func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return other, nil },
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { asked++; return nil, nil },
	}
	c.AddTo(config)
	for name, ours := range map[string]bool{"www.gowsgi.test": true, "api.gowsgi.test": false, "other.test": false, "": false} {
		got, err := config.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || (got != other) != ours {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := config.GetConfigForClient(&tls.ClientHelloInfo{ServerName: "www.gowsgi.test", SupportedProtos: []string{"h2"}}); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestWithoutANameTheFirstDomainIsServed(t *testing.T) {
	s := settings(t, "www.gowsgi.test", "api.gowsgi.test")
	_, log := newLog(t)
	for _, name := range s.Domains {
		p := newPair(&s, name)
		cert, key := certtest.SelfSigned(t, name)
		exchange(t, p.keyFile, key)
		exchange(t, p.certFile, cert)
	}
	config := &tls.Config{}
	NewCertificates(s, log).AddTo(config)
	for name, want := range map[string]string{"": "www.gowsgi.test", "other.test": "www.gowsgi.test", "api.gowsgi.test": "api.gowsgi.test", "API.gowsgi.test.": "api.gowsgi.test"} {
		got, err := config.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || got.Leaf.DNSNames[0] != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}

// certmagic tries at the staging what failed before it asks Let's Encrypt again.
func TestChallengesOfLetsEncryptsStagingAreAnsweredToo(t *testing.T) {
	s := settings(t, "www.gowsgi.test")
	s.Directory = DefaultDirectory
	_, log := newLog(t)
	c := NewCertificates(s, log)
	store(t, filepath.Join(s.Storage, "acme", "acme-staging-v02.api.letsencrypt.org-directory", "challenge_tokens", "www.gowsgi.test.json"),
		`{"type":"http-01","token":"T","keyAuthorization":"T.K","identifier":{"type":"dns","value":"www.gowsgi.test"}}`)
	r := httptest.NewRequest("GET", ChallengePath+"/T", nil)
	r.Host = "www.gowsgi.test"
	w := httptest.NewRecorder()
	c.HTTPChallenge(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Body.String() != "T.K" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

func TestWhatCertmagicLogsGoesToOurLogUntilTheEnd(t *testing.T) {
	var text bytes.Buffer
	over := make(chan struct{})
	l := zap.New(&zapCore{log: slog.New(slog.NewTextHandler(&text, nil)), over: over}).Named("maintenance").With(zap.String("a", "1"))
	l.Info("a step")
	l.Error("it failed", zap.Error(errors.New("why")), zap.Strings("identifiers", []string{"x", "y"}))
	close(over)
	l.Error("later")
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=WARN msg="acme: it failed" a=1 error=why identifiers="[x y]"`) {
		t.Errorf("%s", got)
	}
}
