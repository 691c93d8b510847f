package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// honest keeps 32 clients busy, each on its own connection, until stop is called; stop tells how many requests were answered, and an error
// of any.
func (s *server) honest(t testing.TB, target, want string) (stop func() (int64, error)) {
	t.Helper()
	var answered atomic.Int64
	var first atomic.Pointer[error]
	var ended atomic.Bool
	var group sync.WaitGroup
	for range 32 {
		c := s.dial(t)
		group.Go(func() {
			defer c.Close()
			for !ended.Load() {
				err := c.once(target, want)
				if err != nil {
					first.CompareAndSwap(nil, &err)
					return
				}
				answered.Add(1)
				time.Sleep(5 * time.Millisecond) // what is tested is not how fast they are
			}
		})
	}
	return func() (int64, error) {
		ended.Store(true)
		group.Wait()
		if err := first.Load(); err != nil {
			return answered.Load(), *err
		}
		return answered.Load(), nil
	}
}

// once makes one request, on any goroutine.
func (c *client) once(target, want string) error {
	c.limit()
	if _, err := fmt.Fprintf(c.Conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target); err != nil {
		return err
	}
	r, err := c.tryHead("GET")
	if err != nil {
		return err
	}
	var body strings.Builder
	for {
		p, err := r.next()
		body.Write(p)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if r.status != 200 || body.String() != want {
		return fmt.Errorf("%d %.100q", r.status, body.String())
	}
	return nil
}

// attacker opens a connection, sends start, and goes on with step until an error, which means that the server has ended the connection. It
// tells how long that took; -1: the server had not within limit.
func (s *server) attacker(start string, limit time.Duration, step func(nc net.Conn) error) (time.Duration, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	nc, err := d.Dial(s.network, s.addr)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	began := time.Now()
	if _, err := io.WriteString(nc, start); err != nil { // it came to that too late
		return time.Since(began), nil
	}
	for step(nc) == nil {
		if time.Since(began) > limit {
			return -1, nil
		}
	}
	return time.Since(began), nil
}

// send1 sends a byte now and then, and notices that the server has ended the connection.
func send1(nc net.Conn) error {
	_ = nc.SetReadDeadline(time.Now().Add(400 * time.Millisecond))
	switch n, err := nc.Read(make([]byte, 1000)); {
	case n > 0: // 408
		return io.EOF
	case err != nil && !isTimeout(err):
		return err
	}
	_, err := io.WriteString(nc, "x")
	return err
}

// read500 reads a little now and then. What its own kernel holds comes before the end that the server makes.
func read500(nc net.Conn) error {
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	time.Sleep(200 * time.Millisecond)
	_, err := nc.Read(make([]byte, 500))
	return err
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func TestTwoThousandSlowClientsOfEachKindAreCutAndHinderNobody(t *testing.T) {
	const attackers, timeout, within = 2000, 2 * time.Second, 25 * time.Second
	needFiles(t, attackers+200)
	s := start(t, "download", options{args: []string{
		"--header-timeout", timeout.String(), "--body-timeout", timeout.String(), "--write-timeout", timeout.String(), "--min-write-rate", "64k",
	}})
	s.getOK(t, "/list?0")
	files := openFiles(t, s.pid)
	for _, kind := range []struct {
		name, start string
		step        func(nc net.Conn) error
		boundKiB    int64 // of all
	}{
		{"headers", "GET /list?0 HTTP/1.1\r\nHost: a\r\nX: ", send1, 100 << 10},
		{"a body", "POST /list?0 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", send1, 200 << 10},
		{"a chunked body", "POST /list?0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", send1, 200 << 10},
		{"reading", "GET /list?8 HTTP/1.1\r\nHost: a\r\n\r\n", read500, 200 << 10},
	} {
		t.Run(kind.name, func(t *testing.T) {
			stop := s.honest(t, "/list?0", "")
			var longest, failed atomic.Int64
			peak := peakAboveKiB(t, s.pid, func() {
				var group sync.WaitGroup
				for range attackers {
					group.Go(func() {
						d, err := s.attacker(kind.start, within, kind.step)
						if err != nil || d < 0 {
							failed.Add(1)
						}
						for {
							old := longest.Load()
							if int64(d) <= old || longest.CompareAndSwap(old, int64(d)) {
								return
							}
						}
					})
				}
				group.Wait()
			})
			if n := failed.Load(); n > 0 {
				t.Errorf("%d of %d attackers were not cut within %v", n, attackers, within)
			}
			answered, err := stop()
			if err != nil || answered < 32 {
				t.Errorf("%d requests of others were answered; %v", answered, err)
			}
			t.Logf("%d requests of others; attackers were cut after %v at most; the process rose %d MiB", answered, time.Duration(longest.Load()), peak>>10)
			if peak > kind.boundKiB && !sanitized {
				t.Errorf("the process rose by %d KiB", peak)
			}
		})
	}
	if !closedAgain(t, s, files) {
		t.Errorf("descriptors: %d, then %d", files, openFiles(t, s.pid))
	}
}

func closedAgain(t *testing.T, s *server, files int) bool {
	return within(10*time.Second, func() bool { return openFiles(t, s.pid) <= files+5 })
}

// needFiles skips the test where this process may not have so many descriptors.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur < n {
		t.Skipf("%d descriptors are needed, and %d may be open (ulimit -n)", n, l.Cur)
	}
}

