package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forkRuns sends one request to the forks app and returns its answer and how often the view ran for it.
func forkRuns(t *testing.T, s *server, path string, headers ...string) (body string, c *client, r *response) {
	t.Helper()
	c = s.dial(t)
	r = c.do("GET", path, "", headers...)
	if r.status != 200 {
		t.Fatalf("%s: %d\n%s", path, r.status, s.tail(30))
	}
	return r.body(), c, r
}

func TestAForkedChildEndsWithoutServing(t *testing.T) {
	t.Parallel()
	s := start(t, "forks", options{args: []string{"--threads", "4"}})
	runs := filepath.Join(t.TempDir(), "runs")
	for path, want := range map[string]string{
		"/child_returns": "exit 0", "/child_yields": "exit 0", "/child_raises": "exit 1", "/child_exits": "exit 7", "/child_os_exits": "exit 8", "/child_execs": "exit 9",
		"/child_starts": "exit 1", // start_response raises there: the request is the parent's
	} {
		tok := token()
		// Requests that wait in the queue while the child is made must not run in it.
		var others []*client
		for range 8 {
			c := s.dial(t)
			c.request("GET", "/plain?"+tok, "", "X-Runs: "+runs)
			others = append(others, c)
		}
		body, c, _ := forkRuns(t, s, path+"?"+tok, "X-Runs: "+runs)
		if body != want {
			t.Errorf("%s: %q, expected %q", path, body, want)
		}
		c.usable("/plain?after", "X-Runs: "+runs)
		for _, o := range others {
			if r := o.head("GET"); r.status != 200 || r.body() != "plain" {
				t.Errorf("beside %s: %d", path, r.status)
			}
		}
		b, err := os.ReadFile(runs)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), tok+"\n"); n != 9 {
			t.Errorf("%s: the app ran %d times for 9 requests", path, n)
		}
	}
}

func TestAForkedChildThatLivesOnHoldsNothingOfTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, "forks", options{leftover: true})
	file, open := gate(t)
	defer open()
	runs := filepath.Join(t.TempDir(), "runs")
	held := s.dial(t) // an idle connection that the child has a copy of
	held.do("GET", "/plain", "", "X-Runs: "+runs).body()

	c := s.dial(t)
	c.request("GET", "/child_lives_on", "", "X-Runs: "+runs, "X-Gate: "+file, "Connection: close")
	r := c.head("GET")
	body := r.body()
	pid, ok := strings.CutPrefix(body, "left ")
	if !ok {
		t.Fatal(body)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	c.closed()
	eventually(t, "the child closed its copies of the server's sockets", func() bool { return socketsOf(pid) == 0 })
	for range 20 { // each is accepted by the server, not lost in the child
		if r, body := s.get(t, "/plain", "X-Runs: "+runs); r.status != 200 || body != "plain" {
			t.Fatal(r.status)
		}
	}
	held.usable("/plain", "X-Runs: "+runs)
	for _, p := range s.stop() {
		t.Error(p)
	}
	if _, err := os.Stat("/proc/" + pid); err != nil {
		t.Error("the child did not outlive the server")
	}
	if conn, err := net.DialTimeout(s.network, s.addr, time.Second); err == nil {
		conn.Close()
		t.Error("the child keeps the server's port open")
	}
	open()
	eventually(t, "the child ended", func() bool { _, err := os.Stat("/proc/" + pid + "/fd"); return err != nil || len(fdLinks(pid)) == 0 })
}

func fdLinks(pid string) (out []string) {
	links, _ := filepath.Glob("/proc/" + pid + "/fd/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil {
			out = append(out, to)
		}
	}
	return out
}

func socketsOf(pid string) (n int) {
	for _, to := range fdLinks(pid) {
		if strings.HasPrefix(to, "socket:") || strings.Contains(to, "eventpoll") || strings.Contains(to, "eventfd") {
			n++
		}
	}
	return n
}

func TestMultiprocessingRunsAndTerminatesWithEveryStartMethod(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"fork", "forkserver", "spawn"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			// Python's own helpers (resource tracker, fork server) end when their pipe closes, just after the server.
			s := start(t, "multiproc", options{})
			for path, want := range map[string]string{"/run": "True 0", "/terminate": "-15", "/pool": "[2, 4, 6]"} {
				for range 2 {
					if got := s.getOK(t, path+"?"+method); got != want {
						t.Errorf("%s %s: %q, expected %q", method, path, got, want)
					}
				}
			}
		})
	}
}
