// Package acme gets certificates from a certificate authority by its protocol (RFC 8555), and renews them. One process has a [Manager], which
// asks for them and keeps them in a folder; those that serve have [Certificates], which takes them from there and answers the authority's
// challenges (HTTP-01 of RFC 8555, TLS-ALPN-01 of RFC 8737), whichever of the processes it reaches.
package acme

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/certmagic"
	"golang.org/x/net/idna"
)

// DefaultDirectory is Let's Encrypt.
const DefaultDirectory = certmagic.LetsEncryptProductionCA

// Settings say which certificates there are to be, and where. All processes that share Storage have the same.
type Settings struct {
	Domains   []string // as Domain gives them; each gets a certificate of its own, and no other name ever does
	Email     string   // of an account that the authority makes; "": none
	Directory string   // the authority's URL
	CAFile    string   // of certificates that the authority's own is checked against; "": those of the system
	Storage   string   // a folder, for keys and certificates
	OverHTTP  bool     // there is a listener without TLS, for HTTP-01
}

// Domain is the ASCII form of a name that a certificate can be asked for. Wildcards are refused: they need a DNS challenge.
func Domain(text string) (string, error) {
	if strings.Contains(text, "*") {
		return "", fmt.Errorf("%q: a certificate for a wildcard can't be had by HTTP or TLS; give each name", text)
	}
	if _, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return "", fmt.Errorf("%q is an address: give a name", text)
	}
	name, err := hostNames.ToASCII(strings.TrimSuffix(text, "."))
	if err != nil || name == "" || !certmagic.SubjectQualifiesForCert(name) {
		return "", fmt.Errorf("%q is not the name of a host, such as www.example.org", text)
	}
	return name, nil
}

var hostNames = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// Prepare makes the folder, and says what can't work whatever the authority says. It is done by the user whom the manager runs as.
func (s *Settings) Prepare() error {
	u, err := url.Parse(s.Directory)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--acme-directory: %q is not the https:// address of an ACME directory", s.Directory)
	}
	for _, name := range s.Domains {
		if s.Directory == DefaultDirectory && !(strings.Contains(name, ".") && certmagic.SubjectQualifiesForPublicCert(name)) {
			return fmt.Errorf("--acme: Let's Encrypt gives no certificate for %q, which is no name of the public internet", name)
		}
	}
	if _, err := s.roots(); err != nil {
		return err
	}
	return s.makeStorage()
}

// DefaultStorage is the folder for certificates that the environment suggests: what systemd made for the service (StateDirectory=), or one
// in the user's own.
func DefaultStorage() (string, error) {
	if state, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); state != "" {
		return state, nil
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "gowsgi"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder to keep certificates in: %w; name one with --acme-storage", err)
	}
	return filepath.Join(home, ".local", "share", "gowsgi"), nil
}

// makeStorage makes the folder, and tries whether files can be made there.
func (s *Settings) makeStorage() error {
	const ownerOnly = 0o700
	err := os.MkdirAll(s.Storage, ownerOnly)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(s.Storage, ".try-"); err == nil {
			_ = f.Close()
			err = os.Remove(f.Name())
		}
	}
	if err == nil {
		return nil
	}
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("certificates can't be kept in %s by user %d: %w; name a folder that this user may write to with --acme-storage",
		s.Storage, os.Geteuid(), err)
}

// roots are the certificates of CAFile, nil where none is named.
func (s *Settings) roots() (*x509.CertPool, error) {
	if s.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--acme-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--acme-ca: there is no certificate in PEM form in %s", s.CAFile)
	}
	return pool, nil
}

// issuerKey is the name that the storage has for an authority.
func issuerKey(directory string) string { return (&certmagic.ACMEIssuer{CA: directory}).IssuerKey() }
