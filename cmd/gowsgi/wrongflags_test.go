package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// certificateFile is a PEM file with a certificate and its key.
func certificateFile(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "both.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFlagThatWouldDoNothingOrCanNotBeMeantIsAUsageError(t *testing.T) {
	cert := certificateFile(t)
	for _, c := range []struct {
		args []string
		part string
	}{
		{[]string{"--keyfile", "k"}, "--keyfile needs --certfile"},
		{[]string{"--client-cert", "required"}, "--client-cert needs --client-ca"},
		{[]string{"--client-cert", "maybe"}, `"maybe" is neither required nor optional`},
		{[]string{"--client-ca", "ca"}, "--client-ca needs --certfile"},
		{[]string{"--certfile", cert, "--bind", "127.0.0.1:0 plain"}, "no listener speaks TLS"},
		{[]string{"--certfile", cert, "--bind", "127.0.0.1:0 redirect"}, "redirect needs a listener that speaks TLS"},
		{[]string{"--access-log-format", "json"}, "--access-log-format needs --access-log"},
		{[]string{"--tls-min-version", "1.3"}, "--tls-min-version needs --certfile or --acme"},
		{[]string{"--forwarded-header", "forwarded"}, "--forwarded-header needs --trusted-proxy"},
		{[]string{"--acme-email", "a@b.example"}, "--acme-email needs --acme"},
		{[]string{"--acme-directory", "https://ca.example/directory"}, "--acme-directory needs --acme"},
		{[]string{"--acme-ca", "ca.pem"}, "--acme-ca needs --acme"},
		{[]string{"--acme-storage", "certificates"}, "--acme-storage needs --acme"},
		{[]string{"--max-connections=-1"}, `"-1" is no number of connections`},
		{[]string{"--static", "/a/../b=."}, "is not PREFIX=FOLDER"},
		{[]string{"--header-timeout", "5"}, `"5" is no time such as 30s`},
	} {
		args := append([]string{"serve", "site", "--control-socket", filepath.Join(t.TempDir(), "c")}, c.args...)
		code, _, stderr := runCommand(t, command(args...))
		if code != exitUsage || !strings.Contains(stderr, c.part) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: code %d: %s", c.args, code, stderr)
		}
	}
}

func TestCheckReadsTheCertificatesAndFindsTheUser(t *testing.T) {
	for _, args := range [][]string{{"--certfile", "none.pem"}, {"--user", "nobody-of-that-name"}} {
		code, _, stderr := runCommand(t, command(append([]string{"check", noPython}, args...)...))
		if code != exitUsage || !strings.Contains(stderr, strings.Join(args[:1], " ")) {
			t.Errorf("%q: code %d: %s", args, code, stderr)
		}
	}
}

func TestREADMEHasEveryFlagInTheOrderOfHelp(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Flags of")
	section, _, _ = strings.Cut(section, "\nExit codes")
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section, -1) {
		told = append(told, regexp.MustCompile("`--[a-z-]+|, `--[a-z-]+").FindAllString(row[1], -1)...)
	}
	for i := range told {
		told[i] = strings.Trim(told[i], "`, ")
	}
	_, help, _ := runCommand(t, command("serve", "--help"))
	var flags []string
	for _, row := range regexp.MustCompile(`(?m)^      (--[a-z-]+)`).FindAllStringSubmatch(help, -1) {
		flags = append(flags, row[1])
	}
	if len(flags) == 0 || !slices.Equal(told, flags) {
		t.Errorf("README has %q\n--help has   %q", told, flags)
	}
}
