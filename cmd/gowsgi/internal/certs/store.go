package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is how often a handshake looks whether files changed.
const checkEvery = time.Second

// Store gives handshakes what the files hold. Any goroutine may use it.
type Store struct {
	log     *slog.Logger
	config  *tls.Config
	now     atomic.Pointer[loaded]
	checked atomic.Int64 // when, in nanoseconds since 1970

	mu       sync.Mutex // guards what follows
	settings *Settings
	refused  string // the stamp of files that could not be used
	day      int64  // of the ticket keys
}

// loaded is what was made of the files.
type loaded struct {
	certificates []tls.Certificate
	clientCAs    *x509.CertPool
}

// NewStore starts with what the settings hold, whatever the files hold now.
func NewStore(s *Settings, log *slog.Logger) (*Store, error) {
	st := &Store{log: log, settings: s, day: dayOf(time.Now())}
	now, err := load(s)
	if err != nil {
		return nil, err
	}
	st.now.Store(now)
	c := &tls.Config{MinVersion: s.MinVersion, NextProtos: []string{"h2", "http/1.1"}}
	c.SetSessionTicketKeys(s.Tickets.Keys(time.Now()))
	if len(s.Pairs) > 0 {
		c.GetCertificate = st.certificate
	}
	if s.ClientCA != nil {
		c.ClientAuth = tls.VerifyClientCertIfGiven
		if s.Required {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
		c.GetConfigForClient = st.withClientCAs
	} else {
		c.GetConfigForClient = st.asItIs
	}
	st.config = c
	return st, nil
}

// Config is what listeners have in common. Others may add certificates by its GetCertificate.
func (s *Store) Config() *tls.Config { return s.config }

// certificate is the first that has the name which the client asks for and a key of a kind that it understands; else the first.
func (s *Store) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.check(time.Now())
	all := s.now.Load().certificates
	for i := range all {
		if hello.SupportsCertificate(&all[i]) == nil {
			return &all[i], nil
		}
	}
	return &all[0], nil
}

// asItIs changes the ticket keys in time, also where all sessions are resumed or the certificates are somebody else's.
func (s *Store) asItIs(*tls.ClientHelloInfo) (*tls.Config, error) {
	s.check(time.Now())
	return nil, nil
}

func (s *Store) withClientCAs(*tls.ClientHelloInfo) (*tls.Config, error) {
	s.check(time.Now())
	c := s.config.Clone()
	if c.ClientCAs = s.now.Load().clientCAs; c.ClientCAs == nil {
		return nil, errors.New("no client CA") // nil would be those of the system
	}
	return c, nil
}

// check reads files that changed, and changes the ticket keys once a day. Others who come meanwhile go on with what there is.
func (s *Store) check(now time.Time) {
	if last := s.checked.Load(); now.UnixNano()-last < int64(checkEvery) || !s.checked.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if day := dayOf(now); day != s.day {
		s.day = day
		s.config.SetSessionTicketKeys(s.settings.Tickets.Keys(now))
	}
	stamp := s.settings.stamp()
	if stamp == s.refused {
		return
	}
	next, changed, err := s.settings.reread()
	var l *loaded
	if err == nil && changed {
		l, err = load(next)
	}
	switch {
	case err != nil:
		s.refused = stamp
		s.log.Error("the TLS files have changed and can't be used; those from before serve on", "error", err)
	case changed:
		s.settings, s.refused = next, ""
		s.now.Store(l)
		s.log.Info("the TLS files have changed; new connections use them")
	}
}

func load(s *Settings) (l *loaded, err error) {
	l = new(loaded)
	if l.certificates, err = s.certificates(); err == nil && s.ClientCA != nil {
		l.clientCAs, err = s.ClientCA.pool()
	}
	return l, err
}
