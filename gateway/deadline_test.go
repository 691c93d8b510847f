//go:build cgo

package gateway

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowApp has a path for each way to take too long.
const slowApp = `
import ctypes, json, os, random, threading, time
import gowsgi

log = []
release = threading.Event()
barrier = threading.Barrier(2)

class Body:
    def __init__(self, environ, chunks=(b'one',), loop=False):
        self.environ, self.chunks, self.loop = environ, list(chunks), loop
    def __iter__(self):
        yield from self.chunks
        while self.loop:
            pass
    def close(self):
        try:
            for i in range(50):
                time.sleep(0.01)
            log.append('closed')
        except BaseException as e:
            log.append('close was hit by ' + type(e).__name__)

class Spun:
    def __iter__(self):
        return iter([b'spun'])
    def close(self):
        try:
            for i in range(2000):
                pass
        except BaseException as e:
            log.append('close was hit by ' + type(e).__name__)

def flood():
    try:
        while True:
            yield bytes(1 << 18)
    finally:
        log.append('flood ended in ' + threading.current_thread().name)

def loop_for_ever():
    while True:
        pass

def app(environ, start_response):
    path = environ['PATH_INFO']
    def answer(text):
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [text.encode()]
    if path == '/loop':
        try:
            loop_for_ever()
        except Exception as e:
            return answer('except Exception caught ' + type(e).__name__)
        except gowsgi.RequestTimeout:
            log.append('timeout in ' + threading.current_thread().name)
            raise
    if path == '/wait':
        release.wait(60)
        return answer('waited')
    if path == '/barrier':
        barrier.wait(10)
        return answer('met')
    if path == '/release':
        release.set()
        return answer('released')
    if path == '/stream':
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return Body(environ, loop=True)
    if path == '/closes':
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return Body(environ)
    if path == '/spin':
        end = time.perf_counter() + 0.02 * random.random()
        while time.perf_counter() < end:
            pass
        start_response('200 OK', [('Content-Length', '4')])
        return Spun()
    if path == '/pipe':
        r, w = os.pipe()
        threading.Timer(1, lambda: os.close(w)).start()
        start_response('200 OK', [])
        return os.fdopen(r, 'rb')
    if path.startswith('/hold'):
        os.write(2, b'holding\n')
        ctypes.PyDLL(None).sleep(60 if path == '/hold-long' else 4)
        return answer('held')
    if path == '/extend':
        deadline = environ['gowsgi.deadline']
        for i in range(15):
            deadline.extend(5)
            time.sleep(0.1)
        app.kept = deadline
        return answer('extended')
    if path == '/extend-badly':
        answers = []
        for value in (-1, float('nan'), 1e10, 'x', None):
            try:
                answers.append(environ['gowsgi.deadline'].extend(value))
            except (ValueError, TypeError) as e:
                answers.append(type(e).__name__)
        return answer(json.dumps(answers))
    if path == '/extend-far':
        for i in range(18):
            environ['gowsgi.deadline'].extend(1e9)
        environ['gowsgi.deadline'].extend(2**64 / 1e9 - 18e9 - 1)
        time.sleep(0.1)
        return answer('extended')
    if path == '/flood':
        start_response('200 OK', [])
        return flood()
    if path == '/slowly':
        try:
            loop_for_ever()
        except gowsgi.RequestTimeout:
            os.write(2, b'unwinding\n')
            for i in range(30):
                time.sleep(0.01)
            log.append('unwound')
            raise
    if path == '/extend-late':
        try:
            app.kept.extend(1)
        except RuntimeError as e:
            return answer(str(e))
    if path == '/threads':
        return answer(json.dumps(sorted(t.name for t in threading.enumerate())))
    if path == '/log':
        return answer(json.dumps(log))
    time.sleep(float(environ['QUERY_STRING'] or 0))
    return answer('hello')
`

