//go:build cgo

package pyhost

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// factsModule prints what an interpreter says of how it was started, when it is imported.
const factsModule = `
import builtins, faulthandler, gc, json, locale, os, signal, site, sys, threading, tracemalloc, warnings

flags = {n: getattr(sys.flags, n) for n in dir(sys.flags) if not n.startswith(("_", "n_")) and n not in ("count", "index")}
facts = {
    "prefix": sys.prefix, "exec_prefix": sys.exec_prefix, "base_prefix": sys.base_prefix, "base_exec_prefix": sys.base_exec_prefix,
    "executable": sys.executable, "base_executable": getattr(sys, "_base_executable", None),
    "version": sys.version, "implementation": sys.implementation.name, "platlibdir": sys.platlibdir,
    "stdlib_dir": getattr(sys, "_stdlib_dir", None), "abiflags": sys.abiflags,
    "flags": flags, "xoptions": sys._xoptions, "warnoptions": sys.warnoptions, "filters": repr(warnings.filters),
    "path": [p for p in sys.path if p not in ("", os.getcwd())], "path_hooks": len(sys.path_hooks),
    "stdin": [sys.stdin.encoding, sys.stdin.errors], "stdout": [sys.stdout.encoding, sys.stdout.errors],
    "stderr": [sys.stderr.encoding, sys.stderr.errors, sys.stderr.write_through], "unbuffered": sys.stdout.write_through,
    "fs": [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()],
    "locale": locale.setlocale(locale.LC_ALL), "preferred": locale.getpreferredencoding(False),
    "LC_CTYPE": os.environ.get("LC_CTYPE"),
    "site": [site.getsitepackages(), site.ENABLE_USER_SITE, site.USER_SITE],
    "pth": getattr(sys, "from_pth", None), "customize": getattr(sys, "from_customize", None),
    "pycache_prefix": sys.pycache_prefix, "dont_write_bytecode": sys.dont_write_bytecode, 
    "hash": None if sys.flags.ignore_environment else hash("gowsgi"),
    "tracemalloc": tracemalloc.is_tracing(), "faulthandler": faulthandler.is_enabled(), "gc": gc.get_threshold(),
    "recursion": sys.getrecursionlimit(), "switch": sys.getswitchinterval(),
    "int_digits": getattr(sys, "get_int_max_str_digits", int)(),
    "signals": {int(s): str(getattr(signal.getsignal(s), "__name__", signal.getsignal(s))) for s in signal.valid_signals()
        if s != signal.SIGPROF},
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "main": [threading.current_thread() is threading.main_thread(), threading.current_thread().name],
    "builtins": sorted(dir(builtins)),
}
print("FACTS", json.dumps(facts))
application = print
`

// startFacts are the facts in what a process printed.
func startFacts(t *testing.T, output string) map[string]any {
	t.Helper()
	_, text, ok := strings.Cut(output, "FACTS ")
	if !ok {
		t.Fatalf("no facts in %q", output)
	}
	var facts map[string]any
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&facts); err != nil {
		t.Fatal(err)
	}
	return facts
}

// newVenv makes a virtualenv with a .pth file in it.
func newVenv(t *testing.T, p Python) Python {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "venv")
	if out, err := exec.Command(p.Executable, "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
		t.Skipf("%s makes no virtualenv: %v\n%s", p.Executable, err, out)
	}
	found, err := Discover(DiscoverOptions{Python: dir})
	if err != nil {
		t.Fatal(err)
	}
	packages, err := filepath.Glob(filepath.Join(dir, "lib", "python3*", "site-packages"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("site-packages of %s: %v %v", dir, packages, err)
	}
	pth := "import sys; sys.from_pth = 'seen'\n" + t.TempDir() + "\n"
	if err := os.WriteFile(filepath.Join(packages[0], "some.pth"), []byte(pth), 0o644); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestPythonStartsAsTheVirtualenvsOwnPythonDoes(t *testing.T) {
	elsewhere := write(t, "sitecustomize.py", "import sys; sys.from_customize = 'seen'\n")
	tests := []struct {
		name string
		args []string
		env  []string
	}{
		{name: "plain"},
		{name: "LC_ALL=C", env: []string{"LC_ALL=C"}},
		{name: "LC_ALL=POSIX, no coercion", env: []string{"LC_ALL=POSIX", "PYTHONCOERCECLOCALE=0"}},
		{name: "LC_ALL=C.UTF-8", env: []string{"LC_ALL=C.UTF-8"}},
		{name: "a locale that is not there", env: []string{"LC_ALL=xx_YY.UTF-8"}},
		{name: "LANG alone", env: []string{"LANG=C.UTF-8"}},
		{name: "PYTHONUTF8=1", env: []string{"PYTHONUTF8=1", "LC_ALL=C"}},
		{name: "PYTHONUTF8=0", env: []string{"PYTHONUTF8=0", "LC_ALL=C"}},
		{name: "-X utf8", args: []string{"-X", "utf8"}},
		{name: "PYTHONIOENCODING", env: []string{"PYTHONIOENCODING=latin-1:replace"}},
		{name: "PYTHONPATH", env: []string{"PYTHONPATH=" + elsewhere + ":/nonexistent"}},
		{name: "PYTHONDONTWRITEBYTECODE", env: []string{"PYTHONDONTWRITEBYTECODE=1"}},
		{name: "PYTHONPYCACHEPREFIX", env: []string{"PYTHONPYCACHEPREFIX=/nonexistent/cache"}},
		{name: "PYTHONOPTIMIZE", env: []string{"PYTHONOPTIMIZE=2"}},
		{name: "PYTHONHASHSEED", env: []string{"PYTHONHASHSEED=7"}},
		{name: "PYTHONUNBUFFERED", env: []string{"PYTHONUNBUFFERED=1"}},
		{name: "PYTHONNOUSERSITE", env: []string{"PYTHONNOUSERSITE=1"}},
		{name: "PYTHONSAFEPATH", env: []string{"PYTHONSAFEPATH=1"}},
		{name: "PYTHONWARNINGS", env: []string{"PYTHONWARNINGS=error::ResourceWarning,ignore::DeprecationWarning"}},
		{name: "PYTHONWARNINGS with an invalid entry", env: []string{"PYTHONWARNINGS=nonsense::::"}},
		{name: "PYTHONFAULTHANDLER", env: []string{"PYTHONFAULTHANDLER=1"}},
		{name: "PYTHONTRACEMALLOC", env: []string{"PYTHONTRACEMALLOC=3"}},
		{name: "PYTHONMALLOC", env: []string{"PYTHONMALLOC=debug"}},
		{name: "PYTHONDEVMODE", env: []string{"PYTHONDEVMODE=1"}},
		{name: "-X dev -W error -O", args: []string{"-X", "dev", "-W", "error", "-O"}},
		{name: "-I", args: []string{"-I"}, env: []string{"PYTHONPATH=" + elsewhere}},
		{name: "-E -s", args: []string{"-E", "-s"}, env: []string{"PYTHONPATH=" + elsewhere}},
		{name: "-S", args: []string{"-S"}},
		{name: "-X of the app's own", args: []string{"-Xname=value", "-Xother"}},
	}
	dir := write(t, "facts.py", factsModule)
	forEachPython(t, func(t *testing.T, base Python) {
		p := newVenv(t, base)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				// The test's own seed, so that hash() can be compared where the case sets none.
				env := append([]string{"PYTHONHASHSEED=3", "PYTHONDONTWRITEBYTECODE=1"}, test.env...)
				code := "import sys; sys.path.insert(0, " + pyQuote(dir) + "); import facts"
				cmd := exec.Command(p.Executable, append(append([]string{}, test.args...), "-c", code)...)
				cmd.Env, cmd.Dir = plainEnvironment(env...), dir
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s: %v", p.Executable, err)
				}
				want := startFacts(t, string(out))

				r := childJob{Python: p, Args: test.args, Dir: dir, Apps: []string{"facts"}}.startIn(t, dir, env...)
				if r.code != 0 {
					t.Fatalf("%+v", r)
				}
				if diff := cmp.Diff(want, startFacts(t, r.stdout)); diff != "" {
					t.Errorf("python -c (-) and the host (+) differ:\n%s", diff)
				}
			})
		}
	})
}

