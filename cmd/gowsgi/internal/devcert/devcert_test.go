package devcert

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/certs"
)

// files is what Certificate made.
type files struct{ cert, key, ca string }

func get(t *testing.T, dir string, hosts ...string) (f files, made bool) {
	t.Helper()
	cert, key, ca, made, err := Certificate(dir, hosts)
	if err != nil {
		t.Fatal(err)
	}
	return files{cert, key, ca}, made
}

// serve answers with "hello" over TLS, with the pair as the server reads it.
func serve(t *testing.T, f files) (port string) {
	t.Helper()
	p, err := certs.ReadPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Warnings(); len(w) > 0 {
		t.Errorf("the server warns: %q", w)
	}
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c}})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ErrorLog: log.New(io.Discard, "", 0), // clients refuse
	}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// ask is a client that trusts the authority alone, and connects to the server whatever the host.
func ask(t *testing.T, f files, port, host string) (*x509.Certificate, error) {
	t.Helper()
	text, err := os.ReadFile(f.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("no authority in its file")
	}
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: pool, ServerName: host})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

func TestClientsThatTrustTheAuthorityTakeTheCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data/gowsgi/dev")
	f, made := get(t, dir, "Shop.Test", "*.shop.test", "192.0.2.7", "bücher.test")
	if !made {
		t.Error("the first authority is not told to be new")
	}
	port := serve(t, f)
	for _, host := range []string{"localhost", "shop.localhost", "127.0.0.1", "::1", "shop.test", "www.shop.test", "192.0.2.7", "xn--bcher-kva.test"} {
		cert, err := ask(t, f, port, host)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if life := cert.NotAfter.Sub(cert.NotBefore); life > 397*24*time.Hour {
			t.Errorf("it lives %s, which browsers refuse", life)
		}
	}
	if _, err := ask(t, f, port, "other.test"); err == nil {
		t.Error("it is for hosts that nobody named")
	}
	other, _ := get(t, t.TempDir())
	if _, err := ask(t, other, port, "localhost"); err == nil {
		t.Error("another's authority signed it too")
	}
}

func TestOnlyTheUserCanReadTheKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	f, _ := get(t, dir)
	for _, file := range []string{f.key, filepath.Join(dir, authorityKeyFile), dir} {
		if st, err := os.Stat(file); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", file, st.Mode(), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("files are left: %v, %v", entries, err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestItIsMadeOnceAndAnewForNewHosts(t *testing.T) {
	dir := t.TempDir()
	f, _ := get(t, dir, "a.test")
	ca, leaf := read(t, f.ca), read(t, f.cert)
	for _, hosts := range [][]string{{"a.test"}, nil, {"LOCALHOST", "::1", "0:0:0:0:0:0:0:1", "a.test"}} {
		if _, made := get(t, dir, hosts...); made || read(t, f.ca) != ca || read(t, f.cert) != leaf {
			t.Errorf("%q: it was made anew", hosts)
		}
	}
	if _, made := get(t, dir, "b.test"); made || read(t, f.ca) != ca || read(t, f.cert) == leaf {
		t.Error("for a host more the certificate is to be made anew, and the authority is not")
	}
	port := serve(t, f)
	for _, host := range []string{"a.test", "b.test", "localhost"} {
		if _, err := ask(t, f, port, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestWhatExpiresSoonOrCannotBeUsedIsMadeAnew(t *testing.T) {
	spoil := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const day = 24 * time.Hour
	nothing := func(*testing.T, string) {}
	for _, test := range []struct {
		name       string
		after      time.Duration
		spoil      func(*testing.T, string)
		made, leaf bool
	}{
		{"ten months later", 300 * day, nothing, false, false},
		{"a month before the end", 336 * day, nothing, false, true},
		{"ten years later", 3640 * day, nothing, true, true},
		{"a clock that was wrong", -day, nothing, true, true},
		{"an empty certificate", 0, spoil(leafFile, ""), false, true},
		{"no certificate", 0, remove(leafFile), false, true},
		{"a broken authority", 0, spoil(authorityFile, "-----BEGIN"), true, true},
		{"an authority without a key", 0, remove(authorityKeyFile), true, true},
		{"an authority with another's key", 0, func(t *testing.T, dir string) {
			other, _ := get(t, t.TempDir())
			spoil(authorityKeyFile, read(t, filepath.Join(filepath.Dir(other.ca), authorityKeyFile)))(t, dir)
		}, true, true},
	} {
		dir := t.TempDir()
		f, _ := get(t, dir)
		before := read(t, f.cert)
		test.spoil(t, dir)
		then := time.Now().Add(test.after)
		made, err := certificate(dir, nil, then)
		if err != nil || made != test.made || (read(t, f.cert) != before) != test.leaf {
			t.Errorf("%s: made %v, %v; want %v", test.name, made, err, test.made)
		}
		if again, err := certificate(dir, nil, then); again || err != nil {
			t.Errorf("%s: made again, %v", test.name, err)
		}
		ca, err := readPair(f.ca, filepath.Join(dir, authorityKeyFile))
		leaf, leafErr := readPair(f.cert, f.key)
		if err != nil || leafErr != nil || leaf.cert.CheckSignatureFrom(ca.cert) != nil || leaf.cert.NotAfter.After(ca.cert.NotAfter) {
			t.Errorf("%s: the authority and the certificate do not belong together: %v, %v", test.name, err, leafErr)
		}
	}
}

func TestManyProcessesAtOnceGetTheSame(t *testing.T) {
	const told = "GOWSGI_TEST_DEVCERT"
	if dir := os.Getenv(told); dir != "" {
		f, made := get(t, dir, "a.test")
		_, _ = io.WriteString(os.Stdout, "\n"+map[bool]string{true: "MADE ", false: "FOUND "}[made]+read(t, f.ca)+read(t, f.cert)+"END\n")
		return
	}
	dir := filepath.Join(t.TempDir(), "dev")
	var all []*exec.Cmd
	var outs []*strings.Builder
	for range 8 {
		var out strings.Builder
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), told+"="+dir)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all, outs = append(all, cmd), append(outs, &out)
	}
	var got []string
	made := 0
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, outs[i])
		}
		text := outs[i].String()
		made += strings.Count(text, "\nMADE ")
		_, text, _ = strings.Cut(text, "-----BEGIN")
		text, _, _ = strings.Cut(text, "END\n")
		got = append(got, text)
	}
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != 1 || got[0] == "" || made != 1 {
		t.Errorf("%d made it, and they got %d different ones", made, len(got))
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		dir, host, want string
	}{
		{t.TempDir(), "a.test:8000", `"a.test:8000" is no host`},
		{t.TempDir(), "", `"" is no host`},
		{t.TempDir(), "*", `"*" is no host`},
		{filepath.Join(file, "dev"), "a.test", file},
	} {
		if _, _, _, _, err := Certificate(test.dir, []string{test.host}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want ... %s", test.host, err, test.want)
		}
	}
}

func TestTheFolderIsTheUsersOwn(t *testing.T) {
	for _, test := range []struct{ data, home, want string }{
		{"/data", "/home/a", "/data/gowsgi/dev"},
		{"", "/home/a", "/home/a/.local/share/gowsgi/dev"},
		{"not/absolute", "/home/a", "/home/a/.local/share/gowsgi/dev"},
		{"", "", ""},
	} {
		t.Setenv("XDG_DATA_HOME", test.data)
		t.Setenv("HOME", test.home)
		if got, err := Dir(); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%+v: got %q, %v", test, got, err)
		}
	}
}