func TestARequestThatTakesTooLongIsAnswered504AndItsThreadIsInterruptedAndShown(t *testing.T) {
	h := hostJob{Threads: 1, Timeout: 200 * time.Millisecond, LongTimeout: -1}.start(t, slowApp)
	c := h.ask("/loop?q=1")
	if resp := c.want(504, "504 Gateway Timeout\n"); resp.Close {
		t.Error("the connection is closed, though the client can tell its answer")
	}
	// The same thread serves the next one.
	c.get("/long/")
	if _, body := c.get("/long/log"); body != `["timeout in gowsgi-1"]` {
		t.Errorf("the app saw %s", body)
	}
	entry := h.waitForEntry("took too long")
	for _, part := range []string{`GET /loop\?q=1`, "gowsgi-1", `\d\.\d s`, "in loop_for_ever", `in app\n`} {
		if !regexp.MustCompile(part).MatchString(entry) {
			t.Errorf("the log has no %q:\n%s", part, entry)
		}
	}
	if strings.Contains(entry, "threading.py") {
		t.Errorf("how the thread began is in the log:\n%s", entry)
	}
	if more := h.entries("the app raised"); len(more) > 0 {
		t.Errorf("the log has it twice: %s", more)
	}
}

func TestAResponseThatHasBegunIsCutWhenItTakesTooLong(t *testing.T) {
	h := hostJob{Threads: 1, Timeout: 2 * time.Second, LongTimeout: -1}.start(t, slowApp)
	c := h.ask("/stream")
	resp, body, err := c.tryResponse("GET")
	if resp == nil || resp.StatusCode != 200 || body != "one" || err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("%v %q %v", resp, body, err)
	}
	waitFor(t, "close() was called and not interrupted", func() bool {
		_, body := h.dial().get("/long/log")
		return body == `["closed"]`
	})
}

func TestCloseIsNotInterruptedByTheDeadline(t *testing.T) {
	h := hostJob{Threads: 1, Timeout: 2 * time.Second, LongTimeout: -1}.start(t, slowApp)
	h.ask("/closes").want(200, "one")
	if _, body := h.dial().get("/long/log"); body != `["closed"]` {
		t.Errorf("the app saw %s", body)
	}
}

func TestAMountHasATimeoutOfItsOwn(t *testing.T) {
	h := hostJob{Threads: 2, Timeout: 100 * time.Millisecond, LongTimeout: -1}.start(t, slowApp)
	long := h.ask("/long/?0.5")
	h.ask("/?5").want(504, "*")
	long.want(200, "hello")
}

func TestAnAppMayExtendItsDeadline(t *testing.T) {
	h := hostJob{Threads: 2, Timeout: time.Second, LongTimeout: -1}.start(t, slowApp)
	h.ask("/extend").want(200, "extended")
	h.ask("/long/extend").want(200, "extended") // where there is none
	h.ask("/long/extend-badly").want(200, `["ValueError", "ValueError", "ValueError", "TypeError", "TypeError"]`)
	h.ask("/extend-far").want(200, "extended")
	h.ask("/extend").want(200, "extended")
	h.ask("/long/extend-late").want(200, "gowsgi.deadline.extend() was used after its request had ended")
}

func TestAThreadThatDoesNotComeBackIsReplacedUntilItDoes(t *testing.T) {
	h := hostJob{Threads: 2, Timeout: 100 * time.Millisecond, LongTimeout: -1}.start(t, slowApp)
	for lost := 1; lost <= 3; lost++ {
		h.ask("/wait").want(504, "*")
		h.wantLine("lost " + string(rune('0'+lost)))
	}
	h.waitForEntry("does not come back", "GET /wait", "(3 away)")
	stacks := h.stacks()
	if n := strings.Count(stacks, "s in GET /wait"); n != 3 {
		t.Errorf("%d threads are shown in /wait:\n%s", n, stacks)
	}
	// Two threads serve, each of which waits for the other.
	first := h.ask("/long/barrier")
	h.ask("/long/barrier").want(200, "met")
	first.want(200, "met")
	_, names := h.dial().get("/long/threads")
	if want := `["MainThread", "gowsgi-1", "gowsgi-2", "gowsgi-3", "gowsgi-4", "gowsgi-5", "gowsgi-keeper"]`; names != want {
		t.Errorf("threads %s, want %s", names, want)
	}
	h.ask("/long/release").want(200, "released")
	waitFor(t, "the lost threads end", func() bool {
		_, names := h.dial().get("/long/threads")
		return strings.Count(names, ",") == 3
	})
	h.waitForEntry("came back after")
}

