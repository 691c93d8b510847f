package e2e

import (
	"slices"
	"testing"
	"time"
)

func TestRecyclingEveryFiftyRequestsUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, options{args: []string{"--max-requests", "50"}})
	load := d.load(t)
	if !within(2*time.Minute, func() bool { return d.countLog("it has served") >= 12 }) { // one after the other
		t.Error("workers were not replaced 12 times")
	}
	load.endWithout(t)
	d.waitServing(t, 2)
}

// replaced waits until the worker is gone and another serves.
func replaced(t *testing.T, d *deployment, old int) {
	t.Helper()
	eventually(t, "another worker serves, and the old one is gone", func() bool {
		pids := d.workers()
		return gone(old) && len(pids) == 1 && accepts(pids[0])
	})
	d.answersFrom(t, "first")
}

func TestAWorkerOfMaxWorkerAgeIsReplaced(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, options{args: []string{"--max-worker-age", "1s"}})
	load := d.load(t)
	seen := d.workers()
	eventually(t, "there were 3 workers", func() bool {
		for _, pid := range d.workers() {
			if !slices.Contains(seen, pid) {
				seen = append(seen, pid)
			}
		}
		return len(seen) >= 3
	})
	load.endWithout(t)
}

func TestAWorkerThatLeaksIsReplacedAtMaxWorkerRSS(t *testing.T) {
	t.Parallel()
	if sanitized {
		t.Skip("under AddressSanitizer the size of a process says nothing")
	}
	d := deploy(t, 1, options{args: []string{"--max-worker-rss", "256m"}})
	old := d.workers()[0]
	d.getOK(t, "/keep?10")
	if line := d.countLog("it uses"); line > 0 {
		t.Fatalf("it is replaced already:\n%s", d.tail(10))
	}
	d.getOK(t, "/keep?300")
	d.waitLog(t, "MiB of memory, and may use 256")
	replaced(t, d, old)
}

func TestARequestInHandDoesNotKeepASuccessorAway(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, options{args: []string{"--max-requests", "5"}})
	old := d.workers()[0]
	file, open := gate(t)
	c := d.dial(t)
	c.request("GET", "/block?"+file, "")
	d.waitLog(t, "blocked "+file)
	for range 6 {
		d.getOK(t, "/short")
	}
	eventually(t, "another worker answers", func() bool {
		r, _ := d.get(t, "/short")
		return r.value("X-Pid") != itoa(old)
	})
	if gone(old) {
		t.Error("the old one is gone with a request in hand")
	}
	open()
	if r := c.head("GET"); r.status != 200 || r.value("X-Pid") != itoa(old) || r.body() != "short" {
		t.Errorf("the request in hand: %d from %s", r.status, r.value("X-Pid"))
	}
	c.Close()
	ends(t, old, 20*time.Second)
}
