package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const debuggedApp = `import logging

from flask import Flask

app = Flask(__name__)
WORD = "first"


@app.route("/")
def index():
    return WORD


@app.route("/break/<name>")
def stop(name):
    secret = name.upper()
    breakpoint()
    secret += " seen"
    return "the secret is " + secret


@app.route("/input")
def ask():
    return "you said " + input("what? ")


@app.route("/talk")
def talk():
    print("a print")
    logging.getLogger("shop").warning("a warning")
    app.logger.info("an info")
    print("another print")
    return "talked"
`

func debuggedProject(t testing.TB) string { return projectOf(t, "app.py", debuggedApp) }

func TestABreakpointIsInTheTerminal(t *testing.T) {
	t.Parallel()
	term := devInTerminal(t, debuggedProject(t), options{})
	stopped := term.send("/break/word")
	where := term.expect("(Pdb) ")
	if !strings.Contains(where, "app.py(") {
		t.Errorf("%q", where)
	}
	if !strings.Contains(term.until("/", "first"), "first") {
		t.Error("other requests wait")
	}
	term.enter("p secret")
	term.expect("'WORD'")
	term.expect("(Pdb) ")
	for range 2 { // from Python 3.13 on it stops at the call, before at the line after
		term.enter("n")
		term.expect("(Pdb) ")
	}
	term.enter("p secret")
	term.expect("'WORD seen'")
	term.expect("(Pdb) ")
	term.enter("c")
	if a := term.take(stopped); a.status != 200 || a.body != "the secret is WORD seen" {
		t.Errorf("%+v", a)
	}
	term.expect("/break/word")
}

func TestADjangoViewIsDebuggedInTheTerminal(t *testing.T) {
	t.Parallel()
	dir := djangoProject(t)
	p := devProject{t: t, dir: dir}
	p.edit("polls/views.py", "def index(request):\n", "def index(request):\n    secret = request.path * 3\n    import pdb; pdb.set_trace()\n")
	term := devInTerminal(t, dir, options{})
	stopped := term.send("/")
	term.expect("(Pdb) ")
	term.enter("p secret")
	term.expect("'///'")
	term.enter("c")
	if a := term.take(stopped); a.status != 200 || !strings.Contains(a.body, "version one") {
		t.Errorf("%+v", a)
	}
}

func TestTwoRequestsAtBreakpointsTakeTurns(t *testing.T) {
	t.Parallel()
	term := devInTerminal(t, debuggedProject(t), options{})
	names := []string{"one", "two"}
	var stopped []<-chan answer
	for _, name := range names {
		stopped = append(stopped, term.send("/break/"+name))
	}
	term.expect("(Pdb) ")
	// The other one has the prompt only when this one has gone on, however many lines are asked meanwhile.
	first := -1
	for range 5 {
		term.enter("p 'is', name")
		got := term.expect("')")
		if n := strings.Index(got, "('is', 'two')"); (n >= 0) != (first == 1) && first >= 0 {
			t.Fatalf("the prompt changed hands: %q", got)
		} else if first = 0; n >= 0 {
			first = 1
		}
		term.expect("(Pdb) ")
	}
	for _, i := range []int{first, 1 - first} {
		term.enter("p 'now', name")
		term.expect("('now', '" + names[i] + "')")
		term.enter("c")
		if a := term.take(stopped[i]); a.body != "the secret is "+strings.ToUpper(names[i])+" seen" {
			t.Errorf("%+v", a)
		}
		if i == first {
			term.expect("(Pdb) ")
		}
	}
}

func TestASaveWaitsForTheDebugger(t *testing.T) {
	t.Parallel()
	term := devInTerminal(t, debuggedProject(t), options{})
	stopped := term.send("/break/word")
	term.expect("(Pdb) ")
	term.edit("app.py", `"first"`, `"second"`)
	term.expect("the change waits for the debugger")
	term.until("/", "first")
	term.enter("p secret")
	term.expect("'WORD'")
	term.enter("c")
	if a := term.take(stopped); a.body != "the secret is WORD seen" {
		t.Errorf("%+v", a)
	}
	term.until("/", "second")
}

func TestControlCEndsTheServerAndLeavesTheTerminalAsItWas(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*terminal){
		"at rest":       func(term *terminal) { term.until("/", "first") },
		"at the prompt": func(term *terminal) { term.send("/break/word"); term.expect("(Pdb) ") },
		"in a line":     func(term *terminal) { term.send("/break/word"); term.expect("(Pdb) "); term.press("p sec") },
		"in input()":    func(term *terminal) { term.send("/input"); term.expect("what? ") },
		"while it loads": func(term *terminal) {
			term.edit("app.py", `"first"`, `print("loads", flush=True) or __import__("time").sleep(1000)`)
			term.expect("loads")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			term := devInTerminal(t, debuggedProject(t), options{})
			term.t = t
			before(term)
			term.press("\x03")
			if code := term.waitExit(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if !term.isSane() {
				t.Error("the terminal is not as it was")
			}
			for _, no := range []string{"KeyboardInterrupt", "Traceback", "draining", "error", "warning"} {
				if term.count(no) > 0 {
					t.Errorf("%q: %q", no, term.written())
				}
			}
		})
	}
}

func TestAViewMayAskInTheTerminal(t *testing.T) {
	t.Parallel()
	term := devInTerminal(t, debuggedProject(t), options{})
	asked := term.send("/input")
	term.expect("what? ")
	term.enter("h\u00e9llo")
	if a := term.take(asked); a.body != "you said h\u00e9llo" {
		t.Errorf("%+v", a)
	}
}

