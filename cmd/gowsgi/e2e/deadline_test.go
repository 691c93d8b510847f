package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newWorker waits until another process than the first serves alone.
func (s *server) newWorker(t *testing.T) {
	t.Helper()
	eventually(t, "another worker serves alone", func() bool {
		pids := s.workers()
		return len(pids) == 1 && pids[0] != s.pid
	})
}

func TestAWorkerWithStuckThreadsServesOnAndIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t, "stuck", options{args: []string{"--threads", "4", "--request-timeout", "8s", "--max-stuck", "3", "--graceful-timeout", "10s"}})
	first := s.getOK(t, "/pid")
	others, done := make(chan error, 1), make(chan struct{})
	go func() { others <- s.askUntil(done) }()
	stuck := map[string]*client{"/sleep": s.dial(t), "/call": s.dial(t), "/loop": s.dial(t)}
	for path, c := range stuck {
		c.request("GET", path+"?who", "")
	}
	for path, c := range stuck {
		if r := c.head("GET"); r.status != 504 {
			t.Errorf("%s: %d", path, r.status)
		}
		s.waitLog(t, "GET "+path+"?who")
	}
	s.newWorker(t)
	close(done)
	if err := <-others; err != nil {
		t.Error(err)
	}
	if pid := s.getOK(t, "/pid"); pid == first {
		t.Error("the worker with the stuck threads still serves")
	}
	log := strings.Join(s.log.all(), "\n")
	for _, frame := range []string{"in loop", "time.sleep(3600)", "ctypes.CDLL(None).sleep(3600)"} {
		if !strings.Contains(log, frame) {
			t.Errorf("no stack with %q in the log", frame)
		}
	}
}

// askUntil asks for /other, one request after the other on connections of their own, until done is closed, and gives the first failure.
func (s *server) askUntil(done <-chan struct{}) error {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		select {
		case <-done:
			return nil
		case <-time.After(5 * time.Millisecond):
		}
		resp, err := client.Get("http://" + s.addr + "/other")
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(body) != "fine" {
			return fmt.Errorf("/other: %s %q %v", resp.Status, body, err)
		}
	}
}

func TestAWorkerWhoseGILIsHeldAnswersWithoutPythonAndIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t, "stuck", options{args: []string{"--gil-timeout", "1s", "--graceful-timeout", "1s"}})
	c := s.dial(t)
	if r := c.do("GET", "/hold?who", ""); r.status != 504 {
		t.Errorf("%d", r.status)
	}
	s.waitLog(t, "GET /hold?who")
	s.waitLog(t, "in application")
	s.newWorker(t)
	if got := s.getOK(t, "/other"); got != "fine" {
		t.Error(got)
	}
}

func TestARequestThatFindsTheQueueFullOrWaitsTooLongGets503AndNeverRuns(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{args: []string{"--threads", "1", "--backlog", "2", "--queue-timeout", "2s"}})
	file, open := gate(t)
	running := s.dial(t)
	running.request("GET", "/block?"+file, "")
	s.waitLog(t, "blocked "+file)
	began := time.Now()
	var queued, refused []*client
	for i := range 6 {
		c := s.dial(t)
		c.request("GET", "/block?"+file, "")
		if i < 2 {
			queued = append(queued, c)
		} else {
			refused = append(refused, c)
		}
	}
	for _, c := range append(refused, queued...) {
		if r := c.head("GET"); r.status != 503 || r.value("Retry-After") != "1" {
			t.Errorf("%d, Retry-After %q", r.status, r.value("Retry-After"))
		} else {
			r.body()
		}
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("nobody waited in the queue: all were answered in %v", took)
	}
	open()
	if r := running.head("GET"); r.status != 200 || r.body() != "done" {
		t.Errorf("the one that ran: %d", r.status)
	}
	if got := s.getOK(t, "/fast"); got != "done" {
		t.Error(got)
	}
	if n := s.countLog("blocked " + file); n != 1 {
		t.Errorf("%d requests ran", n)
	}
}

func TestStacksShowEveryThreadAndItsRequest(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{args: []string{"--threads", "2"}})
	file, open := gate(t)
	defer open()
	s.dial(t).request("GET", "/block?"+file, "")
	s.waitLog(t, "blocked "+file)
	s.signal(t, syscall.SIGPWR)
	s.waitLog(t, "s in GET /block?"+file)
	s.waitLog(t, "in application")
	s.waitLog(t, "MainThread")
}
