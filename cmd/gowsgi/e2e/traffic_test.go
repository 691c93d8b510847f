package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// traffic is load of every kind on the traffic app: about 200 requests a second. No client repeats a request. Each failure is kept with its
// reason.
type traffic struct {
	s       *server
	quit    chan struct{}
	clients sync.WaitGroup

	mu       sync.Mutex
	done     map[string]int       // by kind
	seen     map[int]time.Time    // when a request that the process answered was begun last
	releases map[string]time.Time // the same for releases
	failures []trafficFailure
	reopened int // kept connections that the server had closed before the next request
	raced    int // kept connections that the server closed while the next request was on its way: no byte of an answer came
}

// trafficFailure is a request without its proper answer.
type trafficFailure struct {
	kind  string
	began time.Time
	ended time.Time
	pid   int // of the worker that answered before on the same connection, 0 where it was new
	err   error
}

func (f trafficFailure) String() string {
	return fmt.Sprintf("%s %s (worker %d): %v", f.began.Format("05.000"), f.kind, f.pid, f.err)
}

// load begins the traffic, which ends with end or with the test.
func (s *server) load(t testing.TB) *traffic {
	f := &traffic{s: s, quit: make(chan struct{}), done: map[string]int{}, seen: map[int]time.Time{}, releases: map[string]time.Time{}}
	short := trafficRequest{kind: "short", target: "/short", want: "short"}
	stream := trafficRequest{kind: "stream", target: "/stream", want: "chunk 0\nchunk 1\nchunk 2\nchunk 3\nchunk 4\n"}
	upload := trafficRequest{kind: "upload", target: "/upload", body: strings.Repeat("0123456789abcdef", 4<<10)}
	spooled := trafficRequest{kind: "long upload", target: "/upload", body: strings.Repeat("0123456789abcdef", 80<<10)}
	for _, c := range []struct {
		clients int
		keep    bool
		every   time.Duration
		request trafficRequest
	}{
		{3, false, 50 * time.Millisecond, short},  // 60/s
		{5, true, 50 * time.Millisecond, short},   // 100/s
		{1, true, 700 * time.Millisecond, short},  // longer than a drain leaves idle connections open
		{1, false, 70 * time.Millisecond, stream}, // 14/s
		{1, true, 70 * time.Millisecond, stream},
		{1, false, 100 * time.Millisecond, upload}, // 10/s
		{1, true, 100 * time.Millisecond, upload},
		{1, false, time.Second, spooled},
	} {
		for range c.clients {
			f.clients.Go(func() { f.client(c.request, c.keep, c.every) })
		}
	}
	t.Cleanup(f.stop)
	return f
}

func (f *traffic) stop() {
	f.mu.Lock()
	select {
	case <-f.quit:
	default:
		close(f.quit)
	}
	f.mu.Unlock()
	f.clients.Wait()
}

// end ends the traffic and returns how many requests were answered, and the failures.
func (f *traffic) end(t testing.TB) (answered int, failures []trafficFailure) {
	t.Helper()
	f.stop()
	var kinds []string
	for kind, n := range f.done {
		answered += n
		kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
	}
	t.Logf("%d answered (%s), %d failed, %d raced; %d kept connections were closed while idle", answered, strings.Join(kinds, ", "),
		len(f.failures), f.raced, f.reopened)
	return answered, f.failures
}

// goesOn waits until n more requests were answered.
func (f *traffic) goesOn(t testing.TB, n int) {
	t.Helper()
	answered := func() (all int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, n := range f.done {
			all += n
		}
		return all
	}
	before := answered()
	eventually(t, "requests are answered", func() bool { return answered() >= before+n })
}

// endWithout ends the traffic, of which nothing may have failed.
func (f *traffic) endWithout(t testing.TB) {
	t.Helper()
	answered, failures := f.end(t)
	for i, failure := range failures {
		if i == 10 {
			t.Errorf("and %d more", len(failures)-i)
			break
		}
		t.Error(failure)
	}
	if f.raced > 0 {
		t.Errorf("%d requests were sent on kept connections that the server closed just then", f.raced)
	}
	if answered == 0 {
		t.Error("no request at all was answered")
	}
}

