package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// install makes a link point to a program, as deployments do.
func install(t testing.TB, link, program string) {
	t.Helper()
	err := os.Symlink(program, link+".new")
	if err == nil {
		err = os.Rename(link+".new", link)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// script writes a program in the shell's language.
func script(t testing.TB, text string) (program string) {
	t.Helper()
	program = filepath.Join(copyOf(t, "traffic"), "script")
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// installed starts a server of a copy of the traffic app by a link to one of two copies of the binary.
func installed(t testing.TB, args ...string) (d *deployment, link string, programs [2]string) {
	t.Helper()
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	d = &deployment{folder: copyOf(t, "traffic")}
	d.control, link = filepath.Join(d.folder, "control.sock"), filepath.Join(d.folder, "gowsgi")
	for n := range programs {
		programs[n] = link + itoa(n)
		if err := os.WriteFile(programs[n], content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	install(t, link, programs[0])
	c := command(append(append([]string{"serve", "--bind", "127.0.0.1:0", "--chdir", d.folder, "--control-socket", d.control}, append(args, "wsgi")...), python.args...)...)
	c.Path, c.Args[0] = link, link
	d.server = runServer(t, "traffic", c)
	d.listening(t)
	return d, link, programs
}

func TestTenUpgradesUnderLoadFailNoRequest(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	d, link, programs := installed(t, "--workers", "2", "--pid-file", pidFile)
	master := itoa(d.cmd.Process.Pid)
	old := d.waitServing(t, 2)
	files := openFiles(t, d.cmd.Process.Pid)
	load := d.load(t)
	for n := range 10 {
		program := programs[(n+1)%2]
		install(t, link, program)
		d.release(t, program)
		d.signal(t, syscall.SIGUSR2)
		d.waitLogs(t, "msg=reloaded", n+1)
		d.answersFrom(t, program)
		if exe, err := os.Readlink("/proc/" + master + "/exe"); err != nil || exe != program {
			t.Errorf("the master runs %s, %v", exe, err)
		}
		for _, pid := range old {
			eventually(t, "the workers of the old program are gone", func() bool { return gone(pid) })
		}
		old = d.waitServing(t, 2)
	}
	load.endWithout(t)
	if b, err := os.ReadFile(pidFile); err != nil || strings.TrimSpace(string(b)) != master {
		t.Errorf("the pid file has %q, %v", b, err)
	}
	eventually(t, "the master holds no more descriptors than before", func() bool { return openFiles(t, d.cmd.Process.Pid) <= files })
	d.reloadOK(t)
}

func TestAnUpgradeToAProgramThatDoesNotStartLeavesAllAsItIs(t *testing.T) {
	t.Parallel()
	d, link, programs := installed(t, "--workers", "2")
	before := d.waitServing(t, 2)
	load := d.load(t)
	for n, broken := range []string{"#!/bin/sh\necho no thanks\nexit 1\n", "this is no program"} {
		install(t, link, script(t, broken))
		d.signal(t, syscall.SIGUSR2)
		d.waitLogs(t, "would not start", n+1)
	}
	if now := d.waitServing(t, 2); !slices.Equal(now, before) {
		t.Errorf("workers %v, before %v", now, before)
	}
	install(t, link, programs[1])
	d.signal(t, syscall.SIGUSR2)
	d.waitLog(t, "msg=reloaded")
	load.endWithout(t)
}

func TestAnUpgradeWhoseWorkersDoNotStartLeavesTheOldWorkers(t *testing.T) {
	t.Parallel()
	d, link, programs := installed(t, "--workers", "2")
	before := d.waitServing(t, 2)
	load := d.load(t)
	write(t, filepath.Join(d.folder, "release.py"), "NAME = = 1\n")
	install(t, link, programs[1])
	d.signal(t, syscall.SIGUSR2)
	d.waitLog(t, "this program serves with workers of the one before")
	d.waitLog(t, "SyntaxError")
	if now := d.waitServing(t, 2); !slices.Equal(now, before) {
		t.Errorf("workers %v, before %v", now, before)
	}
	d.release(t, "second")
	d.reloadOK(t)
	d.answersFrom(t, "second")
	load.endWithout(t)
}

func TestAnUpgradeLetsWorkersThatDrainGoOn(t *testing.T) {
	t.Parallel()
	d, _, _ := installed(t, "--workers", "1")
	file, open := gate(t)
	c := d.dial(t)
	c.request("GET", "/block?"+file, "")
	d.waitLog(t, "blocked "+file)
	old := d.workers()[0]
	d.reloadOK(t)
	d.signal(t, syscall.SIGUSR2)
	d.waitLogs(t, "msg=reloaded", 2)
	if gone(old) {
		t.Fatal("a worker with a request in hand is gone")
	}
	open()
	if r := c.head("GET"); r.status != 200 || r.body() != "short" {
		t.Errorf("the request in hand: %d", r.status)
	}
	c.Close()
	eventually(t, "the old worker ended", func() bool { return gone(old) })
}
