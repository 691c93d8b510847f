//go:build cgo && !race

package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/gowsgi/gowsgi/pyhost"
)

// CPython starts once in a process and never leaves it: the test runs this program again as a child, which has the folder of the app here.
const hostVariable = "GATEWAY_TEST_HOST"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hostVariable); dir != "" {
		if err := countAllocations(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func countAllocations(dir string) error {
	python, err := pyhost.Discover(pyhost.DiscoverOptions{})
	if err != nil {
		return err
	}
	host, err := pyhost.Open(pyhost.Options{Python: python, Dir: dir, Threads: 2, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	if _, err := host.Load("hello"); err != nil {
		return err
	}
	if err := host.Start(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &Server{App: host, Mounts: []Mount{{}}}
	go func() { _ = s.Serve(ln) }()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	address := &syscall.SockaddrInet4{Port: ln.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	if err := syscall.Connect(fd, address); err != nil {
		return err
	}
	request, reply := []byte(browserRequest), make([]byte, 4000)
	once := func() error {
		if _, err := syscall.Write(fd, request); err != nil {
			return err
		}
		if n, err := syscall.Read(fd, reply); n < 100 || err != nil {
			return fmt.Errorf("read %d bytes: %v", n, err)
		}
		return nil
	}
	const n = 5000
	var before, after runtime.MemStats
	for _, stats := range []*runtime.MemStats{{}, &before, &after} {
		runtime.ReadMemStats(stats)
		for range n {
			if err := once(); err != nil {
				return err
			}
		}
	}
	fmt.Printf("allocations for each request: %.4f\n", float64(after.Mallocs-before.Mallocs)/n)
	return s.Shutdown(context.Background())
}

func TestASmallRequestAllocatesNothingInGoFromSocketToSocket(t *testing.T) {
	if _, err := pyhost.Discover(pyhost.DiscoverOptions{}); err != nil {
		t.Skipf("no Python that can be loaded: %v", err)
	}
	dir := t.TempDir()
	app := "def app(environ, start_response):\n    start_response('200 OK', [('Content-Length', '900')])\n    return [b'x' * 900]\n"
	if err := os.WriteFile(filepath.Join(dir, "hello.py"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hostVariable+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var each float64
	if _, err := fmt.Sscanf(strings.TrimSpace(string(out)), "allocations for each request: %f", &each); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Log(each)
	if each > 0.1 { // what the runtime and the clock do beside it
		t.Errorf("%v allocations", each)
	}
}
