//go:build cgo

package template

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gowsgi/gowsgi/pyhost"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestSignalHandlersOfTheImportWorkInTheWorkers(t *testing.T) {
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		s := newSite(t, p, answering(`
import faulthandler, os, signal, threading, time
seen = []
def handler(number, frame):
    assert threading.current_thread() is threading.main_thread()
    seen.append(signal.Signals(number).name)
for s in (signal.SIGUSR1, signal.SIGTERM, signal.SIGALRM): signal.signal(s, handler)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
faulthandler.register(signal.SIGUSR2, all_threads=False)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
def pipe():
    r, w = os.pipe(); os.close(r)
    try: os.write(w, b'x')
    except BrokenPipeError: return 'BrokenPipeError'
def ask():
    for s in (signal.SIGUSR1, signal.SIGHUP, signal.SIGALRM, signal.SIGURG): os.kill(os.getpid(), s)
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
    end = time.monotonic() + 20
    while len(seen) < 2 and time.monotonic() < end: time.sleep(0.005)
    return sorted(seen), pipe()
`, "seen if environ['PATH_INFO'] == '/seen' else ask()"))
		w := s.forkOpen(s.start(), "w1")
		if text := w.get("/"); text != "(['SIGALRM', 'SIGUSR1'], 'BrokenPipeError')" {
			t.Error(text)
		}
		if !strings.Contains(s.said(), `in ask`) {
			t.Errorf("faulthandler's signal did nothing: %s", s.said())
		}
		if err := syscall.Kill(w.pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if a := w.ask(question{Signals: true}); a.Text != "terminated" {
			t.Errorf("Go's Notify: %+v", a)
		}
		eventually(t, "the app's SIGTERM handler ran", func() bool { return strings.Contains(w.get("/seen"), "SIGTERM") })
		w.end()
	})
}

func TestAProcessThatAWorkerForksEndsAsItWould(t *testing.T) {
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		s := newSite(t, p, `
import multiprocessing, os, select, signal, sys, time
poller = select.epoll()
r, w = os.pipe()
poller.register(r, select.EPOLLIN)
def fork(run):
    pid = os.fork()
    if pid == 0: run()
    return os.waitpid(pid, 0)[1] if pid else None
def raises(): raise ValueError('in the child')
def polls():
    os.write(w, b'x')
    os._exit(40 + len(poller.poll(5)))
def inherits():
    fds = [os.readlink('/proc/self/fd/' + f) for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + f)]
    os._exit(sum('eventpoll' in f or 'eventfd' in f for f in fds))
def app(environ, start_response):
    start_response('200 OK', [])
    out = [fork(lambda: os._exit(5)) >> 8, fork(lambda: sys.exit(6)) >> 8, fork(polls) >> 8]
    out.append(fork(lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(20))))
    out.append(fork(lambda: (os.kill(os.getpid(), signal.SIGSEGV), time.sleep(20))) & 127)
    with multiprocessing.get_context('fork').Pool(2) as pool: out += pool.map(abs, [-1, -2])
    out.append(fork(raises) >> 8)
    return [str(out).encode()]
`)
		w := s.forkOpen(s.start(), "w1")
		if text := w.get("/"); text != "[5, 6, 41, 15, 11, 1, 2, 1]" {
			t.Errorf("%s\n%s", text, s.said())
		}
		w.end()
	})
}

func TestWhatTheImportForksIsNoWorker(t *testing.T) {
	for name, run := range map[string]string{"returns": "pass", "exits": "sys.exit(3)", "raises": "raise ValueError('in the child')"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, anyPython(t), answering("import os, sys\npid = os.fork()\nif pid == 0:\n    "+run+"\nelse:\n    "+
				"status = os.waitpid(pid, 0)[1]\n", "os.WEXITSTATUS(status)"))
			w := s.forkOpen(s.start(), "w1")
			if text, want := w.get("/"), map[string]string{"returns": "0", "exits": "3", "raises": "1"}[name]; text != want {
				t.Errorf("the child ended with %s, want %s", text, want)
			}
			w.end()
		})
	}
}

func TestWhatTheImportStartedDoesNotKeepTheTemplatesSocket(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import os, signal, time\npid = os.fork()\nif pid == 0:\n    time.sleep(1000)\n", "pid"))
	tpl := s.start()
	w := s.forkOpen(tpl, "w1")
	child, err := strconv.Atoi(w.get("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(child, syscall.SIGKILL)
	out, err := exec.Command("readlink", "/proc/"+itoa(child)+"/fd/3").CombinedOutput()
	if err == nil {
		t.Errorf("the child has descriptor 3: %s", out)
	}
	w.end()
}

func TestDescriptorsOfTheImportKeepTheirNumbers(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import os\nf = open(__file__)\nfd = os.dup(f.fileno())\n",
		"(f.read(6), fd > 4, f.fileno() > 4, os.read(4, 5), sorted(os.environ)[:0])"))
	w := s.fork(s.start(), "w1")
	if a := w.open(); a.Error != "" {
		t.Fatal(a.Error)
	}
	if _, err := w.extra.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	if text := w.get("/"); text != "('import', True, True, b'hello', [])" {
		t.Error(text)
	}
	w.end()
}

