// Package acmetest is a certificate authority for tests: pebble, the one that Let's Encrypt tests clients with, in the test's own process. It
// checks each challenge for real, at the addresses that it is told, whatever the domain.
package acmetest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Authority serves until the test ends.
type Authority struct {
	Directory string         // its URL
	CAFile    string         // of what its own address is certified with
	Roots     *x509.CertPool // of the certificates that it gives

	resolver string
	store    *db.MemoryStore
	issuer   *ca.CAImpl
	log      *log.Logger
	front    chan http.Handler
}

// Start starts an authority for the test, whose certificates are valid for so long. Its answers wait until Reach.
func Start(t *testing.T, validity time.Duration) *Authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_VA_ALWAYS_VALID", "0")
	t.Setenv("PEBBLE_AUTHZREUSE", "0") // a renewal has to answer a challenge too
	said := &record{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the authority said:\n" + said.String())
		}
	})
	a := &Authority{resolver: serveDNS(t), store: db.NewMemoryStore(), log: log.New(said, "", 0), front: make(chan http.Handler, 1)}
	profiles := map[string]ca.Profile{"default": {ValidityPeriod: uint64(validity / time.Second)}}
	a.issuer = ca.New(a.log, a.store, "", "ecdsa", 0, 1, profiles)
	a.Roots = x509.NewCertPool()
	a.Roots.AppendCertsFromPEM(a.issuer.GetRootCert(0).PEM())

	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case front := <-a.front:
			a.front <- front
			front.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	a.Directory = server.URL + wfe.DirectoryPath
	a.CAFile = filepath.Join(t.TempDir(), "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(a.CAFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// Reach says at which ports of 127.0.0.1 the authority finds who asks for certificates: instead of 80, where it looks for the answer to
// HTTP-01, and of 443, to TLS-ALPN-01. 1 for a port where nobody is. It is called once.
func (a *Authority) Reach(httpPort, tlsPort int) {
	checks := va.New(a.log, httpPort, tlsPort, false, a.resolver, a.store)
	const retryAfter = 1 // seconds
	front := wfe.New(a.log, a.store, checks, a.issuer, []string{"pebble.test"}, false, false, retryAfter, retryAfter)
	a.front <- front.Handler()
}

// serveDNS says that each name is 127.0.0.1, and gives its own address.
func serveDNS(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		if q := question.Question[0]; q.Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: q.Qclass, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(answer)
	})}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return ln.Addr().String()
}

// record is what was logged.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}