func TestABreakpointWithoutATerminalIsAnErrorPage(t *testing.T) {
	t.Parallel()
	p := dev(t, debuggedProject(t), options{})
	for _, path := range []string{"/break/word", "/input"} {
		if a := p.take(p.send(path, "Accept", "text/html")); a.status != 500 || !strings.Contains(a.body, "app.py") {
			t.Errorf("%s: %+v", path, a)
		}
	}
	p.until("/", "first")
}

func TestQuittingTheDebuggerEndsTheRequestAlone(t *testing.T) {
	t.Parallel()
	term := devInTerminal(t, debuggedProject(t), options{})
	for range 2 {
		stopped := term.send("/break/word", "Accept", "text/html")
		term.expect("(Pdb) ")
		term.enter("q")
		if a := term.take(stopped); a.status != 500 || !strings.Contains(a.body, "BdbQuit") {
			t.Errorf("%+v", a)
		}
	}
	term.until("/", "first")
}

func TestTheImportOfTheAppIsDebuggedInTheTerminal(t *testing.T) {
	t.Parallel()
	dir := debuggedProject(t)
	term := devInTerminal(t, dir, options{})
	term.until("/", "first")
	term.edit("app.py", `WORD = "first"`, "WORD = \"second\"\nbreakpoint()\nWORD += \" third\"")
	term.expect("(Pdb) ")
	term.until("/", "first")
	term.enter("p WORD")
	term.expect("'second'")
	term.enter("c")
	term.until("/", "second third")
	term.edit("app.py", "breakpoint()", "pass")
	term.until("/", "second third")
}

func TestTheFirstImportIsDebuggedInTheTerminal(t *testing.T) {
	t.Parallel()
	dir := projectOf(t, "app.py", strings.Replace(debuggedApp, "WORD =", "breakpoint()\nWORD =", 1))
	term := devAlone(t, dir)
	term.expect("(Pdb) ")
	term.enter("c")
	term.expect("Ctrl-C ends it")
	term.press("\x03")
	if code := term.waitExit(t); code != 0 || !term.isSane() {
		t.Errorf("exit code %d, sane: %v", code, term.isSane())
	}
}

func TestTheLogHasColoursInATerminalWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	const escape = "\x1b["
	ask := func(p *devProject) { p.until("/", "first"); p.waitLog(t, "GET") }
	term := devInTerminal(t, debuggedProject(t), options{})
	ask(term.devProject)
	if term.count(escape+"32m200"+escape+"0m") != 1 {
		t.Errorf("%q", term.written())
	}
	term = devInTerminal(t, debuggedProject(t), options{env: []string{"NO_COLOR=1"}})
	ask(term.devProject)
	if term.count(escape) > 0 || term.count(" GET / 200 ") != 1 {
		t.Errorf("%q", term.written())
	}
	p := dev(t, debuggedProject(t), options{env: []string{"TERM=xterm"}})
	ask(p)
	if p.countLog(escape) > 0 || p.countLog(" GET / 200 ") != 1 {
		t.Error(p.tail(10))
	}
}

func TestWhatTheAppSaysComesInOrderWithTheRequests(t *testing.T) {
	t.Parallel()
	inOrder := func(text string) {
		t.Helper()
		at := 0
		for i, want := range []string{"a print", "a warning", "an info", "another print", "GET /talk", "a print", "another print", "GET /talk"} {
			n := strings.Index(text[at:], want)
			if n < 0 {
				t.Fatalf("line %d, %q, is not where it should be: %s", i, want, text)
			}
			at += n + len(want)
		}
	}
	talk := func(p *devProject) {
		for i := range 2 {
			p.until("/talk", "talked")
			eventually(t, "the request's line", func() bool { return p.countLog("GET /talk") == i+1 })
		}
	}
	term := devInTerminal(t, debuggedProject(t), options{})
	talk(term.devProject)
	inOrder(term.written())
	p := dev(t, debuggedProject(t), options{})
	talk(p)
	inOrder(p.tail(100))
}

func TestAClosedWindowEndsTheServer(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*terminal){
		"at rest":       func(term *terminal) { term.until("/", "first") },
		"at the prompt": func(term *terminal) { term.send("/break/word"); term.expect("(Pdb) ") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			term := devInTerminal(t, debuggedProject(t), options{})
			term.t = t
			before(term)
			if err := term.keyboard.Close(); err != nil {
				t.Fatal(err)
			}
			term.waitExit(t)
		})
	}
}

func TestAServerThatNohupStartedOutlivesTheWindow(t *testing.T) {
	t.Parallel()
	dir := debuggedProject(t)
	s, err := newServer("dev", options{})
	if err != nil {
		t.Fatal(err)
	}
	s.prepare(dir, append([]string{"dev", "--port", "0"}, python.args...))
	nohup, err := exec.LookPath("nohup")
	if err != nil {
		t.Skip(err)
	}
	s.cmd.Path, s.cmd.Args = nohup, append([]string{"nohup"}, s.cmd.Args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.begin(r, w); err != nil {
		t.Fatal(err)
	}
	s.stopAtEnd(t)
	p := &devProject{s, t, dir}
	p.until("/", "first")
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.edit("app.py", `"first"`, `"second"`)
	p.until("/", "second")
}
