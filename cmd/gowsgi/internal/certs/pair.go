// Package certs holds the server's TLS certificates: read from files, and read anew when these change.
package certs

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Pair is a certificate, with its chain, and its key. Both are kept as they were read, so that they can be given to a process that has no right
// to read the files.
type Pair struct {
	CertFile, KeyFile string // absolute; the same where one file has both
	Cert, Key         []byte
	Stamp             string // of the files that Cert and Key were read from
}

// ReadPair reads the files and sees that they belong together. Its errors name the file and what to do.
func ReadPair(certFile, keyFile string) (*Pair, error) {
	p := &Pair{CertFile: certFile, KeyFile: keyFile, Stamp: stampOf(certFile, keyFile)}
	var err error
	if p.Cert, err = read(certFile, "certificate"); err != nil {
		return nil, err
	}
	if p.Key, err = read(keyFile, "key"); err != nil {
		return nil, err
	}
	_, err = p.certificate()
	return p, err
}

func read(file, what string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the %s %s does not exist", what, file)
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("the %s %s can't be read: %w", what, file, os.ErrPermission)
	}
	if err != nil {
		return nil, fmt.Errorf("the %s can't be read: %w", what, err)
	}
	return b, nil
}

// certificate parses the pair.
func (p *Pair) certificate() (tls.Certificate, error) {
	var none tls.Certificate
	if blocks(p.Cert, func(b *pem.Block) bool { return b.Type == "CERTIFICATE" }) == 0 {
		return none, fmt.Errorf("%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", p.CertFile)
	}
	if blocks(p.Key, func(b *pem.Block) bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") }) == 0 {
		return none, fmt.Errorf("%s holds no private key in PEM form (-----BEGIN PRIVATE KEY-----); name the key's file with --keyfile", p.KeyFile)
	}
	if blocks(p.Key, isEncrypted) > 0 {
		return none, fmt.Errorf("the key %s is protected by a password, which nobody can type in for a server: write it without (openssl pkey -in %s -out NEW)",
			p.KeyFile, p.KeyFile)
	}
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil && strings.Contains(err.Error(), "does not match") {
		return none, fmt.Errorf("the key %s does not belong to the first certificate of %s", p.KeyFile, p.CertFile)
	}
	if err != nil {
		return none, fmt.Errorf("%s and %s can't be used: %w", p.CertFile, p.KeyFile, err)
	}
	return c, nil
}

// blocks counts the PEM blocks of a kind.
func blocks(text []byte, is func(*pem.Block) bool) (n int) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return n
		}
		if is(b) {
			n++
		}
	}
}

func isEncrypted(b *pem.Block) bool {
	return b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED")
}

// Warnings are what is wrong with the pair without keeping it from being used.
func (p *Pair) Warnings() (all []string) {
	if c, err := p.certificate(); err == nil && time.Now().After(c.Leaf.NotAfter) {
		all = append(all, fmt.Sprintf("the certificate %s has expired on %s: clients will refuse it", p.CertFile, c.Leaf.NotAfter.Format(time.DateOnly)))
	}
	if st, err := os.Stat(p.KeyFile); err == nil && st.Mode().Perm()&0o004 != 0 {
		all = append(all, fmt.Sprintf("the key %s can be read by every user of this machine: chmod o-r %s", p.KeyFile, p.KeyFile))
	}
	return all
}

// stampOf tells whether a file was changed or exchanged since; links are followed.
func stampOf(files ...string) string {
	var b bytes.Buffer
	for _, file := range files {
		st, err := os.Stat(file)
		if err != nil {
			fmt.Fprintln(&b, "missing")
			continue
		}
		fmt.Fprintln(&b, inode(st), st.Size(), st.ModTime().UnixNano())
	}
	return b.String()
}
