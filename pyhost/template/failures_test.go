//go:build cgo

package template

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/pyhost"
)

func TestAnAppThatCanNotBeImportedIsRefusedWithItsTraceback(t *testing.T) {
	tests := []struct{ name, app, reason, traceback string }{
		{"raises", "def f():\n    raise ValueError('in the import')\nf()\n", "the app raised ValueError: in the import", "line 2, in f"},
		{"syntax", "def f(:\n", "SyntaxError", "app.py"},
		{"no module", "import nothing_of_that_name\n", "the app imports nothing_of_that_name", "line 1"},
		{"sys.exit", "import sys; sys.exit(3)\n", "the app called sys.exit(3)", ""},
		{"no callable", "x = 1\n", "neither application nor app", ""},
	}
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s := newSite(t, p, test.app)
				e := s.refused()
				if e.Spec != "app" || !strings.Contains(e.Reason, test.reason) || !strings.Contains(e.Traceback, test.traceback) {
					t.Errorf("%+v\n%s", e, s.said())
				}
			})
		}
	})
}

func TestAnImportThatEndsTheProcessIsTold(t *testing.T) {
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		for app, want := range map[string][2]string{
			"import os; os._exit(5)\n":             {"exit status 5", ""},
			"import ctypes; ctypes.string_at(8)\n": {"signal: segmentation fault", "gowsgi: fatal: signal SIGSEGV while importing app (thread gowsgi)\n"},
		} {
			s := newSite(t, p, app)
			_, err := Start(s.context(), s.options)
			if err == nil || err.Error() != "pyhost/template: the process that imports app ended while it was starting: "+want[0] {
				t.Errorf("%v", err)
			}
			if said := s.said(); said != want[1] {
				t.Errorf("%q, want %q", said, want[1])
			}
		}
	})
}

func TestAPythonThatCanNotBeStartedIsRefused(t *testing.T) {
	s := newSite(t, anyPython(t), answering("", "1"))
	good := s.options.Python
	s.options.Python.Library = "libm.so.6"
	var load *pyhost.LoadError
	if _, err := Start(s.context(), s.options); !errors.As(err, &load) || load.Symbol != "Py_GetVersion" || load.Library != "libm.so.6" {
		t.Errorf("%#v", err)
	}
	s.options.Python = good
	s.options.Dir = filepath.Join(s.options.Dir, "none")
	if _, err := Start(s.context(), s.options); err == nil || !strings.HasSuffix(err.Error(), "/none: No such file or directory") {
		t.Errorf("%v", err)
	}
	s.options.Dir = filepath.Dir(s.options.Dir)
	t.Setenv("PYTHONHOME", "/nonexistent")
	var start *pyhost.StartError
	if _, err := Start(s.context(), s.options); !errors.As(err, &start) || !strings.Contains(err.Error(), "PYTHONHOME is /nonexistent") {
		t.Errorf("%v", err)
	}
}

