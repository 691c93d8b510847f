package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAnAppThatEndsItsWorkerCostsNothingButThat(t *testing.T) {
	t.Parallel()
	for path, how := range map[string]string{"/exit": "exit status 7", "/kill": "signal: killed"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			s := start(t, "misbehaves", options{args: []string{"--workers", "2"}})
			s.waitServing(t, 2)
			for range 2 {
				c := s.dial(t)
				c.request("GET", path, "")
				if r, err := c.tryHead("GET"); err == nil {
					t.Errorf("an answer: %d", r.status)
				}
			}
			s.waitLogs(t, how, 2)
			s.waitServing(t, 2)
			if got := s.getOK(t, "/"); got != "done" {
				t.Error(got)
			}
		})
	}
}

func TestAnAppThatTerminatesItselfIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t, "misbehaves", options{})
	before := s.getOK(t, "/pid")
	if got := s.getOK(t, "/stop"); got != "done" {
		t.Error(got)
	}
	eventually(t, "another worker answers", func() bool { return s.getOK(t, "/pid") != before })
}

func TestWhatAnAppDoesToItsProcessHarmsNoLaterRequestNorAReload(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/close", "/chdir", "/umask", "/memory", "/setpgid", "/thread"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			o := options{args: []string{"--graceful-timeout", "2s"}}
			s := start(t, "misbehaves", o)
			before := s.getOK(t, "/pid")
			r, body := s.get(t, path)
			if r.status != 200 && path != "/setpgid" { // which is the kernel's to allow
				t.Errorf("%d %s", r.status, body)
			}
			if path == "/memory" && body != "MemoryError" {
				t.Errorf("%q", body)
			}
			var held []*client // which get the lowest free descriptors
			for range 4 {
				c := s.dial(t)
				c.usable("/")
				held = append(held, c)
			}
			s.get(t, "/print") // prints can fail, the server must not, nor may they go to a client
			for _, c := range held {
				c.usable("/")
			}
			upload := strings.Repeat("x", 3<<20)
			if r := s.dial(t).do("POST", "/", upload); r.status != 200 {
				t.Errorf("a long upload afterwards: %d", r.status)
			}
			if got := s.getOK(t, "/pid"); got != before {
				t.Errorf("the worker is %s, it was %s", got, before)
			}
			s.signal(t, syscall.SIGHUP)
			s.waitLog(t, "msg=reloaded")
			if got := s.getOK(t, "/pid"); got == before {
				t.Error("the same worker after a reload")
			}
		})
	}
}

func TestTheLogDoesNotGoToAFileThatTheAppOpensInThePlaceOfStandardError(t *testing.T) {
	t.Parallel()
	s := start(t, "misbehaves", options{})
	file := filepath.Join(s.dir, "data")
	s.getOK(t, "/take?"+file)
	if r, body := s.get(t, "/raise"); r.status != 500 {
		t.Errorf("%d %s", r.status, body)
	}
	s.waitLog(t, "the app's error")
	if data, err := os.ReadFile(file); err != nil || len(data) > 0 {
		t.Errorf("%q %v", data, err)
	}
}

func TestChildrenThatTheAppForkedOutliveAKilledWorkerWithoutHarm(t *testing.T) {
	t.Parallel()
	s := start(t, "misbehaves", options{leftover: true})
	pids := strings.Fields(s.getOK(t, "/children"))[1:]
	t.Cleanup(func() {
		for _, text := range pids {
			if pid, err := strconv.Atoi(text); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	if len(pids) != 2 {
		t.Fatal(pids)
	}
	old := s.workers()[0]
	killHard(t, old)
	began := time.Now()
	for range 20 { // none is lost in a child that holds a copy of the listener
		if got := s.getOK(t, "/"); got != "done" {
			t.Fatal(got)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("20 requests after the death took %v", took)
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.waitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
