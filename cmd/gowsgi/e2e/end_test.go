package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAServerThatIsToldToEndWhileItsWorkersStartSaysNoErrorAndExits0(t *testing.T) {
	t.Parallel()
	for range 4 {
		s := start(t, "hello", options{args: []string{"--workers", "8"}})
		s.signal(t, syscall.SIGTERM) // the first serves, the others are being started
		if code := s.waitExit(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if log := strings.Join(s.log.all(), "\n"); strings.Contains(log, "level=ERROR") {
			t.Error(log)
		}
	}
}

func TestAServerWhoseTemplateAndWorkersAreKilledServesAgainHoweverLongTheImportTakes(t *testing.T) {
	t.Parallel()
	armed, arm := gate(t)
	dir := projectOf(t, "app.py", fmt.Sprintf(`import os, time
pid = os.getpid()
if os.path.exists(%q):
    time.sleep(4)
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(pid).encode()]
`, armed))
	s := start(t, "hello", options{spec: "app", noDir: true, args: []string{"--chdir", dir, "--preload", "--workers", "2"}})
	before := s.getOK(t, "/")
	arm()
	for _, pid := range append([]int{s.template()}, s.waitServing(t, 2)...) { // a worker that goes first has a successor of the same template
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	s.waitServing(t, 2)
	if after := s.getOK(t, "/"); after == before {
		t.Error("the template is the same")
	}
}

func TestAServerRemovesItsOwnSocketsAndNoOtherFileAfterItsFolderWasExchanged(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, release := range []string{"r1", "r2"} {
		save(t, filepath.Join(base, release, "app.py"), fmt.Sprintf(`def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b%q]
`, release))
	}
	current := filepath.Join(base, "current")
	point := func(release string) {
		t.Helper()
		_ = os.Remove(current)
		if err := os.Symlink(release, current); err != nil {
			t.Fatal(err)
		}
	}
	point("r1")
	s := start(t, "hello", options{spec: "app", noDir: true, args: []string{"--chdir", current, "--bind", "unix:s.sock", "--control-socket", "c.sock"}})
	save(t, filepath.Join(base, "r2/s.sock"), "precious")
	point("r2")
	s.signal(t, syscall.SIGHUP)
	s.waitLog(t, "msg=reloaded")
	if got := s.getOK(t, "/"); got != "r2" {
		t.Error(got)
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.waitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, name := range []string{"s.sock", "c.sock"} {
		if _, err := os.Lstat(filepath.Join(base, "r1", name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	if text, err := os.ReadFile(filepath.Join(base, "r2/s.sock")); string(text) != "precious" {
		t.Errorf("another file of that name: %q %v", text, err)
	}
}

func TestUpgradesThatOverlapLeaveNoProcess(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, options{})
	d.signal(t, syscall.SIGUSR2)
	d.waitLog(t, "msg=upgrading")
	d.signal(t, syscall.SIGUSR2) // while the new program is asked whether it would start
	d.waitLogs(t, "msg=reloaded", 1)
	eventually(t, "no zombies", func() bool {
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range stats {
			text, _ := os.ReadFile(path)
			_, rest, _ := strings.Cut(string(text), ") ")
			if f := strings.Fields(rest); len(f) > 1 && f[0] == "Z" && f[1] == itoa(d.cmd.Process.Pid) {
				return false
			}
		}
		return true
	})
}