func TestAnImportThatHangsIsEndedWithWhatItStarted(t *testing.T) {
	s := newSite(t, anyPython(t), "import os, subprocess, time\np = subprocess.Popen(['sleep', '1000'])\n"+
		"open('started.new', 'w').write(str(p.pid)); os.rename('started.new', 'started')\ntime.sleep(1000)\n")
	ctx, cancel := context.WithCancel(s.context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := Start(ctx, s.options)
		failed <- err
	}()
	started := filepath.Join(s.options.Dir, "started")
	var sleeper []byte
	eventually(t, "the import began", func() (ok bool) {
		var err error
		sleeper, err = os.ReadFile(started)
		return err == nil
	})
	cancel()
	select {
	case err := <-failed:
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the import of app") {
			t.Errorf("%v", err)
		}
	case <-time.After(patience):
		t.Fatal("Start did not return")
	}
	eventually(t, "what it started ended", func() bool {
		stat, err := os.ReadFile("/proc/" + string(sleeper) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func TestAnImportThatLeavesThreadsIsRefusedByTheirNames(t *testing.T) {
	const app = `
import _thread, threading, time
threading.Thread(target=time.sleep, args=(1000,), name='the poller', daemon=True).start()
_thread.start_new_thread(time.sleep, (1000,))
ended = threading.Thread(target=len, args=([],), name='the short one')
ended.start()
ended.join()
`
	forEachPython(t, func(t *testing.T, p pyhost.Python) {
		s := newSite(t, p, answering(app, "'the poller' in [t.name for t in threading.enumerate()]"))
		e := s.refused()
		if e.Spec != "app" || !strings.Contains(e.Reason, "threads running, which a forked worker would not have: gowsgi (unknown to threading), the poller; ") {
			t.Errorf("%+v", e)
		}
		s.options.Force = true
		w := s.forkOpen(s.start(), "w1")
		if text := w.get("/"); text != "False" {
			t.Errorf("whether the worker has the thread: %s", text)
		}
		if !strings.Contains(s.log.String(), "level=WARN") || !strings.Contains(s.log.String(), "the poller") {
			t.Error(s.log.String())
		}
		w.end()
	})
}

func TestAThreadThatEndedBeforeTheImportDidIsNoReason(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import concurrent.futures\nwith concurrent.futures.ThreadPoolExecutor(4) as pool:\n"+
		"    found = list(pool.map(abs, range(100)))\n", "len(found)"))
	w := s.forkOpen(s.start(), "w1")
	if text := w.get("/"); text != "100" {
		t.Error(text)
	}
	w.end()
}

func TestWarmUpRequestsRunInTheTemplate(t *testing.T) {
	s := newSite(t, anyPython(t), `
import os
seen = []
def app(environ, start_response):
    if environ['wsgi.url_scheme'] == 'http' and environ.get('HTTP_HOST') == 'localhost':
        seen.append((os.getpid(), environ['REQUEST_METHOD'], environ['SCRIPT_NAME'], environ['PATH_INFO'], environ['QUERY_STRING'],
            environ['wsgi.multiprocess']))
        environ['wsgi.errors'].write('warm\n')
        start_response('404 Not Found' if environ['QUERY_STRING'] else '200 OK', [])
        class Body(list):
            def close(self): seen.append('closed')
        return Body([b'x'])
    start_response('200 OK', [])
    return [str(seen).encode()]
`)
	s.options.Apps = []App{{"", "app"}, {"/api", "app"}}
	s.options.Warmup = []string{"/a%20b", "/api", "/api/c?d=1", "/apix"}
	tpl := s.start()
	w := s.forkOpen(tpl, "w1")
	want := strings.ReplaceAll("[(P, 'GET', '', '/a b', '', True), 'closed', (P, 'GET', '/api', '', '', True), 'closed', "+
		"(P, 'GET', '/api', '/c', 'd=1', True), 'closed', (P, 'GET', '', '/apix', '', True), 'closed']", "P", itoa(tpl.Pid()))
	if text := w.get("/"); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if log := s.log.String(); strings.Count(log, "msg=warm\n") != 4 || !strings.Contains(log, "GET /api/c?d=1 was answered 404 Not Found") {
		t.Error(log)
	}
	w.end()
}

func TestAWarmUpRequestThatFailsIsAFailedStart(t *testing.T) {
	s := newSite(t, anyPython(t), `
def app(environ, start_response):
    if environ['PATH_INFO'] == '/raise': return 1 // 0
    if environ['PATH_INFO'] == '/late':
        def body():
            yield b'x'
            raise KeyError('late')
        start_response('200 OK', [])
        return body()
    if environ['PATH_INFO'] == '/nothing': return []
    start_response('503 Service Unavailable', [])
    return [b'x']
`)
	for path, want := range map[string][2]string{
		"/raise":   {"the warm-up request GET /raise raised ZeroDivisionError: ", "line 3, in app"},
		"/late":    {"the warm-up request GET /late raised KeyError: 'late'", "in body"},
		"/nothing": {"the warm-up request GET /nothing: the app did not call start_response", ""},
		"/x?y":     {"the warm-up request GET /x?y was answered 503 Service Unavailable", ""},
	} {
		s.options.Warmup = []string{path}
		e := s.refused()
		if e.Spec != "app" || !strings.HasPrefix(e.Reason, want[0]) || !strings.Contains(e.Traceback, want[1]) {
			t.Errorf("%s: %+v", path, e)
		}
	}
	s.options.Apps = []App{{"/api", "app"}}
	s.options.Warmup = []string{"/x"}
	if e := s.refused(); e.Reason != "the warm-up request GET /x: no app is mounted there" {
		t.Errorf("%+v", e)
	}
}

func TestAPostforkFunctionThatRaisesIsAFailedStart(t *testing.T) {
	s := newSite(t, anyPython(t), answering("import gowsgi\n@gowsgi.postfork\ndef reopen():\n    raise OSError('no database')", "1"))
	w := s.fork(s.start(), "w1")
	a := w.open()
	if !strings.Contains(a.Error, "the app app can't be loaded: the gowsgi.postfork function reopen raised OSError: no database\nTraceback") ||
		!strings.Contains(a.Error, "line 4, in reopen") {
		t.Errorf("%+v", a)
	}
}
