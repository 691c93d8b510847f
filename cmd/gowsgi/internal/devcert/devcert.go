// Package devcert makes the certificate that the development server has for https: signed by an authority of this user's own, which browsers
// can be told to trust once for all projects.
package devcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/idna"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// Browsers take no leaf of more than 398 days (CA/Browser Forum, Baseline Requirements 6.3.2, before 2026), Apple's with any authority.
	leafLife = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is made anew.
	renewBefore = 30 * 24 * time.Hour
)

// everywhere is what each certificate is for.
var everywhere = []string{"localhost", "*.localhost", "127.0.0.1", "::1"}

// Dir is where this user's authority is kept: gowsgi/dev in $XDG_DATA_HOME, by default ~/.local/share (XDG Base Directory Specification).
func Dir() (string, error) {
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) { // others are to be ignored
		return filepath.Join(data, "gowsgi/dev"), nil
	}
	home := os.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", errors.New("there is no folder for the certificate of https: set HOME or XDG_DATA_HOME")
	}
	return filepath.Join(home, ".local/share/gowsgi/dev"), nil
}

// Certificate returns the PEM files of a certificate for localhost, *.localhost, 127.0.0.1, ::1 and the hosts (names, with * as the first
// label too, or addresses), of its key (in the same file, so that the two always belong together), and of the authority that signed it.
// What is not in dir yet is made, and the certificate is made anew 30 days before it expires and where a host is missing; it keeps the
// hosts that it had, for other projects. made tells that the authority is new, so that nobody trusts it yet: see Trust.
//
// dir is made with mode 0700, keys have 0600. Processes that call it at the same time wait for each other. Any goroutine may call it.
func Certificate(dir string, hosts []string) (certFile, keyFile, caFile string, made bool, err error) {
	made, err = certificate(dir, hosts, time.Now())
	if err != nil {
		return "", "", "", false, fmt.Errorf("the certificate for https can't be made: %w", err)
	}
	leaf := filepath.Join(dir, leafFile)
	return leaf, leaf, filepath.Join(dir, authorityFile), made, nil
}

func certificate(dir string, hosts []string, now time.Time) (made bool, err error) {
	want, err := canonical(slices.Concat(everywhere, hosts))
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return false, err
	}
	defer unlock()
	ca, err := readPair(filepath.Join(dir, authorityFile), filepath.Join(dir, authorityKeyFile))
	if err != nil {
		return false, err
	}
	if ca == nil || !ca.cert.IsCA || !lasts(ca.cert, now) {
		made = true
		if ca, err = makeAuthority(dir, now); err != nil {
			return false, err
		}
	}
	file := filepath.Join(dir, leafFile)
	leaf, err := readPair(file, file)
	if err != nil {
		return false, err
	}
	if leaf != nil {
		had := namesOf(leaf.cert)
		if leaf.cert.CheckSignatureFrom(ca.cert) == nil && lasts(leaf.cert, now) && len(without(want, had)) == 0 {
			return made, nil
		}
		want = append(want, without(had, want)...)
	}
	return made, makeLeaf(file, ca, want, now)
}

// lasts tells whether a certificate is good now, and will be for a while.
func lasts(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotBefore) && now.Add(renewBefore).Before(c.NotAfter)
}

// canonical is the hosts as certificates have them: names in lower case and ASCII (IDNA), addresses in their shortest form.
func canonical(hosts []string) (all []string, err error) {
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			all = append(all, ip.String())
			continue
		}
		name, wild := strings.CutPrefix(h, "*.")
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil || ascii == "" {
			return nil, fmt.Errorf("%q is no host: want a name or an address, without a port", h)
		}
		if wild {
			ascii = "*." + ascii
		}
		all = append(all, ascii)
	}
	return all, nil
}

func namesOf(c *x509.Certificate) []string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

func without(all, some []string) (rest []string) {
	for _, s := range all {
		if !slices.Contains(some, s) && !slices.Contains(rest, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// lock waits until nobody else is at work in the folder.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
}
