//go:build cgo

package pyhost

import (
	"strings"
	"testing"
)

func TestShutdownWaitsForThreadsRunsAtexitHandlersAndFlushes(t *testing.T) {
	dir := write(t, "app.py", answering(`
import atexit, concurrent.futures, logging.handlers, os, sys, threading, time
def at_exit():
    assert threading.current_thread() is threading.main_thread()
    sys.stdout.write('atexit;')
atexit.register(at_exit)
def fails(): raise ValueError('in atexit')
atexit.register(fails)
def slow():
    time.sleep(0.3)
    sys.stdout.write('thread;')
threading.Thread(target=slow).start()
executor = concurrent.futures.ThreadPoolExecutor(1)
executor.submit(time.sleep, 0.3)
executor.submit(lambda: sys.stdout.write('future;'))
`, "1"))
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "shutdown"}.start(t)
		if r.code != 0 || !strings.HasSuffix(r.stdout, "atexit;") || !strings.Contains(r.stdout, "thread;") || !strings.Contains(r.stdout, "future;") {
			t.Fatalf("%+v", r)
		}
		if !strings.Contains(r.stderr, "in atexit") {
			t.Fatalf("the exception of an atexit handler is nowhere: %+v", r)
		}
	})
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	dir := write(t, "app.py", answering("import threading, time\nthreading.Thread(target=time.sleep, args=(50,)).start()", "1"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "shutdown, bounded"}.start(t)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestWhatTheAppPrintsComesOutLineByLine(t *testing.T) {
	// The child ends without a flush of Python's.
	dir := write(t, "app.py", answering("print('at import')", "print('in a view')"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
	if r.code != 0 || !strings.Contains(r.stdout, "at import\nin a view\n") {
		t.Fatalf("%+v", r)
	}
}

func TestArgumentsOfTheProgramOutliveAnAppThatOverwritesThem(t *testing.T) {
	// What setproctitle does: it writes over the memory of argv.
	dir := write(t, "app.py", answering(`
import ctypes
with open('/proc/self/stat') as f: start = int(f.read().rpartition(')')[2].split()[45])
ctypes.memset(start, ord('Z'), 3)
`, "open('/proc/self/cmdline').read()[:3]"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "arguments"}.start(t)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
}
