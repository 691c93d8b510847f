package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deployment is a server of a copy of the traffic app, whose code a test may change.
type deployment struct {
	*server
	folder  string // the copy
	control string // its control socket
}

// copyOf copies an app's folder. The path is short, as those of unix sockets must be.
func copyOf(t testing.TB, app string) string {
	t.Helper()
	dir, err := os.MkdirTemp(tmp, "app-")
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(appDir(app)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// deploy starts a deployment with so many workers, all of which serve when it returns.
func deploy(t testing.TB, workers int, o options) *deployment {
	t.Helper()
	d := &deployment{folder: copyOf(t, "traffic")}
	d.control = filepath.Join(d.folder, "control.sock")
	o.args = append([]string{"--chdir", d.folder, "--control-socket", d.control, "--workers", strconv.Itoa(workers), "--threads", "8"}, o.args...)
	d.server = start(t, "traffic", o)
	d.waitServing(t, workers)
	return d
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// release changes the code to another release, by which it answers.
func (d *deployment) release(t testing.TB, name string) {
	t.Helper()
	write(t, filepath.Join(d.folder, "release.py"), "NAME = \""+name+"\"\nHEALTH = \"200 OK\"\n")
}

// answersFrom checks that a new connection is answered by a release.
func (d *deployment) answersFrom(t testing.TB, release string) {
	t.Helper()
	if r, body := d.get(t, "/short"); r.status != 200 || body != "short" || r.value("X-Release") != release {
		t.Errorf("%d %q from release %q, expected %q", r.status, body, r.value("X-Release"), release)
	}
}

// reload runs gowsgi reload.
func (d *deployment) reload(t testing.TB) (output string, code int) {
	t.Helper()
	return runToEnd(t, command("reload", "--control-socket", d.control))
}

// reloadOK is reload where it must succeed, without a word.
func (d *deployment) reloadOK(t testing.TB) {
	t.Helper()
	if out, code := d.reload(t); code != 0 || out != "" {
		t.Fatalf("gowsgi reload: exit code %d\n%s\n%s", code, out, d.tail(30))
	}
}

// waitServing waits until there are exactly n worker processes which all serve, and returns them.
func (s *server) waitServing(t testing.TB, n int) (pids []int) {
	t.Helper()
	eventually(t, strconv.Itoa(n)+" workers serve", func() bool {
		pids = s.workers()
		for _, pid := range pids {
			if !accepts(pid) {
				return false
			}
		}
		return len(pids) == n
	})
	slices.Sort(pids)
	return pids
}

// accepts says whether a worker takes connections: it has a second descriptor of the listener then, and a poller for connections beside Go's.
func accepts(pid int) bool {
	seen, twice, pollers := map[string]bool{}, false, 0
	for _, to := range fdLinks(itoa(pid)) {
		if strings.HasPrefix(to, "socket:") {
			twice = twice || seen[to]
			seen[to] = true
		} else if to == "anon_inode:[eventpoll]" {
			pollers++
		}
	}
	return twice && pollers >= 2
}

// gone says whether a process has ended with all its threads, and with that its sockets are closed. Nobody may wait for an orphan's end.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err != nil || strings.HasPrefix(state, "Z") && len(threads) == 1
}

// killHard ends a process by SIGKILL.
func killHard(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed process is gone", func() bool { return gone(pid) })
}

// ends waits until a process is gone, for d at most.
func ends(t testing.TB, pid int, d time.Duration) {
	t.Helper()
	if !within(d, func() bool { return gone(pid) }) {
		t.Errorf("process %d is still there after %v", pid, d)
	}
}
