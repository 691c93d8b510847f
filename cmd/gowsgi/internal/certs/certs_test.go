package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs/certtest"
)

func write(t *testing.T, file string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAPairThatCannotBeUsedIsRefusedWithItsReason(t *testing.T) {
	dir := t.TempDir()
	cert, key := certtest.SelfSigned(t, "a.example")
	_, other := certtest.SelfSigned(t, "b.example")
	good := write(t, filepath.Join(dir, "cert.pem"), cert)
	goodKey := write(t, filepath.Join(dir, "key.pem"), key)
	file := func(name string, text []byte) string { return write(t, filepath.Join(dir, name), text) }
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	older := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")})
	for _, test := range []struct{ name, cert, key, want string }{
		{"no certificate file", filepath.Join(dir, "none.pem"), goodKey, "none.pem does not exist"},
		{"no key file", good, filepath.Join(dir, "none.pem"), "none.pem does not exist"},
		{"a folder", dir, goodKey, "is a directory"},
		{"the key of another", good, file("other.pem", other), "does not belong to the first certificate"},
		{"the files exchanged", goodKey, good, "holds no certificate"},
		{"no key in the file", good, file("empty.pem", nil), "holds no private key"},
		{"a password", good, file("encrypted.pem", encrypted), "protected by a password"},
		{"a password of old", good, file("older.pem", older), "protected by a password"},
		{"a broken certificate", file("broken.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), goodKey, "can't be used"},
	} {
		if _, err := ReadPair(test.cert, test.key); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want ... %s", test.name, err, test.want)
		}
	}
	both := file("both.pem", append(bytes.Clone(key), cert...))
	if _, err := ReadPair(both, both); err != nil {
		t.Errorf("one file for both: %v", err)
	}
}

func TestAKeyThatAllMayReadIsWarnedOf(t *testing.T) {
	cert, key := certtest.SelfSigned(t, "a.example")
	file := write(t, filepath.Join(t.TempDir(), "both.pem"), append(cert, key...))
	p, err := ReadPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Warnings(); len(w) > 0 {
		t.Errorf("a key of its owner's: %q", w)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if w := p.Warnings(); len(w) != 1 || !strings.Contains(w[0], "every user") {
		t.Errorf("a key of everybody's: %q", w)
	}
}

// handshake is the certificate that a client gets, and whether its session was resumed.
func handshake(t *testing.T, server *tls.Config, client *tls.Config) (cert *x509.Certificate, resumed bool, err error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	ended := make(chan error, 1)
	go func() {
		conn := tls.Server(a, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x")) // the tickets of TLS 1.3 come before
		}
		ended <- err
	}()
	conn := tls.Client(b, client)
	if err := conn.Handshake(); err != nil {
		_ = b.Close()
		<-ended
		return nil, false, err
	}
	_, readErr := conn.Read(make([]byte, 1))
	if err := <-ended; err != nil {
		return nil, false, err
	}
	state := conn.ConnectionState()
	return state.PeerCertificates[0], state.DidResume, readErr
}

func asking(name string) *tls.Config { return &tls.Config{ServerName: name, InsecureSkipVerify: true} }

// store reads the files and starts with them, told by JSON as a worker is.
func store(t *testing.T, log *bytes.Buffer, s *Settings) *Store {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var told Settings
	if err := json.Unmarshal(text, &told); err != nil {
		t.Fatal(err)
	}
	st, err := NewStore(&told, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func settings(t *testing.T, files ...string) *Settings {
	t.Helper()
	s := &Settings{MinVersion: tls.VersionTLS12}
	for _, f := range files {
		p, err := ReadPair(f, f)
		if err != nil {
			t.Fatal(err)
		}
		s.Pairs = append(s.Pairs, p)
	}
	return s
}

func TestTheCertificateIsChosenByTheNameThatTheClientAsksFor(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"a.example", "*.b.example"} {
		cert, key := certtest.SelfSigned(t, name)
		files = append(files, write(t, filepath.Join(dir, name[2:]+".pem"), append(cert, key...)))
	}
	var log bytes.Buffer
	st := store(t, &log, settings(t, files...))
	for name, want := range map[string]string{"a.example": "a.example", "www.b.example": "*.b.example", "c.example": "a.example", "": "a.example"} {
		cert, _, err := handshake(t, st.Config(), asking(name))
		if err != nil || cert.Subject.CommonName != want {
			t.Errorf("%q got %v, %v; want %s", name, cert, err, want)
		}
	}
}

func TestFilesThatChangeAreReadAndBrokenOnesLeaveWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	pair := func(folder, name string) {
		t.Helper()
		cert, key := certtest.SelfSigned(t, name)
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, folder, "pair.pem"), append(cert, key...))
	}
	link := func(folder string) { // as those who renew certificates do: at once
		t.Helper()
		if err := os.Symlink(folder, filepath.Join(dir, "next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "live")); err != nil {
			t.Fatal(err)
		}
	}
	pair("one", "one.example")
	link("one")
	var log bytes.Buffer
	st := store(t, &log, settings(t, filepath.Join(dir, "live", "pair.pem")))
	now := time.Now()
	want := func(name string) {
		t.Helper()
		now = now.Add(2 * checkEvery)
		st.check(now)
		cert, _, err := handshake(t, st.Config(), asking(""))
		if err != nil || cert.Subject.CommonName != name {
			t.Fatalf("got %v, %v; want %s\n%s", cert, err, name, &log)
		}
	}
	want("one.example")
	pair("two", "two.example")
	link("two")
	want("two.example")
	pair("two", "three.example")
	want("three.example")

	log.Reset()
	write(t, filepath.Join(dir, "two", "pair.pem"), []byte("nonsense"))
	want("three.example")
	want("three.example")
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("a broken file is logged %d times:\n%s", n, &log)
	}
	if err := os.Remove(filepath.Join(dir, "live")); err != nil {
		t.Fatal(err)
	}
	want("three.example")
	pair("four", "four.example")
	link("four")
	want("four.example")
}

// A worker that starts after a renewal is told what the master has read before.
func TestAStoreFindsFilesThatChangedBeforeItWasMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pair.pem")
	cert, key := certtest.SelfSigned(t, "one.example")
	write(t, file, append(cert, key...))
	s := settings(t, file)
	cert, key = certtest.SelfSigned(t, "two.example")
	write(t, file, append(cert, key...))
	var log bytes.Buffer
	got, _, err := handshake(t, store(t, &log, s).Config(), asking(""))
	if err != nil || got.Subject.CommonName != "two.example" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestASessionIsResumedByAnyProcessWithTheTicketsOfTheDay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pair.pem")
	cert, key := certtest.SelfSigned(t, "one.example")
	write(t, file, append(cert, key...))
	var keeper TicketKeeper
	s := settings(t, file)
	s.Tickets = keeper.Now()
	var log bytes.Buffer
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := asking("one.example")
		client.ClientSessionCache, client.MaxVersion = tls.NewLRUClientSessionCache(1), version
		for i, want := range []bool{false, true} { // two processes
			if _, resumed, err := handshake(t, store(t, &log, s).Config(), client); err != nil || resumed != want {
				t.Errorf("%s, handshake %d: resumed %v, %v", tls.VersionName(version), i, resumed, err)
			}
		}
	}
}

