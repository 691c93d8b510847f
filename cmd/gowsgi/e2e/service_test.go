package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// publicDir is a folder that every user can read.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gowsgi-e2e-public-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// pythonFor is a Python that the user can run: the one under test may be in a home.
func pythonFor(t testing.TB, credential *syscall.Credential) string {
	t.Helper()
	for _, candidate := range []string{python.interpreter, "/usr/bin/python3", "/usr/local/bin/python3"} {
		c := exec.Command(candidate, "-c", "import sys, json; sys.exit(sys.version_info < (3, 9))")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		c.Dir = "/"
		if c.Run() == nil {
			return candidate
		}
	}
	t.Skip("no CPython from 3.9 on that user nobody can run")
	return ""
}

func publishApp(t testing.TB, app, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(appDir(app), "wsgi.py"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wsgi.py"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMasterAndWorkersBecomeTheUserOnceTheAddressIsBound(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		out, code := runToEnd(t, command("serve", "--bind", "127.0.0.1:0", "--user", "nobody", "--chdir", appDir("identity"), "wsgi"))
		if want := "can't become user " + nobody.Uid; code == 0 || !strings.Contains(out, want) {
			t.Errorf("%d %s, expected %s", code, out, want)
		}
		return
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	dir := publicDir(t)
	publishApp(t, "identity", dir)
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(run, uid, gid); err != nil {
		t.Fatal(err)
	}
	pidFile, socket := filepath.Join(dir, "p.pid"), filepath.Join(dir, "s.sock")
	s := runServer(t, "identity", command("serve", "--bind", "unix:"+socket, "--workers", "1", "--chdir", dir, "--control-socket", filepath.Join(run, "c"),
		"--python", pythonFor(t, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}),
		"--user", "nobody", "--umask", "027", "--pid-file", pidFile, "wsgi"))
	s.listening(t)

	type identity struct {
		UID, GID []int
		Groups   []int
		Umask    int
		Env      map[string]string
	}
	got := getJSON[identity](t, s, "/")
	if fmt.Sprint(got.UID, got.GID, got.Umask) != fmt.Sprint([]int{uid, uid, uid}, []int{gid, gid, gid}, 0o27) {
		t.Errorf("the app runs as %v, %v with umask %o", got.UID, got.GID, got.Umask)
	}
	for _, group := range got.Groups {
		if group == 0 {
			t.Error("the app is still in root's group")
		}
	}
	for name, want := range map[string]string{"HOME": nobody.HomeDir, "USER": "nobody", "LOGNAME": "nobody"} {
		if got.Env[name] != want {
			t.Errorf("%s is %q, expected %q", name, got.Env[name], want)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if want := fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", uid); err != nil || !strings.Contains(string(status), want) {
		t.Errorf("the master is another user: %v %s", err, status)
	}
	st, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; owner != uint32(uid) || st.Mode().Perm() != 0o750 {
		t.Errorf("the socket is user %d's and has mode %v", owner, st.Mode().Perm())
	}
	if b, err := os.ReadFile(pidFile); err != nil || string(b) != fmt.Sprintln(s.cmd.Process.Pid) {
		t.Errorf("the pid file has %q, %v", b, err)
	}
	out, code := runToEnd(t, command("serve", "--bind", "127.0.0.1:0", "--pid-file", pidFile, "--chdir", dir, "wsgi"))
	if want := fmt.Sprintf("a server that runs holds it (process %d)", s.cmd.Process.Pid); code != 1 || !strings.Contains(out, want) {
		t.Errorf("a second server with that pid file: %d %s", code, out)
	}
	s.signal(t, syscall.SIGTERM)
	s.waitExit(t)
	// The folder is root's: the file can't be removed any more, but it names nobody.
	if b, err := os.ReadFile(pidFile); err != nil || len(b) > 0 {
		t.Errorf("the pid file has %q after the end, %v", b, err)
	}
}

func TestThePidFileIsGoneAfterTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.pid")
	s := start(t, "hello", options{args: []string{"--pid-file", path}})
	if b, err := os.ReadFile(path); err != nil || string(b) != fmt.Sprintln(s.cmd.Process.Pid) {
		t.Errorf("%q, %v", b, err)
	}
	s.stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}

func TestTheLogFileHasEverythingAlsoAfterARotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	s := runServer(t, "errors_stream", command(append([]string{
		"serve", "--bind", "127.0.0.1:0", "--workers", "2", "--chdir", appDir("errors_stream"), "--log-file", path, "wsgi"}, python.args...)...))
	has := func(path, text string) bool {
		b, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(b), text)
	}
	eventually(t, "the log file says where the server is", func() bool { return has(path, "serving wsgi on") })
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.at(listening.FindString(string(b)))

	// What the app says, in each of its ways, is in the file at path once the response is there.
	said := func(path, token string) {
		t.Helper()
		s.getOK(t, "/?"+token)
		for _, text := range []string{"by-print " + token, "to-stdout " + token, "to-stderr " + token, "by-logging " + token} {
			eventually(t, text+" is in "+filepath.Base(path), func() bool { return has(path, text) })
		}
	}
	said(path, token())
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	said(path+".1", token())
	s.signal(t, syscall.SIGUSR1)
	eventually(t, "the log file is there again", func() bool { _, err := os.Stat(path); return err == nil })
	// The workers follow the master; whichever answers.
	eventually(t, "both workers write to the new file", func() bool {
		n := 0
		for _, pid := range s.workers() {
			if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/1", pid)); target == path {
				n++
			}
		}
		return n == 2
	})
	said(path, token())
	s.signal(t, syscall.SIGTERM)
	s.waitExit(t)
	if !has(path, "draining") {
		t.Error("the end of the log is not in the new file")
	}
	if lines := s.log.all(); len(lines) > 0 {
		t.Errorf("beside the file it wrote %q", lines)
	}
}

func TestAUserWhoCanNotReachThePythonIsNamedWithTheFolderInTheWay(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	t.Parallel()
	dir := publicDir(t)
	publishApp(t, "identity", dir)
	closed := filepath.Join(dir, "closed")
	python := filepath.Join(closed, "bin", "python")
	venv := filepath.Join(dir, "linked")
	for _, d := range []string{filepath.Dir(python), filepath.Join(venv, "bin"), filepath.Join(dir, "closed-venv", ".venv")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	publishApp(t, "identity", filepath.Join(dir, "closed-venv"))
	if err := os.WriteFile(python, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../closed/bin/python", filepath.Join(venv, "bin", "python")); err != nil {
		t.Fatal(err)
	}
	inApp := filepath.Join(dir, "closed-venv", ".venv")
	for _, d := range []string{closed, inApp} {
		if err := os.Chmod(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		env, args []string
		folder    string
	}{
		"--python":          {nil, []string{"--chdir", dir, "--python", python}, closed},
		"--python a folder": {nil, []string{"--chdir", dir, "--python", closed}, closed},
		"VIRTUAL_ENV":       {[]string{"VIRTUAL_ENV=" + venv}, []string{"--chdir", dir}, closed},
		".venv":             {nil, []string{"--chdir", filepath.Dir(inApp)}, inApp},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := command(append([]string{"serve", "--bind", "127.0.0.1:0", "--user", "nobody", "--control-socket", filepath.Join(t.TempDir(), "c"), "wsgi"}, c.args...)...)
			cmd.Env = append(cmd.Env, c.env...)
			out, code := runToEnd(t, cmd)
			if code != 3 || !strings.Contains(out, "user nobody can't use ") || !strings.Contains(out, "the folder "+c.folder+";") {
				t.Errorf("%d %s", code, out)
			}
		})
	}
}
