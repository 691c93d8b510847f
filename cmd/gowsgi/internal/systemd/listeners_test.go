package systemd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const childVariable = "SYSTEMD_TEST_CHILD"

// TestMain runs this program as the server that systemd starts, where the test asks for it.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		serveActivated()
		return
	}
	os.Exit(m.Run())
}

// serveActivated greets one client of each socket, and tells on the way which variables a program of its own would see.
func serveActivated() {
	all, err := Listeners()
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println("listeners:", len(all))
	out, err := exec.Command("env").Output()
	if err != nil {
		fmt.Println("error:", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "LISTEN_") {
			fmt.Print("leaked: ", line)
		}
	}
	inherited, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
	if err != nil {
		fmt.Println("error:", err)
	}
	fmt.Println("sockets of a child:", strings.Count(string(inherited), "socket:"))
	for i, ln := range all {
		c, err := ln.Accept()
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		fmt.Fprintf(c, "socket %d", i)
		c.Close()
		ln.Close()
	}
}

// activate starts the child as systemd would: LISTEN_PID is the process itself, which sh becomes.
func activate(t *testing.T, pid, names string, files ...*os.File) *bufio.Reader {
	t.Helper()
	c := exec.Command("sh", "-c", `LISTEN_PID=`+pid+` LISTEN_PIDFDID=1 exec "$0"`, os.Args[0])
	c.Env = append(os.Environ(), childVariable+"=1", fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
	c.ExtraFiles = files
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end := time.AfterFunc(30*time.Second, func() { _ = c.Process.Kill() })
	t.Cleanup(func() {
		end.Stop()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return bufio.NewReader(out)
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, s)
	}
	return strings.TrimSuffix(s, "\n")
}

func fileOf(t *testing.T, c interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestSocketsOfSystemdAreServedAndNoChildSeesThem(t *testing.T) {
	tcp, path := listen(t, "tcp", "127.0.0.1:0"), filepath.Join(t.TempDir(), "s")
	unix := listen(t, "unix", path)
	out := activate(t, "$$", "web:local", fileOf(t, tcp.(*net.TCPListener)), fileOf(t, unix.(*net.UnixListener)))
	for _, want := range []string{"listeners: 2", "sockets of a child: 0"} {
		if got := line(t, out); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
	for i, ln := range []net.Listener{tcp, unix} {
		c, err := net.DialTimeout(ln.Addr().Network(), ln.Addr().String(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if b, err := io.ReadAll(c); string(b) != fmt.Sprintf("socket %d", i) {
			t.Errorf("socket %d answers %q, %v", i, b, err)
		}
		c.Close()
	}
	if _, err := io.ReadAll(out); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket's file, which is systemd's, is gone after its listener was closed: %v", err)
	}
}

func TestSocketsForAnotherProcessAreLeftAlone(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	out := activate(t, "1", "web", fileOf(t, ln.(*net.TCPListener)))
	if got := line(t, out); got != "listeners: 0" {
		t.Error(got)
	}
	if got := line(t, out); strings.HasPrefix(got, "leaked") {
		t.Error(got)
	}
}

func TestASocketThatDoesNotListenIsRefusedByItsName(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	out := activate(t, "$$", "web", fileOf(t, udp.(*net.UDPConn)))
	const want = `error: systemd's socket "web" can't be listened on: it does not listen for connections: the .socket unit needs ListenStream= and Accept=no`
	if got := line(t, out); got != want {
		t.Error(got)
	}
}