func TestTicketsLastForTheNextDayAndAreThenForgotten(t *testing.T) {
	early, late := newTickets(), Tickets{}
	late = early
	today := time.Unix(early.Day*24*60*60, 0)
	first := early.Keys(today)
	next := late.Keys(today.Add(24 * time.Hour))
	if next[1] != first[0] {
		t.Error("the next day does not know the key of the day before")
	}
	if next[0] == first[0] || next[0] == first[1] {
		t.Error("the next day has no key of its own")
	}
	after := late.Keys(today.Add(48 * time.Hour))
	if after[1] != next[0] || after[0] == first[0] {
		t.Error("the key of a day is known two days after it")
	}
	if both := early.Keys(today.Add(48 * time.Hour)); both[0] != after[0] || both[1] != after[1] {
		t.Error("two processes have different keys")
	}
}

func TestAClientNeedsACertificateThatTheAuthorityHasSigned(t *testing.T) {
	dir := t.TempDir()
	cert, key := certtest.SelfSigned(t, "one.example")
	file := write(t, filepath.Join(dir, "pair.pem"), append(bytes.Clone(cert), key...))
	cert, key = certtest.SelfSigned(t, "alice")
	ca := write(t, filepath.Join(dir, "ca.pem"), cert)
	alice, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = certtest.SelfSigned(t, "mallory")
	mallory, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, required := range []bool{true, false} {
		s := settings(t, file)
		if s.ClientCA, err = ReadAuthority(ca); err != nil {
			t.Fatal(err)
		}
		s.Required = required
		var log bytes.Buffer
		st := store(t, &log, s)
		with := func(c *tls.Certificate) error {
			client := asking("")
			// Else a client sends none that the authority has not signed.
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if c == nil {
					return new(tls.Certificate), nil
				}
				return c, nil
			}
			_, _, err := handshake(t, st.Config(), client)
			return err
		}
		if err := with(&alice); err != nil {
			t.Errorf("required %v: alice is refused: %v", required, err)
		}
		if err := with(&mallory); err == nil {
			t.Errorf("required %v: mallory gets in", required)
		}
		if err := with(nil); (err != nil) != required {
			t.Errorf("required %v: without a certificate: %v", required, err)
		}
	}
}

func TestTicketKeysChangeWhoeverTheCertificatesComeFrom(t *testing.T) {
	st, err := NewStore(&Settings{Tickets: newTickets()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	st.day--
	if c, err := st.Config().GetConfigForClient(&tls.ClientHelloInfo{}); c != nil || err != nil {
		t.Error(c, err)
	}
	if st.day != dayOf(time.Now()) {
		t.Error("the keys are still those of the day before")
	}
}
