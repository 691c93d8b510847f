package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func deployFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "scripts", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSystemdTakesTheUnitsWithoutAWarning(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "systemd")
	dir := t.TempDir()
	for _, name := range []string{"gowsgi.service", "gowsgi.socket"} {
		// The binary must be there; it is not installed on the machine of the test.
		text := strings.ReplaceAll(deployFile(t, name), "/usr/local/bin/gowsgi", binary)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, "gowsgi.service"), filepath.Join(dir, "gowsgi.socket")).CombinedOutput()
	// It exits with 0 also where it ignores a key that it does not know.
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestLogrotateTakesItsFile(t *testing.T) {
	logrotate := tool(t, "logrotate", "logrotate")
	file := filepath.Join(t.TempDir(), "gowsgi")
	text := deployFile(t, "logrotate")
	if os.Getuid() != 0 {
		text = regexp.MustCompile(`(?m)^\s*su .*\n`).ReplaceAllString(text, "") // only root may
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(logrotate, "--debug", "--state", filepath.Join(t.TempDir(), "state"), file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "error") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheDeployFilesAndTheirPageNameOnlyFlagsThatExist(t *testing.T) {
	known := ""
	for _, command := range []string{"serve", "reload"} {
		out, code := runToEnd(t, exec.Command(binary, command, "--help"))
		if code != 0 {
			t.Fatalf("gowsgi %s --help: %d\n%s", command, code, out)
		}
		known += out
	}
	flag, found := regexp.MustCompile(`--[a-z][a-z-]+`), 0
	others := []string{"--now"} // of systemctl
	for _, name := range []string{"gowsgi.service", "gowsgi.socket", "nginx.conf", "logrotate", "kubernetes.yaml", "../../docs/from-mod_wsgi.md"} {
		for _, f := range flag.FindAllString(deployFile(t, name), -1) {
			found++
			if !slices.Contains(others, f) && !regexp.MustCompile(f+`[ =,\n]`).MatchString(known) {
				t.Errorf("%s names %s, which neither serve nor reload has", name, f)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d flags found", found)
	}
}
