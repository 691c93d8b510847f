package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// ChallengePath is where an authority looks for the answer to HTTP-01, with a token behind it.
const ChallengePath = "/.well-known/acme-challenge"

// Certificates are those that a [Manager] got, maybe in another process. All methods may be called by several goroutines at once.
type Certificates struct {
	log     *slog.Logger
	storage certmagic.FileStorage
	issuers []string
	pairs   map[string]*pair
	first   *pair
}

// NewCertificates reads nothing yet.
func NewCertificates(s Settings, log *slog.Logger) *Certificates {
	c := &Certificates{
		log: log, storage: certmagic.FileStorage{Path: s.Storage}, issuers: []string{issuerKey(s.Directory)}, pairs: make(map[string]*pair),
	}
	if s.Directory == DefaultDirectory { // what failed there is tried at its staging first
		c.issuers = append(c.issuers, issuerKey(certmagic.LetsEncryptStagingCA))
	}
	for _, name := range s.Domains {
		c.pairs[name] = newPair(&s, name)
	}
	c.first = c.pairs[s.Domains[0]]
	return c
}

func (c *Certificates) pair(name string) *pair {
	return c.pairs[strings.ToLower(strings.TrimSuffix(name, "."))]
}

// AddTo has a configuration serve the certificates and answer the challenge TLS-ALPN-01. Where it has a GetCertificate already, that goes on
// for names that are not listed, and for those that have no certificate yet.
func (c *Certificates) AddTo(config *tls.Config) {
	others, configFor := config.GetCertificate, config.GetConfigForClient
	config.GetCertificate = c.getCertificate
	if others != nil {
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if p := c.pair(hello.ServerName); p != nil {
				if cert, _, _ := p.current(); cert != nil {
					return cert, nil
				}
			}
			return others(hello)
		}
	}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if challenge, err := c.challengeConfig(hello); challenge != nil || err != nil || configFor == nil {
			return challenge, err
		}
		return configFor(hello)
	}
}

// getCertificate is [tls.Config]'s. A name that is not listed, or none, gets the certificate of the first domain. Where there is none yet the
// handshake fails, and the log says so once a minute.
func (c *Certificates) getCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	p := c.pair(hello.ServerName)
	if p == nil {
		p = c.first
	}
	cert, err, tell := p.current()
	if tell && cert == nil {
		c.log.Warn("a client was refused, since there is no certificate", "domain", p.domain, "error", err)
	} else if tell {
		c.log.Warn("the new certificate can't be used; the one before goes on", "domain", p.domain, "error", err)
	}
	if cert == nil {
		return nil, fmt.Errorf("no certificate for %s: %w", p.domain, err)
	}
	return cert, nil
}

// challengeConfig is what answers the challenge TLS-ALPN-01, nil for all other clients. No certificate is asked of who asks that.
func (c *Certificates) challengeConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmez.ACMETLS1Protocol {
		return nil, nil
	}
	challenge, err := c.challenge(hello.Context(), hello.ServerName)
	if err != nil {
		return nil, err
	}
	cert, err := acmez.TLSALPN01ChallengeCert(challenge)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acmez.ACMETLS1Protocol}, Certificates: []tls.Certificate{*cert}}, nil
}

// HTTPChallenge is a handler that answers the challenge HTTP-01, and gives all other requests to next.
func (c *Certificates) HTTPChallenge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, ChallengePath+"/") {
			next.ServeHTTP(w, r)
			return
		}
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		challenge, err := c.challenge(r.Context(), host)
		if err != nil || challenge.HTTP01ResourcePath() != r.URL.Path {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte(challenge.KeyAuthorization))
	})
}

var errNoChallenge = errors.New("no challenge is under way")

// challenge is the one that a manager stored for the name. Nothing is looked up for names that are not listed.
func (c *Certificates) challenge(ctx context.Context, name string) (challenge acme.Challenge, err error) {
	p := c.pair(name)
	if p == nil {
		return challenge, fmt.Errorf("%w for %s", errNoChallenge, name)
	}
	for _, issuer := range c.issuers {
		keys := certmagic.StorageKeys
		text, err := c.storage.Load(ctx, path.Join("acme", keys.Safe(issuer), "challenge_tokens", keys.Safe(p.domain)+".json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(text, &challenge)
		}
		if err != nil {
			c.log.Warn("a challenge can't be answered", "domain", p.domain, "error", err)
		}
		return challenge, err
	}
	return challenge, fmt.Errorf("%w for %s", errNoChallenge, name)
}
