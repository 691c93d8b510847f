package devcert

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCurlTakesTheCertificateWithTheOptionThatTrustNames(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl on this machine")
	}
	f, _ := get(t, filepath.Join(t.TempDir(), "it's mine"), "shop.test")
	port := serve(t, f)
	_, option, _ := strings.Cut(Trust(f.ca), "curl: ")
	option, _, _ = strings.Cut(option, "\n")
	for _, host := range []string{"localhost", "127.0.0.1", "shop.test"} {
		command := "curl -sS --noproxy '*' --resolve " + host + ":" + port + ":127.0.0.1 " + option + " https://" + host + ":" + port + "/"
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil || string(out) != "hello" {
			t.Errorf("%s: %v, %s", command, err, out)
		}
	}
}

// The commands for Chromium's database, the first time and when it is there.
func TestTheAuthorityGetsIntoChromiumsDatabaseAsTrustSays(t *testing.T) {
	if _, err := exec.LookPath("certutil"); err != nil {
		t.Skip("there is no certutil on this machine")
	}
	home := filepath.Join(t.TempDir(), "a home")
	t.Setenv("HOME", home)
	t.Setenv("XDG_DATA_HOME", "")
	for range 2 {
		f, _ := get(t, t.TempDir())
		var commands []string
		for line := range strings.Lines(Trust(f.ca)) {
			if strings.Contains(line, "certutil -d") {
				commands = append(commands, line)
			}
		}
		if out, err := exec.Command("sh", "-e", "-c", strings.Join(commands, "")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%q", err, out, commands)
		}
		out, err := exec.Command("certutil", "-d", "sql:"+home+"/.local/share/pki/nssdb", "-L").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "C,,") {
			t.Errorf("%v: %s", err, out)
		}
	}
}

func TestChromiumsDatabaseOfOldIsTakenWhereItExists(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_DATA_HOME", "/data")
	if got := nssDatabase(); got != "/data/pki/nssdb" {
		t.Errorf("got %s", got)
	}
	old := filepath.Join(home, ".pki/nssdb")
	if err := os.MkdirAll(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := nssDatabase(); got != old {
		t.Errorf("got %s", got)
	}
}
