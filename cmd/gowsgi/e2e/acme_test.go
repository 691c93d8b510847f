package e2e

import (
	"context"
	"crypto/tls"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/acme/acmetest"
)

const (
	acmeDomain  = "www.gowsgi.test"
	acmeNobody  = 1 // a port
	acmeForever = 90 * 24 * time.Hour
)

var servedAt = regexp.MustCompile(`serving .* on https?://127\.0\.0\.1:(\d+)`)

// acmeSite starts a server that gets its certificate from an authority, with a listener for TLS and, where words are given, another one that
// has them.
func acmeSite(t *testing.T, a *acmetest.Authority, app, words string, args ...string) (s *server, tlsPort, otherPort int) {
	t.Helper()
	args = append([]string{
		"--acme", acmeDomain, "--acme-directory", a.Directory, "--acme-ca", a.CAFile, "--acme-storage", filepath.Join(t.TempDir(), "certificates"),
	}, args...)
	listeners := 1
	if words != "" {
		args = append(args, "--bind", "127.0.0.1:0 "+words)
		listeners++
	}
	s = start(t, app, options{args: args})
	ports := append(servedPorts(t, s, listeners), acmeNobody)
	return s, ports[0], ports[1]
}

// servedPorts are those of n listeners.
func servedPorts(t *testing.T, s *server, n int) (ports []int) {
	t.Helper()
	eventually(t, "the addresses are in the log", func() bool {
		ports = nil
		for _, line := range s.log.all() {
			if m := servedAt.FindStringSubmatch(line); m != nil {
				port, _ := strconv.Atoi(m[1])
				ports = append(ports, port)
			}
		}
		return len(ports) == n
	})
	return ports
}

// acmeClient asks the port for the domain, on a new connection each time.
func acmeClient(t *testing.T, a *acmetest.Authority, port int) *http.Client {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.Roots}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// acmeGet asks for the first page, and gives the certificate's number.
func acmeGet(c *http.Client) (body, serial string, err error) {
	time.Sleep(50 * time.Millisecond) // it is asked again and again, and a handshake is work
	r, err := c.Get("https://" + acmeDomain + "/")
	if err != nil {
		return "", "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), r.TLS.PeerCertificates[0].SerialNumber.String(), err
}

// acmeWait waits for the certificate.
func acmeWait(t *testing.T, c *http.Client, app string) {
	t.Helper()
	var body string
	var err error
	if !within(60*time.Second, func() bool {
		body, _, err = acmeGet(c)
		return err == nil
	}) {
		t.Fatalf("no certificate: %v", err)
	}
	if !strings.Contains(body, app) {
		t.Errorf("%q", body)
	}
}

func TestACertificateComesByHTTPAndFlaskIsServedWithIt(t *testing.T) {
	for _, words := range []string{"plain", "redirect"} {
		t.Run(words, func(t *testing.T) {
			a := acmetest.Start(t, acmeForever)
			_, tlsPort, plainPort := acmeSite(t, a, "flask_min", words, "--workers", "2")
			a.Reach(plainPort, acmeNobody)
			acmeWait(t, acmeClient(t, a, tlsPort), "Hello from Flask")
			// Other requests there go where they would without certificates.
			r, err := acmeClient(t, a, plainPort).Get("http://" + acmeDomain + "/")
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if want := map[string]int{"plain": 200, "redirect": 308}[words]; r.StatusCode != want {
				t.Errorf("%s: %s", words, r.Status)
			}
		})
	}
}

func TestACertificateComesByTLSAloneToWhicheverWorkerIsAsked(t *testing.T) {
	a := acmetest.Start(t, acmeForever)
	s, tlsPort, _ := acmeSite(t, a, "hello", "", "--workers", "2")
	a.Reach(acmeNobody, tlsPort)
	acmeWait(t, acmeClient(t, a, tlsPort), "hello")
	if n := s.countLog("a certificate came"); n != 1 {
		t.Errorf("%d certificates came", n)
	}
}

// The authority has no certificate of a client.
func TestACertificateComesByTLSWhereClientsNeedOne(t *testing.T) {
	a := acmetest.Start(t, acmeForever)
	s, tlsPort, _ := acmeSite(t, a, "hello", "", "--client-ca", a.CAFile)
	a.Reach(acmeNobody, tlsPort)
	if !within(60*time.Second, func() bool { return s.countLog("a certificate came") == 1 }) {
		t.Fatal("no certificate")
	}
	if _, _, err := acmeGet(acmeClient(t, a, tlsPort)); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("a client without a certificate: %v", err)
	}
}

func TestACertificateIsRenewedWithoutARestartAndAfterAnUpgrade(t *testing.T) {
	a := acmetest.Start(t, 15*time.Second)
	s, tlsPort, plainPort := acmeSite(t, a, "hello", "plain", "--workers", "2")
	a.Reach(plainPort, tlsPort)
	c := acmeClient(t, a, tlsPort)
	acmeWait(t, c, "hello")
	before := s.waitServing(t, 2)
	serials := map[string]bool{}
	seen := func(n int) {
		t.Helper()
		if !within(90*time.Second, func() bool {
			if _, serial, err := acmeGet(c); err == nil {
				serials[serial] = true
			}
			return len(serials) >= n
		}) {
			t.Fatalf("%d certificates were seen", len(serials))
		}
	}
	seen(2)
	if after := s.waitServing(t, 2); !slices.Equal(before, after) {
		t.Errorf("workers %v, then %v", before, after)
	}
	s.signal(t, syscall.SIGUSR2)
	if !within(60*time.Second, func() bool { return s.countLog("certificates come from") == 2 }) {
		t.Fatal("the new program asks for no certificates")
	}
	seen(len(serials) + 1)
}

