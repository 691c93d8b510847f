package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAProgramThatWouldNotStartDoesNotTakeOver(t *testing.T) {
	dir := siteDir(t)
	for _, args := range [][]string{
		{"--chdir", filepath.Join(dir, "none")}, {"--python", filepath.Join(dir, "none"), "--chdir", dir}, {"--no-such-flag"},
	} {
		c := command(append([]string{"serve", "site_app"}, args...)...)
		c.Env = append(c.Env, upgradeVariable+"="+upgradeCheck)
		if code, out, _ := runCommand(t, c); code == exitFine || strings.Contains(out, upgradeFine) {
			t.Errorf("%s: code %d, %s", args, code, out)
		}
	}
	c := command("serve", "--python", python(t).Executable, "--chdir", dir, "site_app")
	c.Env = append(c.Env, upgradeVariable+"="+upgradeCheck)
	if code, out, log := runCommand(t, c); code != exitFine || strings.TrimSpace(out) != upgradeFine {
		t.Errorf("code %d, %s%s", code, out, log)
	}
}

func TestAProgramThatTookOverRemovesTheUnixSocketsAtItsEnd(t *testing.T) {
	var paths []string
	left := func() upgradedListener {
		path := filepath.Join(t.TempDir(), "s")
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		ln.SetUnlinkOnClose(false)
		defer ln.Close()
		f, err := ln.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		return upgradedListener{FD: fd, File: path}
	}
	state := &upgradeState{PidFile: -1, Commands: left()}
	state.Listeners = append(state.Listeners, left())
	shared, fd, err := newLoads()
	if err != nil {
		t.Fatal(err)
	}
	shared[1].Store(1)
	state.Loads = fd
	if state.Handover[0], state.Handover[1], err = newHandover(); err != nil {
		t.Fatal(err)
	}
	m := &master{c: &serveCmd{}}
	if err := m.resume(state); err != nil {
		t.Fatal(err)
	}
	if m.loads[1].Load() != 1 {
		t.Error("the workers' loads are others")
	}
	closeAll(m.listeners)
	_ = m.commands.Close()
	for _, fd := range []int{m.handover[0], m.handover[1], m.loadsFD} {
		_ = syscall.Close(fd)
	}
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is there", path)
		}
	}
}
