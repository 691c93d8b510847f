package devcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"time"
)

const (
	authorityFile    = "ca.pem"
	authorityKeyFile = "ca-key.pem"
	leafFile         = "localhost.pem" // with its key
	lockFile         = "lock"
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  any
}

// readPair returns nil where there is none, or none that can be used.
func readPair(certFile, keyFile string) (*pair, error) {
	cert, err := os.ReadFile(certFile)
	key, keyErr := os.ReadFile(keyFile)
	if err := errors.Join(err, keyErr); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, nil // left half-written by a full disk, or another's
	}
	return &pair{c.Leaf, c.PrivateKey}, nil
}

func makeAuthority(dir string, now time.Time) (*pair, error) {
	name := "gowsgi development CA"
	if u, err := user.Current(); err == nil { // browsers show the name in lists
		host, _ := os.Hostname()
		name += " (" + u.Username + "@" + host + ")"
	}
	ca, cert, key, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, now)
	if err == nil {
		err = replace(filepath.Join(dir, authorityKeyFile), key, 0o600)
	}
	if err == nil {
		err = replace(filepath.Join(dir, authorityFile), cert, 0o644)
	}
	return ca, err
}

func makeLeaf(file string, ca *pair, hosts []string, now time.Time) error {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "gowsgi dev"}, NotAfter: now.Add(leafLife),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ca.cert.NotAfter.Before(template.NotAfter) {
		template.NotAfter = ca.cert.NotAfter
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	_, cert, key, err := sign(template, ca, now)
	if err != nil {
		return err
	}
	return replace(file, append(cert, key...), 0o600)
}

// sign makes a key (ECDSA, P-256) and its certificate, signed by itself where ca is nil, and both as PEM.
func sign(template *x509.Certificate, ca *pair, now time.Time) (p *pair, cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, nil, err
	}
	template.NotBefore = now.Add(-time.Hour) // clocks of virtual machines may be behind
	if ca == nil {
		ca = &pair{template, k}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &k.PublicKey, ca.key)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, nil, err
	}
	text, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &pair{c, k}, cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), nil
}

// replace writes a file that readers see whole, the old or the new.
func replace(file string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