func TestWhatTheImportDidNotFlushIsWrittenOnce(t *testing.T) {
	t.Setenv("PYTHONUNBUFFERED", "")
	s := newSite(t, anyPython(t), answering("print('half a line', end='')\nf = open('file', 'w')\nf.write('import, ')", "f.write('request, ')"))
	tpl := s.start()
	for range 2 {
		w := s.forkOpen(tpl, "w")
		w.get("/")
		w.end()
	}
	if said := s.said(); said != "half a line" {
		t.Errorf("%q", said)
	}
	file, err := os.ReadFile(filepath.Join(s.options.Dir, "file"))
	if err != nil || string(file) != "import, request, request, " {
		t.Errorf("%q, %v", file, err)
	}
}

func TestForkingAWorkerSendsTheTemplatesAppNoSIGCHLD(t *testing.T) {
	s := newSite(t, anyPython(t), answering(`
import os, signal
seen = []
signal.signal(signal.SIGCHLD, lambda *a: seen.append(1))
os.register_at_fork(before=lambda: None)
`, "seen"))
	tpl := s.start()
	for range 3 {
		w := s.forkOpen(tpl, "w")
		if text := w.get("/"); text != "[]" {
			t.Errorf("%s signals in a worker", text)
		}
		w.end()
	}
}

func TestWhatAWorkerStartsHasTheLimitOfDescriptorsOfTheStart(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import subprocess\nask = lambda: subprocess.check_output(['sh', '-c', 'ulimit -n'])\nfirst = ask()\n",
		"(ask() == first, first)"))
	w := s.forkOpen(s.start(), "w1")
	want, err := exec.Command("sh", "-c", "ulimit -n").Output()
	if err != nil {
		t.Fatal(err)
	}
	if text := w.get("/"); text != "(True, b'"+strings.TrimSpace(string(want))+"\\n')" {
		t.Errorf("%s, want %s", text, want)
	}
	w.end()
}

func TestACrashInAWorkerSaysWhatItServed(t *testing.T) {
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		s := newSite(t, p, answering("import ctypes, gowsgi, os", "ctypes.string_at(8)"))
		w := s.forkOpen(s.start(), "w1")
		_ = w.conn.SetDeadline(deadline())
		_, _ = w.conn.Write([]byte(`{"Get":"/crash"}` + "\n"))
		if status := w.wait(); !status.Signaled() || status.Signal() != syscall.SIGSEGV {
			t.Errorf("the worker ended with %#x", status)
		}
		if !strings.Contains(s.said(), "gowsgi: fatal: signal SIGSEGV while serving GET /crash") {
			t.Error(s.said())
		}
	})
}

func TestACrashInAPostforkFunctionSaysSo(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import ctypes, gowsgi\ngowsgi.postfork(lambda: ctypes.string_at(8))", "1"))
	w := s.fork(s.start(), "w1")
	_, _ = w.conn.Write([]byte(`{"Open":true,"Specs":["app"]}` + "\n"))
	if status := w.wait(); !status.Signaled() || status.Signal() != syscall.SIGSEGV {
		t.Errorf("the worker ended with %#x", status)
	}
	if !strings.Contains(s.said(), "gowsgi: fatal: signal SIGSEGV while running gowsgi.postfork functions") {
		t.Error(s.said())
	}
}

func TestADeepRecursionOnPythonsMainThreadIsAnExceptionAndNoCrash(t *testing.T) {
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		s := newSite(t, p, answering(`
import gowsgi
caught = []
@gowsgi.postfork
def deep():
    def f(n): return f(n + 1) + 1
    class C:
        def __getattr__(self, name): return getattr(self, name + 'x')
    for g in (lambda: f(0), lambda: C().y):
        try: g()
        except RecursionError: caught.append(1)
`, "caught"))
		w := s.forkOpen(s.start(), "w1")
		if text := w.get("/"); text != "[1, 1]" {
			t.Error(text)
		}
		w.end()
	})
}

func TestConnectionsThatTheImportLeavesOpenAreWarnedOf(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := newSite(t, anyPython(t), answering("import socket\nlistening = socket.create_server(('127.0.0.1', 0))\npair = socket.socketpair()\n"+
		"database = socket.create_connection(('127.0.0.1', "+itoa(ln.Addr().(*net.TCPAddr).Port)+"))\n", "database.fileno()"))
	tpl := s.start()
	w := s.forkOpen(tpl, "w")
	want := "msg=\"the import left connections open, which all workers share: descriptor " + w.get("/") + " to " + ln.Addr().String() +
		"; open them in a gowsgi.postfork function\""
	if log := s.log.String(); !strings.Contains(log, "level=WARN "+want) || strings.Count(log, "\n") != 1 {
		t.Errorf("%s, want %s", log, want)
	}
	w.end()
}