func TestWithoutTheAuthorityTheServerServesAndAReloadTriesAgain(t *testing.T) {
	a := acmetest.Start(t, acmeForever)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	file := filepath.Join(t.TempDir(), "gowsgi.toml")
	write := func(directory string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("acme-directory = \""+directory+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("https://" + gone.Addr().String() + "/dir")
	s := start(t, "hello", options{
		args: []string{"--config", file, "--acme", acmeDomain, "--acme-ca", a.CAFile, "--acme-storage", t.TempDir(), "--bind", "127.0.0.1:0 plain"},
	})
	ports := servedPorts(t, s, 2)
	a.Reach(ports[1], ports[0])
	c := acmeClient(t, a, ports[0])
	if _, _, err := acmeGet(c); err == nil || !strings.Contains(err.Error(), "remote error: tls") {
		t.Errorf("a handshake without a certificate: %v", err)
	}
	r, err := acmeClient(t, a, ports[1]).Get("http://" + acmeDomain + "/")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	s.waitLog(t, "there is no certificate")
	s.waitLog(t, "connection refused")
	write(a.Directory)
	s.signal(t, syscall.SIGHUP)
	acmeWait(t, c, "hello")
}

func TestAFolderThatCertificatesCantBeKeptInEndsTheStart(t *testing.T) {
	serve := []string{"serve", "--bind", "127.0.0.1:0", "--acme", "www.example.org", "--chdir", appDir("hello")}
	for name, e := range map[string]struct {
		args []string
		want []string
	}{
		"a file":        {[]string{"--acme-storage", "/dev/null/certificates"}, []string{"/dev/null/certificates", "--acme-storage"}},
		"no CA":         {[]string{"--acme-ca", "missing.pem", "--acme-storage", t.TempDir()}, []string{"--acme-ca", filepath.Join(appDir("hello"), "missing.pem")}},
		"no TLS":        {[]string{"--bind", "127.0.0.1:0 plain", "--acme-storage", t.TempDir()}, []string{"--acme", "no listener speaks TLS"}},
		"wildcard":      {[]string{"--acme", "*.example.org"}, []string{"--acme", "*.example.org", "wildcard"}},
		"not a public ": {[]string{"--acme", "intranet", "--acme-storage", t.TempDir()}, []string{"--acme", "intranet", "Let's Encrypt"}},
		"not a URL":     {[]string{"--acme-directory", "http://ca.example.org", "--acme-storage", t.TempDir()}, []string{"--acme-directory", "http://ca.example.org"}},
	} {
		args := append(slices.Clone(serve), append(e.args, "wsgi")...)
		if name == "no TLS" {
			args[2] += " plain"
		}
		out, code := runToEnd(t, command(args...))
		if code != 2 {
			t.Errorf("%s: exit code %d: %s", name, code, out)
		}
		for _, text := range e.want {
			if !strings.Contains(out, text) {
				t.Errorf("%s: %s, expected %s", name, out, text)
			}
		}
	}
}

func TestAfterUserTheFolderAndWhatIsInItIsThatUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	const nobody = 12345
	a := acmetest.Start(t, acmeForever)
	dir := publicDir(t)
	publishApp(t, "hello", dir)
	ca, err := os.ReadFile(a.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	caFile, run, certificates := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "run"), filepath.Join(dir, "certificates")
	if err := os.WriteFile(caFile, ca, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{run, certificates} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(run, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	serve := func() *exec.Cmd {
		return command("serve", "--bind", "127.0.0.1:0", "--workers", "1", "--chdir", dir, "--control-socket", filepath.Join(run, "c"),
			"--python", pythonFor(t, &syscall.Credential{Uid: nobody, Gid: nobody}), "--user", strconv.Itoa(nobody), "--group", strconv.Itoa(nobody),
			"--acme", acmeDomain, "--acme-directory", a.Directory, "--acme-ca", caFile, "--acme-storage", certificates, "wsgi")
	}
	out, code := runToEnd(t, serve())
	if code != 2 || !strings.Contains(out, certificates) || !strings.Contains(out, "permission denied") || !strings.Contains(out, "--acme-storage") {
		t.Errorf("a folder of root: exit code %d: %s", code, out)
	}
	if err := os.Chown(certificates, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	s := runServer(t, "hello", serve())
	port := servedPorts(t, s, 1)[0]
	a.Reach(acmeNobody, port)
	acmeWait(t, acmeClient(t, a, port), "hello")
	keys := 0
	err = filepath.WalkDir(certificates, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".key" {
			return nil // locks come and go
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		keys++
		if owner := st.Sys().(*syscall.Stat_t).Uid; owner != nobody || st.Mode().Perm() != 0o600 {
			t.Errorf("%s is user %d's and has mode %v", path, owner, st.Mode())
		}
		return nil
	})
	if err != nil || keys != 2 { // the account's and the certificate's
		t.Errorf("%d keys, %v", keys, err)
	}
}
