package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runServer starts a server by a command of the test's own. It is stopped and checked at the test's end.
func runServer(t testing.TB, name string, c *exec.Cmd) *server {
	t.Helper()
	s := &server{name: name, cmd: c, dir: t.TempDir(), exited: make(chan struct{})}
	s.log.changed, s.log.ended = make(chan struct{}), make(chan struct{})
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setsid = true
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = w, w
	err = c.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	s.pid = c.Process.Pid
	go s.log.read(r)
	go func() {
		_ = c.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		for _, p := range s.stop() {
			t.Error(p)
		}
		s.tailOnFailure(t)
	})
	return s
}

// through is a command that becomes gowsgi: what runs before it is a shell's.
func through(shell string, args ...string) *exec.Cmd {
	c := command()
	c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", shell + ` exec "$0" "$@"`, binary}, args...)
	return c
}

// notices are what systemd is told.
type notices struct {
	t testing.TB
	c *net.UnixConn
}

func (n *notices) next() string {
	n.t.Helper()
	_ = n.c.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 4096)
	size, err := n.c.Read(b)
	if err != nil {
		n.t.Fatalf("a notice: %v", err)
	}
	return string(b[:size])
}

// want waits for a notice that matches; only the watchdog may be fed before.
func (n *notices) want(pattern string) {
	n.t.Helper()
	for {
		notice := n.next()
		if regexp.MustCompile(pattern).MatchString(notice) {
			return
		}
		if notice != "WATCHDOG=1" {
			n.t.Fatalf("systemd is told %q, expected %s", notice, pattern)
		}
	}
}

func TestAsAServiceOfSystemdItServesItsSocketsAndTellsWhatItDoes(t *testing.T) {
	dir := t.TempDir()
	notify := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	told := &notices{t, manager}
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	unix, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	args := append([]string{
		"serve", "--bind", "unix:" + dir + "/unused", "--workers", "1", "--chdir", appDir("identity"), "--control-socket", dir + "/control",
	}, python.args...)
	c := through("LISTEN_PID=$$ WATCHDOG_PID=$$", append(args, "wsgi")...)
	c.Env = append(c.Env, "NOTIFY_SOCKET="+notify, "WATCHDOG_USEC=100000", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b")
	for _, ln := range []interface{ File() (*os.File, error) }{tcp, unix} {
		f, err := ln.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c.ExtraFiles = append(c.ExtraFiles, f)
	}
	s := runServer(t, "identity", c)

	told.want(`^READY=1\nSTATUS=\S.*$`)
	for _, ln := range []net.Listener{tcp, unix} {
		at := &server{network: ln.Addr().Network(), addr: ln.Addr().String(), name: "identity"}
		got := getJSON[struct{ Env map[string]string }](t, at, "/")
		for name := range got.Env {
			if strings.HasPrefix(name, "LISTEN_") || strings.HasPrefix(name, "WATCHDOG_") || name == "NOTIFY_SOCKET" {
				t.Errorf("the app sees %s", name)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "unused")); err == nil {
		t.Error("--bind is bound beside systemd's sockets")
	}
	for range 3 {
		told.want(`^WATCHDOG=1$`)
	}
	s.signal(t, syscall.SIGHUP)
	told.want(`^RELOADING=1\nMONOTONIC_USEC=\d+\n$`)
	told.want(`^READY=1\nSTATUS=\S.*$`)
	s.signal(t, syscall.SIGTERM)
	told.want(`^STOPPING=1$`)
	s.waitExit(t)
	if _, err := os.Stat(filepath.Join(dir, "s")); err != nil {
		t.Errorf("the socket, which is systemd's, is gone: %v", err)
	}
}

func TestAMasterThatAdoptsOrphansCollectsThemAndKnowsHowItsWorkersEnd(t *testing.T) {
	// A subreaper is what process 1 of a container is; prctl's 36 outlives exec.
	args := append([]string{"serve", "--bind", "127.0.0.1:0", "--workers", "1", "--chdir", appDir("orphans")}, python.args...)
	c := command()
	c.Path = python.interpreter
	c.Args = append([]string{"python", "-c", "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0; os.execv(sys.argv[1], sys.argv[1:])", binary},
		append(args, "wsgi")...)
	s := runServer(t, "orphans", c)
	s.listening(t)
	for range 5 {
		_, pid := s.get(t, "/")
		eventually(t, "the orphan is collected", func() bool {
			_, err := os.Stat("/proc/" + pid)
			return err != nil
		})
	}
	before := s.workers()
	if len(before) != 1 {
		t.Fatalf("children of the master: %v", before)
	}
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.waitLog(t, "signal: killed")
	eventually(t, "another worker serves", func() bool { now := s.workers(); return len(now) == 1 && !slices.Equal(now, before) })
	s.getOK(t, "/")
}

// listening waits until the server says where it is.
func (s *server) listening(t testing.TB) {
	t.Helper()
	line, ok := s.log.find(listening, 30*time.Second)
	if !ok {
		t.Fatalf("%s does not listen:\n%s", s.name, s.tail(60))
	}
	s.at(line)
}

func (s *server) at(line string) {
	m := listening.FindStringSubmatch(line)
	s.network, s.addr = "tcp", "127.0.0.1:"+m[1]
	if m[2] != "" {
		s.network, s.addr = "unix", m[2]
	}
}
