package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Test100000HostileRequestsHarmNobody sends random bytes and mutated requests, each on a connection of its own that must be over once the
// client has ended its side, with honest clients beside. On a slow machine it sends as many as it can in 25 s, to a sanitized server in 5 s.
func Test100000HostileRequestsHarmNobody(t *testing.T) {
	const total, attackers, honest = 100_000, 16, 4
	s := start(t, "seen", options{args: []string{"--threads", "4"}})
	m := newMutator(t, 1)
	var mu sync.Mutex
	sent, deadline := 0, time.Now().Add(25*time.Second)
	if sanitized {
		deadline = time.Now().Add(5 * time.Second)
	}
	next := func() []byte {
		mu.Lock()
		defer mu.Unlock()
		if sent == total || time.Now().After(deadline) {
			return nil
		}
		sent++
		return m.hostile()
	}
	attack := func() {
		var wg sync.WaitGroup
		for range attackers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for raw := next(); raw != nil; raw = next() {
					if err := s.hostileExchange(raw); err != nil {
						t.Errorf("%v after %.300q", err, raw)
						return
					}
				}
			}()
		}
		wg.Wait()
	}
	// The caches fill up in the first tenth.
	full := deadline
	deadline = time.Now().Add(time.Until(full) / 10)
	attack()
	deadline = full
	files, rss := openFiles(t, s.pid), rssKiB(t, s.pid)

	over, served := make(chan struct{}), atomic.Int64{}
	var wg sync.WaitGroup
	for i := range honest {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := s.honestClient(i, over, &served); err != nil {
				t.Errorf("an honest client: %v", err)
			}
		}()
	}
	attack()
	close(over)
	wg.Wait()
	t.Logf("%d hostile requests, %d honest ones beside", sent, served.Load())
	if served.Load() < honest {
		t.Errorf("%d honest requests were served", served.Load())
	}
	if !slices.Equal(s.workers(), []int{s.pid}) {
		t.Errorf("the worker %d was replaced: %v", s.pid, s.workers())
	}
	eventually(t, "the connections are closed", func() bool { return openFiles(t, s.pid) <= files+2 })
	if grown := rssKiB(t, s.pid) - rss; grown > 32<<10 && !sanitized {
		t.Errorf("the worker grew by %d KiB", grown)
	}
	s.getOK(t, "/")
}

// hostile makes what no honest client sends, most of it near to a request.
func (m *mutator) hostile() []byte {
	switch m.IntN(10) {
	case 0: // bytes at random
		raw := make([]byte, m.IntN(300))
		for i := range raw {
			raw[i] = byte(m.IntN(256))
		}
		return raw
	case 1: // characters of HTTP at random
		const chars = "GET POST / HTTP/1.1\r\n\r\n: ;,=\"0123456789abcdefchunked\t\x00"
		raw := []byte("GET / HTTP/1.1\r\n")
		for range m.IntN(200) {
			raw = append(raw, chars[m.IntN(len(chars))])
		}
		return raw
	case 2: // a fragment again and again
		raw := m.next()
		return insert(raw, m.IntN(len(raw)+1), strings.Repeat(fragments[m.IntN(len(fragments))], m.IntN(2000)))
	}
	return m.next()
}

// hostileExchange sends raw, ends its side and reads what comes. An error: the server does not end the connection.
func (s *server) hostileExchange(raw []byte) error {
	nc, err := net.DialTimeout(s.network, s.addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := nc.Write(raw); err == nil {
		_ = nc.(*net.TCPConn).CloseWrite()
	}
	_, err = io.Copy(io.Discard, nc)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("the connection is still open: %w", err)
	}
	return nil
}

// honestClient makes requests on one connection until over, and checks what the app saw of each.
func (s *server) honestClient(id int, over chan struct{}, served *atomic.Int64) error {
	nc, err := net.DialTimeout(s.network, s.addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	for n := 0; ; n++ {
		select {
		case <-over:
			return nil
		default:
		}
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		path, body := fmt.Sprintf("/honest/%d/%d", id, n), strings.Repeat("b", n%1000)
		if _, err := fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: honest.example\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if o := outcomeOf(resp.Header.Get("X-Seen")); resp.StatusCode != 200 || resp.Close || o.path != path || o.body != `"`+body+`"` {
			return fmt.Errorf("%s: %v, the app saw %v", path, resp, o)
		}
		served.Add(1)
	}
}
