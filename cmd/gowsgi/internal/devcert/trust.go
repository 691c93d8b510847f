package devcert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Trust says how browsers and programs are told to trust the authority, in lines with a newline at the end, with commands for a shell.
func Trust(caFile string) string {
	ca := quote(caFile)
	db := nssDatabase()
	q := quote("sql:" + db)
	prepare := ""
	if _, err := os.Stat(filepath.Join(db, "cert9.db")); err != nil {
		prepare = fmt.Sprintf("      mkdir -p %s && certutil -d %s -N --empty-password\n", quote(db), q)
	}
	return fmt.Sprintf(`The certificate is signed by an authority that was made for you alone, and lives on this machine:
  %s
Until they trust it, browsers and programs refuse the certificate or warn:
  Chrome, Chromium, Edge: with certutil (Debian, Ubuntu: libnss3-tools; Fedora: nss-tools)
%s      certutil -d %s -A -t C,, -n 'gowsgi development CA' -i %s
  Firefox: Settings, Privacy & Security, View Certificates, Authorities, Import
  The whole machine, Debian and Ubuntu:
      sudo cp %s /usr/local/share/ca-certificates/gowsgi-dev.crt && sudo update-ca-certificates
  The whole machine, Fedora and Arch:
      sudo trust anchor %s
  curl: --cacert %s
  Python: SSL_CERT_FILE=%s, with requests REQUESTS_CA_BUNDLE=%s
`, caFile, prepare, q, ca, ca, ca, ca, ca, ca)
}

// nssDatabase is where Chromium looks: the folder of old where it exists, else the one that is its own since version 146
// (docs/linux/cert_management.md).
func nssDatabase() string {
	home := os.Getenv("HOME")
	old := filepath.Join(home, ".pki/nssdb")
	if _, err := os.Stat(old); err == nil {
		return old
	}
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) {
		data = filepath.Join(home, ".local/share")
	}
	return filepath.Join(data, "pki/nssdb")
}

// quote makes one word of it for a shell.
func quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