func pyQuote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

func TestWhatPythonRefusesAtItsStartComesBackAsAnErrorAndTheProcessLives(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  []string
		want string
	}{
		{name: "PYTHONHOME of another place", env: []string{"PYTHONHOME=/nonexistent"}, want: "; PYTHONHOME is /nonexistent, unset it"},
		{name: "PYTHONHASHSEED", env: []string{"PYTHONHASHSEED=x"}, want: "PYTHONHASHSEED must be"},
		{name: "PYTHONMALLOC", env: []string{"PYTHONMALLOC=nonsense"}, want: "PYTHONMALLOC"},
		{name: "PYTHONUTF8", env: []string{"PYTHONUTF8=7"}, want: "PYTHONUTF8"},
		{name: "-X utf8", args: []string{"-X", "utf8=7"}, want: "utf8"},
		{name: "-h", args: []string{"-h"}, want: "exit status 0"},
		{name: "-V", args: []string{"-V"}, want: "exit status 0"},
		{name: "an unknown option", args: []string{"-Z"}, want: "exit status 2"},
	}
	forEachPython(t, func(t *testing.T, p Python) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				r := childJob{Python: p, Args: test.args, Dir: t.TempDir()}.start(t, test.env...)
				if r.code != childOpenFailed || !strings.Contains(r.stdout, "pyhost: Python does not start as "+p.Executable) ||
					!strings.Contains(r.stdout, test.want) && !strings.Contains(r.stderr, test.want) {
					t.Fatalf("%+v", r)
				}
			})
		}
	})
}

func TestALibraryThatIsNoLibpythonIsRefusedAndAnotherMayFollow(t *testing.T) {
	for library, want := range map[string]string{
		"/nonexistent/libpython3.12.so": "can't be loaded: /nonexistent/libpython3.12.so: cannot open shared object file",
		"libm.so.6":                     "libm.so.6 has no function Py_GetVersion",
	} {
		r := childJob{Python: Python{Executable: "/usr/bin/python3", Library: library}}.start(t)
		if r.code != childOpenFailed || !strings.Contains(r.stdout, "pyhost: ") || !strings.Contains(r.stdout, want) {
			t.Errorf("%s: %+v", library, r)
		}
	}
}

func TestASecondOpenIsRefused(t *testing.T) {
	dir := write(t, "app.py", "app = print\n")
	if r := (childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}, Action: "open twice"}).start(t); r.code != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestInfoTellsWhatRuns(t *testing.T) {
	dir := write(t,
		"plain.py", "def app(environ, start_response): pass\n",
		"wrapped.py", "import flask\napp = flask.Flask()\n",
		"flask.py", "__version__ = '9.8.7'\nclass Flask:\n    def __call__(self, environ, start_response): pass\n")
	p := anyPython(t)
	r := childJob{Python: p, Dir: dir, Apps: []string{"wrapped"}, Action: "info"}.start(t)
	var got Info
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v: %+v", err, r)
	}
	want := Info{
		Version: p.Version, Library: p.Library, Prefix: p.Prefix, Executable: p.Executable, FreeThreaded: p.FreeThreaded,
		Apps: []AppInfo{{Spec: "wrapped", Framework: "Flask 9.8.7"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