func Test10000ConnectionsOpenedAndDroppedLeaveNothingBehind(t *testing.T) {
	const all, wave = 10_000, 2_500
	needFiles(t, wave+200)
	s := start(t, "hello", options{})
	s.getOK(t, "/")
	files := openFiles(t, s.pid)
	round := func() {
		stop := s.honest(t, "/", "hello\n")
		for range all / wave {
			open := make([]net.Conn, wave)
			for i := range open {
				nc, err := net.DialTimeout(s.network, s.addr, 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				open[i] = nc
				switch i % 4 {
				case 1:
					_, err = io.WriteString(nc, "GET / HT")
				case 2:
					_, err = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				case 3:
					_, err = io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			for i, nc := range open {
				if i%8 < 4 {
					_ = nc.(*net.TCPConn).SetLinger(0)
				}
				_ = nc.Close()
			}
		}
		if answered, err := stop(); err != nil || answered < 32 {
			t.Errorf("%d requests of others were answered; %v", answered, err)
		}
		if !closedAgain(t, s, files) {
			t.Errorf("descriptors: %d, then %d", files, openFiles(t, s.pid))
		}
	}
	round()
	before := rssKiB(t, s.pid)
	round()
	if grown := rssKiB(t, s.pid) - before; grown > 20<<10 && !sanitized {
		t.Errorf("the process grew by %d KiB in the second round", grown)
	}
}

func TestTheLimitsOfRequestsAndConnectionsAreFlags(t *testing.T) {
	t.Parallel()
	s := start(t, "hello", options{args: []string{
		"--limit-request-line", "50", "--limit-request-fields", "3", "--limit-request-field-size", "40", "--limit-request-header", "80",
		"--limit-request-body", "10", "--keepalive-requests", "2", "--max-connections", "4",
	}})
	const line = "GET / HTTP/1.1\r\nHost: a\r\n"
	for _, row := range []struct {
		request string
		status  int
	}{
		{line + "\r\n", 200},
		{"GET /" + strings.Repeat("a", 50) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{line + "A: b\r\nA: b\r\n\r\n", 200},
		{line + "A: b\r\nA: b\r\nA: b\r\n\r\n", 431},
		{line + "A: " + strings.Repeat("b", 38) + "\r\n\r\n", 431},
		{line + "A: " + strings.Repeat("b", 32) + "\r\nA: " + strings.Repeat("b", 32) + "\r\n\r\n", 431},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello hello", 413},
	} {
		c := s.dial(t)
		c.send(row.request)
		if r := c.head("GET"); r.status != row.status {
			t.Errorf("%.60q: %d, want %d", row.request, r.status, row.status)
		}
		c.Close()
	}
	c := s.dial(t)
	for i, want := range []string{"", "close"} {
		r := c.do("GET", "/", "")
		if r.body(); r.value("Connection") != want {
			t.Errorf("request %d: Connection is %q", i, r.value("Connection"))
		}
	}
	for range 20 { // idle ones give way
		s.dial(t).do("GET", "/", "").body()
	}
	if n := openFiles(t, s.pid); !within(5*time.Second, func() bool { n = openFiles(t, s.pid); return n < 40 }) {
		t.Errorf("%d descriptors", n)
	}
}

func TestAClientMayHaveAsManyConnectionsAsAFlagSays(t *testing.T) {
	t.Parallel()
	s := start(t, "hello", options{args: []string{"--max-connections-per-ip", "3"}})
	for range 3 {
		s.dial(t).do("GET", "/", "").body()
	}
	nc, err := net.Dial(s.network, s.addr)
	if err != nil {
		return // it was closed so soon that the dial has seen it
	}
	defer nc.Close()
	_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := nc.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the fourth connection is open: %v", err)
	}
}
