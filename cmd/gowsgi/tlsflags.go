package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs"
)

// tlsFlags say with which certificates the listeners speak TLS, and whether clients need any.
type tlsFlags struct {
	Certfile      []string   `placeholder:"PATH" help:"A certificate, with its chain, in PEM form: every listener speaks TLS then, unless --bind says plain or redirect. Can be repeated, for several names. It is read anew when it changes."`
	Keyfile       []string   `placeholder:"PATH" help:"The private key of the certificate, one for each --certfile, in their order. Default: in the certificate's file."`
	ClientCA      string     `name:"client-ca" placeholder:"PATH" help:"Ask clients for a certificate that one of these has signed."`
	ClientCert    clientCert `placeholder:"WHETHER" help:"Whether a client without a certificate is refused, where --client-ca is given: required or optional. Default: required."`
	TLSMinVersion string     `name:"tls-min-version" default:"1.2" enum:"1.2,1.3" placeholder:"1.2" help:"The oldest TLS that is spoken: 1.2 or 1.3. Default: ${default}."`
}

// clientCert is required, optional, or "" for required.
type clientCert string

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *clientCert) UnmarshalText(text []byte) error {
	if *c = clientCert(text); *c != "required" && *c != "optional" {
		return fmt.Errorf("%q is neither required nor optional", text)
	}
	return nil
}

func (f *tlsFlags) check(binds []bind, acme bool) error {
	speaks := len(f.Certfile) > 0 || acme
	switch redirects := slices.ContainsFunc(binds, func(b bind) bool { return b.words.Redirect }); {
	case len(f.Keyfile) > 0 && len(f.Certfile) == 0:
		return fmt.Errorf("--keyfile needs --certfile")
	case len(f.Keyfile) > 0 && len(f.Keyfile) != len(f.Certfile):
		return fmt.Errorf("--keyfile: give one for each --certfile, %d in all, or none where the certificates' files hold the keys", len(f.Certfile))
	case f.ClientCA != "" && !speaks:
		return fmt.Errorf("--client-ca needs --certfile or --acme")
	case f.TLSMinVersion != "1.2" && !speaks:
		return fmt.Errorf("--tls-min-version needs --certfile or --acme")
	case f.ClientCert != "" && f.ClientCA == "": // else who means to ask clients for certificates would not
		return fmt.Errorf("--client-cert needs --client-ca")
	case redirects && !speaks:
		return fmt.Errorf("--bind: redirect needs a certificate: --certfile or --acme")
	case redirects && !slices.ContainsFunc(binds, func(b bind) bool { return !b.words.Redirect && !b.words.Plain }):
		return fmt.Errorf("--bind: redirect needs a listener that speaks TLS, too")
	}
	return nil
}

// settings reads the files. Where one may not be read any more, since the master gave up root's rights, what it held before serves on. nil:
// nobody speaks TLS. dir is the folder that relative paths start in.
func (f *tlsFlags) settings(dir string, acme bool, before *certs.Settings, log *slog.Logger) (*certs.Settings, error) {
	if len(f.Certfile) == 0 && !acme {
		return nil, nil
	}
	s := &certs.Settings{Required: f.ClientCert != "optional", MinVersion: tls.VersionTLS12}
	if f.TLSMinVersion == "1.3" {
		s.MinVersion = tls.VersionTLS13
	}
	for i, cert := range f.Certfile {
		cert = pathIn(dir, cert)
		key := cert
		if len(f.Keyfile) > 0 {
			key = pathIn(dir, f.Keyfile[i])
		}
		p, err := certs.ReadPair(cert, key)
		if err != nil {
			if p = before.Pair(cert, key); p == nil || !errors.Is(err, os.ErrPermission) {
				return nil, usageError("--certfile: %w", err)
			}
			log.Warn("a certificate serves as it was read before root's rights were given up; renewing it takes a restart, unless the user may read it", "error", err)
		}
		for _, w := range p.Warnings() {
			log.Warn(w)
		}
		s.Pairs = append(s.Pairs, p)
	}
	if f.ClientCA != "" {
		file := pathIn(dir, f.ClientCA)
		a, err := certs.ReadAuthority(file)
		if err != nil {
			if a = before.Authority(file); a == nil || !errors.Is(err, os.ErrPermission) {
				return nil, usageError("--client-ca: %w", err)
			}
			log.Warn("the client CA serves as it was read before root's rights were given up", "error", err)
		}
		s.ClientCA = a
	}
	return s, nil
}

// speaksTLS says whether a listener does.
func (s *workerSettings) speaksTLS(l listenerSetting) bool {
	return s.TLS != nil && !l.Plain && !l.Redirect
}

// url is where a listener can be reached.
func (s *workerSettings) url(l *inherited) string {
	url := listenerURL(l.Listener)
	if s.speaksTLS(l.words.listenerSetting) {
		if path, ok := strings.CutPrefix(url, "http:"); ok {
			url = "https:" + path
		} else {
			url += " (TLS)"
		}
	}
	if l.words.Redirect {
		url += " (redirected to https)"
	}
	return url
}

// portOf is the port of an address, that of https where it has none.
func portOf(a net.Addr) int {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 443
}