// trafficRequest is one kind of request, with the answer that it must get.
type trafficRequest struct{ kind, target, body, want string }

// client sends one request at each tick, on a connection that it keeps or on a new one each time.
func (f *traffic) client(q trafficRequest, keep bool, every time.Duration) {
	kind := q.kind
	if keep {
		kind += " kept"
	}
	if q.body != "" {
		q.want = uploadReply(q.body)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var c *trafficConn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for {
		select {
		case <-f.quit:
			return
		case <-tick.C:
		}
		if c != nil && c.ended() {
			c.Close()
			c = nil
			f.mu.Lock()
			f.reopened++
			f.mu.Unlock()
		}
		failure := trafficFailure{kind: kind, began: time.Now()}
		reused := c != nil
		if reused {
			failure.pid = c.pid
		} else if c, failure.err = f.s.trafficDial(); failure.err != nil {
			f.note(kind, nil, failure, false)
			continue
		}
		var more bool
		more, failure.err = c.ask(q, keep)
		f.note(kind, c, failure, reused && !c.answered)
		if !more || failure.err != nil {
			c.Close()
			c = nil
		}
	}
}

func (f *traffic) note(kind string, c *trafficConn, failure trafficFailure, unanswered bool) {
	failure.ended = time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case failure.err == nil:
		f.done[kind]++
		f.seen[c.pid] = failure.began
		f.releases[c.release] = failure.began
	case unanswered && (errors.Is(failure.err, io.EOF) || errors.Is(failure.err, syscall.ECONNRESET) || errors.Is(failure.err, syscall.EPIPE)):
		f.raced++
		f.failures = append(f.failures, failure)
	default:
		f.failures = append(f.failures, failure)
	}
}

// trafficConn is a connection of one client.
type trafficConn struct {
	net.Conn
	r        *bufio.Reader
	pid      int // what answered last
	release  string
	answered bool // a byte of an answer to the last request came
}

func (s *server) trafficDial() (*trafficConn, error) {
	c, err := net.DialTimeout(s.network, s.addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &trafficConn{Conn: c, r: bufio.NewReader(c)}, nil
}

// ended says whether the server has closed the connection, on which nothing is owed.
func (c *trafficConn) ended() (ended bool) {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	if err := raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil || err != nil && err != syscall.EAGAIN
	}); err != nil {
		return true
	}
	return ended
}

// ask sends a request, a body in two pieces, and reads the answer. more: the connection can be used again.
func (c *trafficConn) ask(q trafficRequest, keep bool) (more bool, err error) {
	c.answered = false
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	head := "GET " + q.target + " HTTP/1.1\r\nHost: example.org\r\n"
	if q.body != "" {
		head = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: example.org\r\nContent-Length: %d\r\n", q.target, len(q.body))
	}
	if !keep {
		head += "Connection: close\r\n"
	}
	half := len(q.body) / 2
	if _, err := io.WriteString(c, head+"\r\n"+q.body[:half]); err != nil {
		return false, err
	}
	if q.body != "" {
		time.Sleep(2 * time.Millisecond) // a client whose body comes in pieces
		if _, err := io.WriteString(c, q.body[half:]); err != nil {
			return false, err
		}
	}
	if _, err := c.r.Peek(1); err != nil {
		return false, err
	}
	c.answered = true
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return false, unexpected(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, fmt.Errorf("after %d bytes of the body: %w", len(body), err)
	}
	if response.StatusCode != 200 || string(body) != q.want {
		return false, fmt.Errorf("%s with %d bytes: %.200q", response.Status, len(body), body)
	}
	c.pid, _ = strconv.Atoi(response.Header.Get("X-Pid"))
	c.release = response.Header.Get("X-Release")
	return keep && !response.Close, nil
}
