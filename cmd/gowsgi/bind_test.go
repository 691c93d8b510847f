package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestABindIsAnAddressAPathOrADescriptor(t *testing.T) {
	for in, want := range map[string]bind{
		"127.0.0.1:8000": {"tcp", "127.0.0.1:8000"}, ":8000": {"tcp", ":8000"}, "[::1]:0": {"tcp", "[::1]:0"}, "localhost:80": {"tcp", "localhost:80"},
		"unix:/run/a b.sock": {"unix", "/run/a b.sock"}, "unix:x.sock": {"unix", "x.sock"}, "fd:3": {"fd", "3"},
	} {
		var got bind
		if err := got.UnmarshalText([]byte(in)); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", in, got, err)
		}
		if got.String() != in {
			t.Errorf("%q became %q", in, got)
		}
	}
	for _, in := range []string{"", "8000", "localhost", "::1:80", "host:http", "host:65536", "host:-1", "unix:", "fd:", "fd:x", "fd:-1", "host:"} {
		var got bind
		if err := got.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken for %+v", in, got)
		}
	}
}

func mustListen(t *testing.T, b bind) net.Listener {
	t.Helper()
	ln, err := b.listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func wantListenError(t *testing.T, b bind, parts ...string) {
	t.Helper()
	ln, err := b.listen()
	if err == nil {
		ln.Close()
		t.Fatalf("%s was bound", b)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	ln := mustListen(t, bind{"tcp", "127.0.0.1:0"})
	wantListenError(t, bind{"tcp", ln.Addr().String()}, ln.Addr().String(), "another process listens there", "--bind")
}

func TestAStaleUnixSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()

	ln := mustListen(t, bind{"unix", path})
	if got := listenerURL(ln); got != "unix:"+path {
		t.Errorf("url %q", got)
	}
	wantListenError(t, bind{"unix", path}, path, "another process listens there")
	ln.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left after Close: %v", err)
	}
}

func TestAFileIsNeverReplacedByASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantListenError(t, bind{"unix", path}, path, "no socket")
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	wantListenError(t, bind{"unix", filepath.Join(path, "x")}, "not a directory")
}

func TestAnInheritedListeningSocketIsTakenOver(t *testing.T) {
	tcp, ok := mustListen(t, bind{"tcp", "127.0.0.1:0"}).(*net.TCPListener)
	if !ok {
		t.Fatal("no TCP listener")
	}
	f, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd())) // is closed by who takes it over
	if err != nil {
		t.Fatal(err)
	}
	ln := mustListen(t, bind{"fd", strconv.Itoa(fd)})
	if ln.Addr().String() != tcp.Addr().String() {
		t.Errorf("listens on %v, not %v", ln.Addr(), tcp.Addr())
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestADescriptorThatDoesNotListenIsRefused(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	wantListenError(t, bind{"fd", strconv.Itoa(int(r.Fd()))}, "not a listening socket")
	wantListenError(t, bind{"fd", "1000000"}, "fd:1000000", "not open")
}

func TestWhereOneAddressCannotBeBoundNoneIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	taken := mustListen(t, bind{"tcp", "127.0.0.1:0"})
	if _, err := listenAll([]bind{{"unix", path}, {"tcp", taken.Addr().String()}}); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}
