package acme

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// Manager asks for certificates and renews them, in one process. Several managers may share a folder: they take turns.
type Manager struct {
	s         Settings
	log       *slog.Logger
	cache     *certmagic.Cache
	config    *certmagic.Config
	elsewhere net.Listener
	changed   chan struct{} // a certificate came
	ctx       context.Context
	cancel    func()
}

func init() { certmagic.UserAgent = "gowsgi" }

// NewManager asks for nothing before Start. The settings are prepared.
func NewManager(s Settings, log *slog.Logger) (*Manager, error) {
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	m := &Manager{s: s, log: log, changed: make(chan struct{}, 1)}
	if m.elsewhere, err = answeredElsewhere(); err != nil {
		return nil, err
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	logger := zap.New(&zapCore{log: log, over: m.ctx.Done()})
	m.cache = certmagic.NewCache(m.options(m.interval(), logger))
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: s.Storage},
		OCSP:    certmagic.OCSPConfig{DisableStapling: true}, // who serves would need it, not this process
		OnEvent: m.onEvent, Logger: logger,
	})
	m.config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(m.config, certmagic.ACMEIssuer{
		CA: s.Directory, Email: s.Email, Agreed: true, TrustedRoots: roots, DisableHTTPChallenge: !s.OverHTTP, Logger: logger,
		ListenHost: "127.0.0.1", AltHTTPPort: m.port(), AltTLSALPNPort: m.port(),
	})}
	return m, nil
}

func (m *Manager) options(interval time.Duration, logger *zap.Logger) certmagic.CacheOptions {
	return certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: interval, Logger: logger,
	}
}

// Start begins to ask for the certificates that are missing or due, and returns at once. What fails is tried again later: after a minute, then
// ever more seldom, up to every six hours. It is called once.
func (m *Manager) Start() {
	m.log.Info("certificates come from "+m.s.Directory, "domains", m.s.Domains, "folder", m.s.Storage)
	_ = m.config.ManageAsync(m.ctx, m.s.Domains) // never fails
	go m.maintain()
}

// Stop ends all that Start began. An order that is under way is given up.
func (m *Manager) Stop() {
	m.cancel()
	m.cache.Stop()
	certmagic.CleanUpOwnLocks(context.Background(), zap.NewNop())
	_ = m.elsewhere.Close()
}

// maintain looks after certificates that are due.
func (m *Manager) maintain() {
	for {
		interval := m.interval()
		m.cache.SetOptions(m.options(interval, m.config.Logger))
		select {
		case <-m.ctx.Done():
			return
		case <-m.changed:
			continue
		case <-time.After(interval):
		}
		if err := m.cache.RenewManagedCertificates(m.ctx); err != nil && m.ctx.Err() == nil {
			m.log.Warn("certificates can't be renewed", "error", err)
		}
	}
}

// interval is how often to look: often enough for a certificate of minutes, which a private authority may give.
func (m *Manager) interval() time.Duration {
	const (
		longest, shortest = 10 * time.Minute, time.Second
		looks             = 30 // in the lifetime of a certificate; it is renewed after two thirds
	)
	interval := longest
	for _, name := range m.s.Domains {
		if cert, err := newPair(&m.s, name).load(); err == nil {
			interval = min(interval, cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)/looks)
		}
	}
	return max(interval, shortest)
}

func (m *Manager) onEvent(_ context.Context, event string, data map[string]any) error {
	if event == "cert_obtained" {
		m.log.Info("a certificate came", "domain", data["identifier"], "renewal", data["renewal"])
		select {
		case m.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

// answeredElsewhere is where certmagic is told that challenges come in: it listens there itself unless somebody does already. Others answer
// them, at addresses that this process may not even be allowed to bind.
func answeredElsewhere() (net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				time.Sleep(time.Second) // such as too many open files
				continue
			}
			_ = c.Close()
		}
	}()
	return ln, nil
}

func (m *Manager) port() int { return m.elsewhere.Addr().(*net.TCPAddr).Port }
