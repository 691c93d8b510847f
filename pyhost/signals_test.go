//go:build cgo

package pyhost

import (
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// answering makes an app of an expression.
func answering(setup, expression string) string {
	return setup + "\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return [str(" + expression + ").encode()]\n"
}

func TestAPeerThatIsGoneRaisesBrokenPipeErrorAndNothingElse(t *testing.T) {
	dir := write(t, "app.py", answering(`
import os, socket
def broken(f):
    try:
        for _ in range(3): f()
    except BrokenPipeError:
        return 'BrokenPipeError'
def pipe():
    r, w = os.pipe(); os.close(r)
    return broken(lambda: os.write(w, b'x'))
def sock():
    a, b = socket.socketpair(); b.close()
    return broken(lambda: a.send(b'x'))
at_import = pipe(), sock()
`, "at_import + (pipe(), sock())"))
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
		if r.code != 0 || strings.Count(r.stdout, "BrokenPipeError") != 4 {
			t.Fatalf("%+v", r)
		}
	})
}

func TestAnAppThatSetsSIGPIPEToItsDefaultDoesNotPutTheServerAtRisk(t *testing.T) {
	dir := write(t, "app.py", answering("import os, signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\nr, w = os.pipe(); os.close(r)\n"+
		"def write():\n    try: os.write(w, b'x')\n    except BrokenPipeError: return 'alive'", "write()"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
	if r.code != 0 || !strings.Contains(r.stdout, "alive") || !strings.Contains(r.stderr, "SIGPIPE stays ignored") {
		t.Fatalf("%+v", r)
	}
}

func TestTheAppsSignalHandlersRunAndGoReceivesItsOwnSignalsToo(t *testing.T) {
	dir := write(t, "app.py", answering(`
import signal, sys, threading, time
seen = set()
def handler(number, frame):
    assert threading.current_thread() is threading.main_thread()
    seen.add(signal.Signals(number).name)
for s in (signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD): signal.signal(s, handler)
def term(number, frame):
    sys.exit(7)
signal.signal(signal.SIGTERM, term)
signal.setitimer(signal.ITIMER_REAL, 0.2)
`, "sorted(seen)"))
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "signals"}.start(t)
		if r.code != 0 || !strings.Contains(r.stdout, "go: SIGTERM\ngo: exit 7\n") {
			t.Fatalf("%+v", r)
		}
	})
}

