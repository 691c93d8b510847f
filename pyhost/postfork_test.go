//go:build cgo

package pyhost

import (
	"strings"
	"testing"
)

func TestPostforkFunctionsRunOnceAfterTheImportWithoutAFork(t *testing.T) {
	dir := write(t, "app.py", answering(`
import threading
import gowsgi
ran = []
def note(what): ran.append((what, threading.current_thread() is threading.main_thread()))
@gowsgi.postfork
def first(): note('first'); gowsgi.postfork(lambda: note('from the first'))
assert callable(first)
gowsgi.postfork(lambda: note('second'))
note('imported')
def late():
    gowsgi.postfork(lambda: ran.append('late'))
    try: gowsgi.postfork(3)
    except TypeError as e: ran.append(str(e))
    return ran
`, "late()"))
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
		want := "[('imported', True), ('first', True), ('second', True), ('from the first', True), 'late', " +
			"'gowsgi.postfork takes a function, not int']"
		if r.code != 0 || strings.TrimSpace(r.stdout) != want {
			t.Fatalf("%+v", r)
		}
	})
}

func TestAPostforkFunctionThatRaisesIsAFailedStart(t *testing.T) {
	for name, run := range map[string]string{"ValueError: no database": "raise ValueError('no database')", "SystemExit: 3": "raise SystemExit(3)"} {
		dir := write(t, "app.py", answering("import gowsgi\n@gowsgi.postfork\ndef reopen():\n    "+run+"\n", "1"))
		r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
		if r.code != childActionFailed ||
			!strings.Contains(r.stdout, "the app app can't be loaded: the gowsgi.postfork function reopen raised "+name+"\nTraceback") ||
			!strings.Contains(r.stdout, "line 5, in reopen") && !strings.Contains(r.stdout, "line 4, in reopen") ||
			strings.Contains(r.stdout, "host.py") {
			t.Errorf("%+v", r)
		}
	}
}

func TestTheModuleGowsgiIsAModuleLikeOthers(t *testing.T) {
	dir := write(t, "app.py", answering("import importlib.util, inspect, pickle, gowsgi",
		"(importlib.util.find_spec('gowsgi').name, gowsgi.__name__, pickle.loads(pickle.dumps(gowsgi.postfork)) is gowsgi.postfork, "+
			"inspect.getdoc(gowsgi).split()[0])"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "get"}.start(t)
	if r.code != 0 || strings.TrimSpace(r.stdout) != "('gowsgi', 'gowsgi', True, 'What')" {
		t.Fatalf("%+v", r)
	}
}
