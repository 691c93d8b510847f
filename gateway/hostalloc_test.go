//go:build cgo && !race

package gateway

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func countAllocations(s *Server, ln net.Listener) error {
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
	for _, format := range []string{"", "combined", "json"} {
		t.Run("access log "+format, func(t *testing.T) {
			h := hostJob{Threads: 2, Count: true, AccessLog: format}.start(t,
				"def app(environ, start_response):\n    start_response('200 OK', [('Content-Length', '900')])\n    return [b'x' * 900]\n")
			var each float64
			if _, err := fmt.Sscanf(strings.TrimSpace(h.addr), "allocations for each request: %f", &each); err != nil {
				t.Fatalf("%v: %s", err, h.addr)
			}
			t.Log(each)
			if each > 0.1 { // what the runtime and the clock do beside it
				t.Errorf("%v allocations", each)
			}
		})
	}
}