func TestAHandlerThatRaisesIsLoggedAndTheHostLives(t *testing.T) {
	dir := write(t, "app.py", answering(`
import os, signal, time
ran = []
def handler(number, frame):
    ran.append(number)
    raise ValueError('from a handler')
signal.signal(signal.SIGUSR2, handler)
def ask():
    os.kill(os.getpid(), signal.SIGUSR2)
    end = time.monotonic() + 10
    while not ran and time.monotonic() < end: time.sleep(0.005)
`, "ask()"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get, info"}.start(t)
	if r.code != 0 ||
		!strings.Contains(r.stderr, "a signal handler raised") || !strings.Contains(r.stderr, "ValueError: from a handler") {
		t.Fatalf("%+v", r)
	}
}

func TestAnAppThatKeepsTheWakeupDescriptorStillGetsItsSignals(t *testing.T) {
	dir := write(t, "app.py", answering(`
import os, signal, socket, time
ran = []
signal.signal(signal.SIGUSR2, lambda *a: ran.append(1))
a, b = socket.socketpair()
for s in (a, b): s.setblocking(False)
signal.set_wakeup_fd(a.fileno())
def ask():
    os.kill(os.getpid(), signal.SIGUSR2)
    end = time.monotonic() + 10
    while not ran and time.monotonic() < end: time.sleep(0.005)
    return len(ran), b.recv(10)
`, "ask()"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
	if r.code != 0 || !strings.Contains(r.stdout, `(1, b'\x0c')`) {
		t.Fatalf("%+v", r)
	}
}

func TestAStormOfSignalsUnderLoadHurtsNeitherGoNorPython(t *testing.T) {
	dir := write(t, "app.py", answering(`
import signal
seen = []
signal.signal(signal.SIGUSR1, lambda *a: seen.append(1))
`, "len(seen)"))
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "storm"}.start(t)
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
	})
}

func TestNoSignalIsBlockedInPythonOrInWhatItStarts(t *testing.T) {
	dir := write(t, "app.py", answering("import signal, subprocess",
		"(signal.pthread_sigmask(signal.SIG_BLOCK, []), subprocess.check_output(['grep', '-E', 'SigBlk|SigIgn', '/proc/self/status']))"))
	// Some signals may be ignored from before: make hands its programs two of glibc's own so.
	inherited, err := exec.Command("grep", "-E", "SigBlk|SigIgn", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "(set(), b'" + strings.NewReplacer("\t", `\t`, "\n", `\n`).Replace(string(inherited)) + "')"
	if !strings.Contains(want, `SigBlk:\t0000000000000000\n`) {
		t.Fatalf("the test itself was started with blocked signals: %s", want)
	}
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
	if r.code != 0 || !strings.Contains(r.stdout, want) {
		t.Fatalf("want %s in %+v", want, r)
	}
}

// crashVariable keeps AddressSanitizer, in a build with it, from handling the signals itself.
const crashVariable = "ASAN_OPTIONS=detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0"

func TestACrashSaysInWhichRequestAndTheProcessDiesByThatSignal(t *testing.T) {
	for name, crash := range map[string]struct {
		code string
		want syscall.Signal
	}{
		"SIGSEGV":                     {"ctypes.string_at(8)", syscall.SIGSEGV},
		"SIGABRT":                     {"os.abort()", syscall.SIGABRT},
		"SIGSEGV with faulthandler":   {"(faulthandler.enable(), ctypes.string_at(8))", syscall.SIGSEGV},
		"SIGSEGV, stack used up":      {"deep()", syscall.SIGSEGV},
		"SIGFPE sent to its thread":   {"signal.pthread_kill(threading.get_ident(), signal.SIGFPE)", syscall.SIGFPE},
		"SIGBUS of a file cut short":  {"cut()", syscall.SIGBUS},
		"SIGILL sent by raise_signal": {"signal.raise_signal(signal.SIGILL)", syscall.SIGILL},
	} {
		t.Run(name, func(t *testing.T) {
			setup := `
import ctypes, faulthandler, mmap, os, signal, sys, tempfile, threading
def deep():
    CB = ctypes.CFUNCTYPE(ctypes.c_int)
    sys.setrecursionlimit(1 << 30)
    libc = ctypes.CDLL(None)
    COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    data = (ctypes.c_int * 2)()
    def compare(a, b):
        libc.qsort(data, 2, 4, callback)
        return 0
    callback = COMPARE(compare)
    libc.qsort(data, 2, 4, callback)
def cut():
    f = tempfile.TemporaryFile(); f.truncate(4096)
    m = mmap.mmap(f.fileno(), 4096); f.truncate(0)
    return m[0]
`
			dir := write(t, "app.py", answering(setup, crash.code))
			p := anyPython(t)
			if strings.Contains(name, "used up") {
				p = pythonsHere(t)[0] // from 3.14 on CPython sees that its stack ends, and raises
			}
			r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t, crashVariable)
			want := "gowsgi: fatal: signal " + strings.Fields(strings.ReplaceAll(name, ",", " "))[0] + ` while serving GET /some/path \(thread gowsgi-[12]\)\n`
			if r.signal != crash.want || !regexp.MustCompile(want).MatchString(r.stderr) {
				t.Fatalf("%+v", r)
			}
			if strings.Contains(name, "faulthandler") != strings.Contains(r.stderr, "Fatal Python error: Segmentation fault") {
				t.Fatalf("%+v", r)
			}
		})
	}
}

func TestACrashInAnImportNamesTheApp(t *testing.T) {
	dir := write(t, "app.py", "import ctypes\nctypes.string_at(8)\n")
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}}.start(t, crashVariable)
	if r.signal != syscall.SIGSEGV || !strings.Contains(r.stderr, "gowsgi: fatal: signal SIGSEGV while importing app (thread gowsgi-main)") {
		t.Fatalf("%+v", r)
	}
}

func TestGoStillRecoversFromANilDereferenceWhateverTheAppDoesWithFaulthandler(t *testing.T) {
	dir := write(t, "app.py", answering("import faulthandler\nfaulthandler.enable()", "1"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "go panic"}.start(t)
	if r.code != 0 || !strings.Contains(r.stdout, "recovered") {
		t.Fatalf("%+v", r)
	}
}
