package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// Settings are all that a process needs to speak TLS. They hold private keys.
type Settings struct {
	Pairs      []*Pair
	ClientCA   *Authority // nil: clients are not asked for a certificate
	Required   bool       // clients without a certificate are refused
	MinVersion uint16
	Tickets    Tickets
}

// Authority is a file of certificates that sign those of clients.
type Authority struct {
	File  string // absolute
	Text  []byte
	Stamp string
}

// ReadAuthority reads the file.
func ReadAuthority(file string) (*Authority, error) {
	a := &Authority{File: file, Stamp: stampOf(file)}
	var err error
	if a.Text, err = read(file, "client CA"); err != nil {
		return nil, err
	}
	_, err = a.pool()
	return a, err
}

func (a *Authority) pool() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.Text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", a.File)
	}
	return pool, nil
}

// certificates parses the pairs.
func (s *Settings) certificates() (all []tls.Certificate, err error) {
	for _, p := range s.Pairs {
		c, err := p.certificate()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// reread reads again what changed. The settings are left as they are; changed is false where nothing did.
func (s *Settings) reread() (now *Settings, changed bool, err error) {
	next := *s
	next.Pairs = append([]*Pair(nil), s.Pairs...)
	for i, p := range s.Pairs {
		if stampOf(p.CertFile, p.KeyFile) == p.Stamp {
			continue
		}
		changed = true
		if next.Pairs[i], err = ReadPair(p.CertFile, p.KeyFile); err != nil {
			return nil, true, err
		}
	}
	if a := s.ClientCA; a != nil && stampOf(a.File) != a.Stamp {
		changed = true
		if next.ClientCA, err = ReadAuthority(a.File); err != nil {
			return nil, true, err
		}
	}
	return &next, changed, nil
}

// stamp is that of all files as they are now.
func (s *Settings) stamp() string {
	var files []string
	for _, p := range s.Pairs {
		files = append(files, p.CertFile, p.KeyFile)
	}
	if s.ClientCA != nil {
		files = append(files, s.ClientCA.File)
	}
	return stampOf(files...)
}

// Pair is the one of these files, nil where there is none. s may be nil.
func (s *Settings) Pair(certFile, keyFile string) *Pair {
	if s != nil {
		for _, p := range s.Pairs {
			if p.CertFile == certFile && p.KeyFile == keyFile {
				return p
			}
		}
	}
	return nil
}

// Authority is the one of this file, nil where there is none. s may be nil.
func (s *Settings) Authority(file string) *Authority {
	if s != nil && s.ClientCA != nil && s.ClientCA.File == file {
		return s.ClientCA
	}
	return nil
}
