package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/acme"
	"github.com/gowsgi/gowsgi/gateway"
)

// acmeFlags say which certificates are asked for, and whom.
type acmeFlags struct {
	ACME          []acmeDomain `name:"acme" placeholder:"DOMAIN" help:"Get a certificate for a domain from Let's Encrypt, whose terms of service this agrees to, and renew it. It must reach a listener with TLS at port 443, or one with plain or redirect at port 80. Can be repeated."`
	ACMEEmail     string       `name:"acme-email" placeholder:"ADDRESS" help:"Where the authority may write about the certificates. Default: nowhere."`
	ACMEDirectory string       `name:"acme-directory" default:"${acme}" placeholder:"URL" help:"Another authority that speaks ACME (RFC 8555). Default: ${default}."`
	ACMECA        string       `name:"acme-ca" placeholder:"FILE" help:"Certificates (PEM) to check that authority's own against. Default: those of the system."`
	ACMEStorage   string       `name:"acme-storage" placeholder:"FOLDER" help:"Where keys and certificates are kept. Default: $$STATE_DIRECTORY, $$XDG_DATA_HOME/gowsgi or ~/.local/share/gowsgi."`
}

// acmeDomain is a domain in its ASCII form.
type acmeDomain string

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *acmeDomain) UnmarshalText(text []byte) error {
	name, err := acme.Domain(string(text))
	*d = acmeDomain(name)
	return err
}

func (f *acmeFlags) check() error {
	if len(f.ACME) > 0 {
		return nil
	}
	for _, flag := range []struct{ name, value string }{
		{"acme-email", f.ACMEEmail}, {"acme-directory", strings.TrimPrefix(f.ACMEDirectory, acme.DefaultDirectory)}, {"acme-ca", f.ACMECA}, {"acme-storage", f.ACMEStorage},
	} {
		if flag.value != "" {
			return fmt.Errorf("--%s needs --acme", flag.name)
		}
	}
	return nil
}

// settings are nil where no certificate is asked for; else there is a folder for them. dir is the folder that relative paths start in.
func (f *acmeFlags) settings(dir string, listeners []listenerSetting) (*acme.Settings, error) {
	if len(f.ACME) == 0 {
		return nil, nil
	}
	s := &acme.Settings{Email: f.ACMEEmail, Directory: f.ACMEDirectory, CAFile: f.ACMECA, Storage: f.ACMEStorage}
	for _, d := range f.ACME {
		if !slices.Contains(s.Domains, string(d)) {
			s.Domains = append(s.Domains, string(d))
		}
	}
	s.OverHTTP = slices.ContainsFunc(listeners, func(l listenerSetting) bool { return l.Plain || l.Redirect })
	if s.Storage == "" {
		var err error
		if s.Storage, err = acme.DefaultStorage(); err != nil {
			return nil, usageError("%w", err)
		}
	}
	s.Storage = pathIn(dir, s.Storage)
	if s.CAFile != "" {
		s.CAFile = pathIn(dir, s.CAFile)
	}
	if err := s.Prepare(); err != nil {
		return nil, usageError("%w", err)
	}
	return s, nil
}

// certifying is who asks for certificates.
type certifying struct {
	mu      sync.Mutex
	manager *acme.Manager // nil without --acme, and until the first worker serves
}

// certify asks for the certificates of the settings, instead of those of the settings before. What failed before is tried again at once.
func (m *master) certify(s *acme.Settings) {
	c := &m.certs
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.manager != nil {
		c.manager.Stop()
		c.manager = nil
	}
	if s == nil || m.ending.Err() != nil {
		return
	}
	manager, err := acme.NewManager(*s, m.log)
	if err != nil {
		m.log.Error("no certificates are asked for or renewed, until a reload", "error", err)
		return
	}
	c.manager = manager
	manager.Start()
}

// loadACME takes the certificates that ACME gets, and gives what answers the authority on listeners that serve the apps.
func (w *worker) loadACME() []gateway.Mount {
	if w.s.ACME == nil {
		return nil
	}
	w.acme = acme.NewCertificates(*w.s.ACME, w.log)
	return []gateway.Mount{{Prefix: acme.ChallengePath, Handler: w.acme.HTTPChallenge(http.NotFoundHandler())}}
}
