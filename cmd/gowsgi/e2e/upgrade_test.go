package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// install puts a program in the place of another, as package managers do.
func install(t testing.TB, path string, content []byte) {
	t.Helper()
	err := os.WriteFile(path+".new", content, 0o755)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// installed starts a server of the traffic app from a copy of the binary.
func installed(t testing.TB, args ...string) (s *server, program string, content []byte) {
	t.Helper()
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	dir := copyOf(t, "traffic")
	program = filepath.Join(dir, "gowsgi")
	install(t, program, content)
	c := command(append(append([]string{"serve", "--bind", "127.0.0.1:0", "--chdir", dir, "--control-socket", filepath.Join(dir, "c")}, append(args, "wsgi")...), python.args...)...)
	c.Path, c.Args[0] = program, program
	s = runServer(t, "traffic", c)
	s.listening(t)
	return s, program, content
}

func TestTenUpgradesUnderLoadFailNoRequest(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	s, program, content := installed(t, "--workers", "2", "--pid-file", pidFile)
	old := s.waitServing(t, 2)
	load := s.load(t)
	for n := range 10 {
		install(t, program, content)
		s.signal(t, syscall.SIGUSR2)
		s.waitLogs(t, "msg=reloaded", n+1)
		for _, pid := range old {
			eventually(t, "the workers of the old program are gone", func() bool { return gone(pid) })
		}
		old = s.waitServing(t, 2)
	}
	load.endWithout(t)
	if exe, err := os.Readlink("/proc/" + itoa(s.cmd.Process.Pid) + "/exe"); err != nil || exe != program {
		t.Errorf("the master runs %s, %v", exe, err)
	}
	if b, err := os.ReadFile(pidFile); err != nil || strings.TrimSpace(string(b)) != itoa(s.cmd.Process.Pid) {
		t.Errorf("the pid file has %q, %v", b, err)
	}
	if out, err := exec.Command("/bin/ls", "-l", "/proc/"+itoa(s.cmd.Process.Pid)+"/fd").Output(); err != nil || strings.Count(string(out), "\n") > 30 {
		t.Errorf("descriptors are left over, %v:\n%s", err, out)
	}
}

func TestAnUpgradeToAProgramThatDoesNotStartLeavesAllAsItIs(t *testing.T) {
	t.Parallel()
	s, program, content := installed(t, "--workers", "2")
	before := s.waitServing(t, 2)
	load := s.load(t)
	for n, broken := range []string{"#!/bin/sh\necho no thanks\nexit 1\n", "this is no program"} {
		install(t, program, []byte(broken))
		s.signal(t, syscall.SIGUSR2)
		s.waitLogs(t, "would not start", n+1)
	}
	if now := s.waitServing(t, 2); !slices.Equal(now, before) {
		t.Errorf("workers %v, before %v", now, before)
	}
	install(t, program, content)
	s.signal(t, syscall.SIGUSR2)
	s.waitLog(t, "msg=reloaded")
	load.endWithout(t)
}

func TestAnUpgradeLetsWorkersThatDrainGoOn(t *testing.T) {
	t.Parallel()
	s, _, _ := installed(t, "--workers", "1")
	file, open := gate(t)
	c := s.dial(t)
	c.request("GET", "/block?"+file, "")
	s.waitLog(t, "blocked "+file)
	old := s.workers()[0]
	s.signal(t, syscall.SIGHUP)
	s.waitLog(t, "msg=reloaded")
	s.signal(t, syscall.SIGUSR2)
	s.waitLogs(t, "msg=reloaded", 2)
	if gone(old) {
		t.Fatal("a worker with a request in hand is gone")
	}
	open()
	if r := c.head("GET"); r.status != 200 || r.body() != "short" {
		t.Errorf("the request in hand: %d", r.status)
	}
	eventually(t, "the old worker ended", func() bool { return gone(old) })
}