func TestAThreadThatWaitsForASlowClientComesBackAtTheDeadline(t *testing.T) {
	h := hostJob{Threads: 1, Timeout: time.Second, LongTimeout: -1, SpoolLimit: 1 << 20}.start(t, slowApp)
	h.ask("/flood") // whose client does not read
	h.waitForEntry("took too long", "GET /flood")
	h.ask("/long/log").want(200, `["flood ended in gowsgi-1"]`)
	if lost := h.entries("does not come back"); len(lost) > 0 {
		t.Error(lost[0])
	}
}

func TestAThreadThatHasToWaitForTheGILIsNotTakenForLost(t *testing.T) {
	h := hostJob{Threads: 2, Timeout: 100 * time.Millisecond, LongTimeout: -1}.start(t, slowApp)
	h.ask("/slowly").want(504, "*")
	waitFor(t, "the thread unwinds", func() bool { return strings.Contains(h.logs.String(), "unwinding\n") })
	h.ask("/long/hold").want(200, "held") // for longer than a thread may take to come back
	waitFor(t, "it came back", func() bool {
		_, body := h.dial().get("/long/log")
		return body == `["unwound"]`
	})
	if lost := h.entries("does not come back"); len(lost) > 0 {
		t.Error(lost[0])
	}
}

func TestAStoppedProcessIsNoReasonToTakeAThreadForLost(t *testing.T) {
	h := hostJob{Threads: 1, Timeout: 100 * time.Millisecond, LongTimeout: -1}.start(t, slowApp)
	h.ask("/slowly").want(504, "*")
	waitFor(t, "the thread unwinds", func() bool { return strings.Contains(h.logs.String(), "unwinding\n") })
	if err := syscall.Kill(h.pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // longer than a thread may take to come back
	if err := syscall.Kill(h.pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	h.ask("/long/log").want(200, `["unwound"]`)
	if lost := h.entries("does not come back"); len(lost) > 0 {
		t.Error(lost[0])
	}
}

func TestAShutdownDoesNotWaitForThreadsThatAreLost(t *testing.T) {
	h := hostJob{Threads: 1, Timeout: 50 * time.Millisecond}.start(t, slowApp)
	h.ask("/wait").want(504, "*")
	h.wantLine("lost 1")
	if got := h.command("shutdown"); got != "shutdown <nil>" {
		t.Error(got)
	}
}

func TestWhereTheGILIsHeldClientsAreAnsweredByGoAndTheStackIsLogged(t *testing.T) {
	h := hostJob{Threads: 2, GILTimeout: 800 * time.Millisecond}.start(t, slowApp)
	h.ask("/").want(200, "hello")
	held := h.ask("/hold")
	waitFor(t, "the app is in that call", func() bool { return strings.Contains(h.logs.String(), "holding") })
	queued := h.ask("/queued")
	held.want(504, "*")
	if resp := queued.want(503, "*"); resp.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", resp.Header.Get("Retry-After"))
	}
	h.ask("/at-once").want(503, "*")
	h.wantLine("held 800ms")
	h.waitForEntry("the GIL is held for 0.8 s", "in app", "GET /hold")
	if stacks := h.stacks(); !strings.Contains(stacks, "in app") || !strings.Contains(stacks, "GET /hold") {
		t.Errorf("stacks:\n%s", stacks)
	}
	waitFor(t, "requests are served again", func() bool {
		resp, _ := h.dial().get("/")
		return resp.StatusCode == 200
	})
}

func TestAShutdownDoesNotWaitForRequestsThatTheGILKeepsFromEnding(t *testing.T) {
	h := hostJob{Threads: 2, GILTimeout: 400 * time.Millisecond}.start(t, slowApp)
	h.ask("/hold-long").want(504, "*")
	h.wantLine("held")
	if got := h.command("shutdown"); got != "shutdown <nil>" {
		t.Error(got)
	}
}

func TestADeadlineThatPassesWhileTheGILIsHeldIsAnsweredAndShownWithoutIt(t *testing.T) {
	h := hostJob{Threads: 2, Timeout: 200 * time.Millisecond, LongTimeout: -1}.start(t, slowApp)
	held := h.ask("/hold")
	held.want(504, "*")
	entry := h.waitForEntry("took too long", "GET /hold", "gowsgi-")
	if !strings.Contains(entry, "in app") || strings.Contains(entry, "Thread 0x") {
		t.Errorf("not that thread's stack alone: %s", entry)
	}
	if n := len(h.entries("took too long", "GET /hold")); n != 1 {
		t.Errorf("%d entries", n)
	}
	h.ask("/long/").want(200, "hello")
}

func TestTheExceptionOfADeadlineHitsNoOtherRequestAndNoClose(t *testing.T) {
	h := hostJob{Threads: 2, Timeout: 10 * time.Millisecond, LongTimeout: -1}.start(t, slowApp)
	timed, others := h.dial(), h.dial()
	inTime, late := 0, 0
	for range 150 {
		timed.send("GET /spin HTTP/1.1\r\nHost: h\r\n\r\nGET /long/spin HTTP/1.1\r\nHost: h\r\n\r\n")
		others.send("GET /long/spin HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, body, err := timed.tryResponse("GET")
		switch {
		case err != nil: // cut in the middle of the response
			late++
			timed = h.dial()
			others.want(200, "spun")
			continue
		case resp.StatusCode == 200 && body == "spun":
			inTime++
		case resp.StatusCode == 504:
			late++
		default:
			t.Fatalf("%s %q", resp.Status, body)
		}
		timed.want(200, "spun")
		others.want(200, "spun")
	}
	t.Logf("%d in time, %d late", inTime, late)
	if hits := h.entries("RequestTimeout"); len(hits) > 0 {
		t.Errorf("%d requests were hit, such as %s", len(hits), hits[0])
	}
	if _, body := h.dial().get("/long/log"); body != "[]" {
		t.Errorf("the app saw %s", body)
	}
}

func TestAnExceptionThatWasNotRaisedBeforeTheRequestEndedIsTakenBack(t *testing.T) {
	h := hostJob{Threads: 1, Timeout: 200 * time.Millisecond, LongTimeout: -1}.start(t, slowApp)
	h.ask("/pipe").want(504, "*") // C code alone runs until its end
	h.waitForEntry("took too long", "GET /pipe")
	h.ask("/long/").want(200, "hello")
	if hits := h.entries("RequestTimeout"); len(hits) > 0 {
		t.Errorf("the next request was hit: %s", hits[0])
	}
}

func TestAStackDumpShowsEveryThreadWithItsRequest(t *testing.T) {
	h := hostJob{Threads: 2}.start(t, slowApp)
	c := h.ask("/wait?a=b")
	var stacks string
	waitFor(t, "the request is in the app", func() bool {
		stacks = h.stacks()
		return strings.Contains(stacks, "GET /wait?a=b")
	})
	for _, part := range []string{"gowsgi-1 ", "gowsgi-2 ", "MainThread ", "in app\n", "release.wait(60)", "(runs no Python code)"} {
		if !strings.Contains(stacks, part) {
			t.Errorf("no %q in\n%s", part, stacks)
		}
	}
	h.ask("/long/release").want(200, "released")
	c.want(200, "waited")
}
