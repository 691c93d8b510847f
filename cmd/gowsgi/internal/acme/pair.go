package acme

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/caddyserver/certmagic"
)

// pair is the certificate of one domain and its key, as the manager keeps them: each file is exchanged whole, one after the other.
type pair struct {
	domain, certFile, keyFile string

	mu     sync.Mutex
	looked time.Time
	stamps [2]stamp // of what cert was made from
	cert   *tls.Certificate
	told   time.Time // of a failure
}

// stamp tells whether a file is still the same.
type stamp struct {
	inode    uint64
	modified syscall.Timespec
}

func newPair(s *Settings, domain string) *pair {
	key := issuerKey(s.Directory)
	file := func(name string) string { return filepath.Join(s.Storage, filepath.FromSlash(name)) }
	return &pair{
		domain:   domain,
		certFile: file(certmagic.StorageKeys.SiteCert(key, domain)), keyFile: file(certmagic.StorageKeys.SitePrivateKey(key, domain)),
	}
}

// load reads the files. Its Leaf is set.
func (p *pair) load() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	return &cert, err
}

// current is the newest certificate that there is; the files are looked at once a second at most. The error says why there is no other, and
// whether that was not said in the last minute; it may come with a certificate.
func (p *pair) current() (cert *tls.Certificate, err error, tell bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.looked) < time.Second && p.cert != nil {
		return p.cert, nil, false
	}
	p.looked = now
	stamps, err := p.stat()
	if err == nil && (p.cert == nil || stamps != p.stamps) {
		var cert *tls.Certificate
		if cert, err = p.load(); err == nil { // else the key of a new one may be there already, but not the certificate
			p.cert, p.stamps = cert, stamps
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errNone
	}
	if err != nil && now.Sub(p.told) >= time.Minute {
		p.told, tell = now, true
	}
	return p.cert, err, tell
}

var errNone = errors.New("none has come yet")

func (p *pair) stat() (stamps [2]stamp, err error) {
	for i, name := range []string{p.certFile, p.keyFile} {
		st, err := os.Stat(name)
		if err != nil {
			return stamps, err
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			stamps[i] = stamp{sys.Ino, sys.Mtim}
		}
	}
	return stamps, nil
}
