package e2e

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestOfAKilledWorkerOnlyTheRequestsInHandFail(t *testing.T) {
	t.Parallel()
	d := deploy(t, 3, options{})
	load := d.load(t)
	type death struct {
		pid          int
		before, dead time.Time
	}
	var deaths []death
	slowest := time.Duration(0)
	for n := range 20 {
		pids := d.waitServing(t, 3)
		victim := pids[n%3]
		before := time.Now()
		killHard(t, victim)
		deaths = append(deaths, death{victim, before, time.Now()})
		d.waitServing(t, 3)
		slowest = max(slowest, time.Since(before))
		load.goesOn(t, 20)
	}
	_, failures := load.end(t)
	t.Logf("%d requests were in hand; the longest time until all workers served again was %v", len(failures), slowest)
	for _, f := range failures {
		inHand := slices.ContainsFunc(deaths, func(d death) bool {
			return !f.began.After(d.dead) && f.ended.After(d.before) && (f.pid == 0 || f.pid == d.pid)
		})
		if !inHand {
			t.Errorf("it was not in hand of a killed worker: %v", f)
		}
	}
	if n := d.countLog("a worker ended by itself"); n != 20 {
		t.Errorf("the log has %d deaths", n)
	}
}

func TestAKilledWorkerIsReplacedWithinASecondOfItsImportTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	d := deploy(t, 1, options{})
	start := time.Since(began) // Python's start and the import are the most of it
	quickest := time.Hour      // the machine may be busy with something else just then
	for range 3 {
		killed := time.Now()
		killHard(t, d.workers()[0])
		d.answersFrom(t, "first") // the connection waits for the successor
		quickest = min(quickest, time.Since(killed))
	}
	if quickest > start+time.Second {
		t.Errorf("%v without a worker; a start takes %v", quickest, start)
	}
}

func TestWorkersThatDoNotStartAreTriedMoreAndMoreSeldomWhileOthersServe(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, options{})
	write(t, filepath.Join(d.folder, "release.py"), "raise RuntimeError('not today')\n")
	began := time.Now()
	killHard(t, d.workers()[0])
	left := d.workers()
	const tried = "a worker did not start; trying again"
	eventually(t, "four tries", func() bool { return d.countLog(tried) >= 4 })
	if took := time.Since(began); took < 700*time.Millisecond { // 100, 200 and 400 ms between
		t.Errorf("four tries within %v", took)
	}
	d.answersFrom(t, "first")
	if !slices.ContainsFunc(left, func(pid int) bool { return !gone(pid) }) {
		t.Error("the worker that served is gone")
	}
	d.release(t, "second")
	d.waitServing(t, 2)
	if strings.Contains(strings.Join(d.log.all(), ""), "goroutine ") {
		t.Error("a crash in the log")
	}
}

func TestWithoutAnyWorkerThatStartsTheServerEndsWithCode4(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, options{exit: 4})
	write(t, filepath.Join(d.folder, "release.py"), "raise RuntimeError('not today')\n")
	for _, pid := range d.workers() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if code := d.waitExit(t); code != 4 {
		t.Errorf("exit code %d", code)
	}
	d.waitLog(t, "RuntimeError: not today")
	if n := d.countLog("a worker did not start; trying again"); n != 4 {
		t.Errorf("%d tries before the last", n)
	}
}

func TestAnAppThatCannotBeLoadedIsReportedOnceHoweverManyWorkersThereAre(t *testing.T) {
	t.Parallel()
	out, code := runToEnd(t, command(append(append([]string{"serve", "--bind", "127.0.0.1:0", "--workers", "8"}, python.args...), "--chdir", appDir("import_syntax"), "wsgi")...))
	if n := strings.Count(out, "SyntaxError: "); code != 4 || n > 2 { // the summary and the traceback's last line
		t.Errorf("exit code %d, %d times:\n%s", code, n, out)
	}
}

func TestTTINAndTTOUChangeTheNumberOfWorkers(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, options{})
	load := d.load(t)
	d.signal(t, syscall.SIGTTIN)
	d.waitServing(t, 2)
	d.signal(t, syscall.SIGTTIN)
	d.waitServing(t, 3)
	for n := range 3 { // the last one has no effect
		d.signal(t, syscall.SIGTTOU)
		d.waitLogs(t, "one worker less", n+1)
	}
	d.waitServing(t, 1)
	load.endWithout(t)
}

// waitLogs waits until n lines of the log hold the text.
func (s *server) waitLogs(t testing.TB, text string, n int) {
	t.Helper()
	eventually(t, text+" is in the log "+itoa(n)+" times", func() bool { return s.countLog(text) >= n })
}

func TestAWorkerThatIsToldToEndAloneIsReplacedBeforeItHasEnded(t *testing.T) {
	t.Parallel()
	d := deploy(t, 1, options{})
	file, open := gate(t)
	c := d.dial(t)
	c.request("GET", "/block?"+file, "")
	d.waitLog(t, "blocked "+file)
	old := d.workers()[0]
	if err := syscall.Kill(old, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.waitLog(t, "a signal came to this worker alone")
	d.answersFrom(t, "first")
	if gone(old) {
		t.Error("the old one is gone with a request in hand")
	}
	open()
	if r := c.head("GET"); r.status != 200 || r.body() != "short" {
		t.Errorf("the request in hand: %d", r.status)
	}
	c.Close()
	ends(t, old, 20*time.Second)
}

func TestAWorkerThatIsStuckDoesNotKeepTheServerFromEnding(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, options{args: []string{"--graceful-timeout", "1s"}})
	c := d.dial(t)
	c.request("GET", "/loop?stuck", "")
	eventually(t, "it loops", func() bool { return d.countLog("looping") == 1 })
	began := time.Now()
	d.signal(t, syscall.SIGTERM)
	if code := d.waitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("it had %v to finish", took)
	}
	d.waitLog(t, "GET /loop?stuck")
}
