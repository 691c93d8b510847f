//go:build cgo

package pyhost

import (
	"encoding/json"
	"strings"
	"testing"
)

const plainApp = "def %s(environ, start_response):\n    start_response('200 OK', [])\n    return [b'%s']\n"

func appSource(name, answer string) string {
	return strings.Replace(strings.Replace(plainApp, "%s", name, 1), "%s", answer, 1)
}

func TestEveryWayToNameAnAppFindsIt(t *testing.T) {
	dir := write(t,
		"first.py", appSource("application", "application")+appSource("app", "app"),
		"second.py", appSource("app", "app"),
		"package/__init__.py", "",
		"package/inner.py", "class Holder: pass\nholder = Holder()\n"+appSource("f", "dotted")+"holder.app = f\n",
		"factory.py", "def make():\n    def app(environ, start_response):\n        start_response('200 OK', [])\n        return [b'made']\n    return app\n",
		"settled.py", "def make(name, also=()):\n    def app(environ, start_response):\n        start_response('200 OK', [])\n"+
			"        return [repr((name, also)).encode()]\n    return app\n",
		"site.wsgi", "import sys\nimport beside\nassert __file__.endswith('site.wsgi')\nassert sys.modules[__name__].__file__ == __file__\n"+
			appSource("application", "wsgi"),
		"beside.py", "",
		"django.wsgi", appSource("application", "not the package")+"assert __name__ != 'django'\n",
		"deep/folder/script.py", "import neighbour\n"+appSource("app", "file"),
		"deep/folder/neighbour.py", "import script\n",
		"mysite/wsgi.py", appSource("application", "startproject"), "mysite/__init__.py", "",
		"odd-name.py", appSource("other", "odd"),
	)
	forEachPython(t, func(t *testing.T, p Python) {
		for spec, want := range map[string]string{
			"first": "application", "first:app": "app", "second": "app", "package.inner:holder.app": "dotted", "factory:make()": "made",
			"settled:make('a:b', also=[1, None])": "('a:b', [1, None])",
			"site.wsgi":                           "wsgi", dir + "/site.wsgi": "wsgi", "django.wsgi": "not the package", "./deep/folder/script.py": "file",
			"odd-name.py:other": "odd", "mysite.wsgi": "startproject", "mysite.wsgi:application": "startproject",
		} {
			r := childJob{Python: p, Dir: dir, Apps: []string{spec}, Action: "get"}.start(t)
			if r.code != 0 || strings.TrimSpace(r.stdout) != want {
				t.Errorf("%s: want %q: %+v", spec, want, r)
			}
		}
	})
}

func TestAnAppThatCantBeLoadedSaysWhyInOneLineAndTracesItsOwnFramesOnly(t *testing.T) {
	dir := write(t,
		"good.py", "value = 3\nnothing = None\ndef create_app(): return None\ndef fails():\n    raise ValueError('no settings')\n"+appSource("main", "x"),
		"missing.py", "def deeper():\n    import notinstalled_anywhere\ndeeper()\napp = 1\n",
		"raises.py", "import helper\n",
		"helper.py", "import importlib\nimportlib.import_module('deepest')\n",
		"deepest.py", "def f():\n    raise KeyError('DATABASE')\ntry:\n    f()\nexcept KeyError as e:\n    raise RuntimeError('settings') from e\n",
		"syntax.py", "def f(:\n",
		"exits.py", "import sys\nsys.exit(3)\n",
		"interrupted.py", "raise KeyboardInterrupt\n",
		"recursive.py", "def f(): f()\nf()\n",
		"memory.py", "raise MemoryError\n",
		"getattr.py", "def __getattr__(name):\n    raise AttributeError('mine: ' + name)\n",
		"broken.wsgi", "import sys\n\n1/0\n",
		"package/__init__.py", "",
	)
	tests := []struct {
		spec, reason string
		traceback    []string // lines that are there, in this order; nil: no traceback
	}{
		{"goof", `there is no module 'goof' in ` + dir + ` or elsewhere on sys.path; did you mean good?`, nil},
		{"package.nope", `there is no module 'package.nope'`, nil},
		{"good", "good has neither application nor app; it has create_app, fails, main", nil},
		{"good:mian", "good has no 'mian'; did you mean main?", nil},
		{"good:value", "good:value is of type int, no WSGI application (a callable)", nil},
		{"good:value()", "good:value is of type int and can't be called", nil},
		{"good:create_app()", "good:create_app() returned None, no WSGI application", nil},
		{"good:create_app(name)", "no call whose arguments are literals, such as create_app('dev', debug=True)", nil},
		{"good:create_app(1", "no call whose arguments are literals", nil},
		{"good:", "names no app", nil},
		{"no-module:app", "is neither a module's name nor the path", nil},
		{"none.wsgi", "there is no module 'none' in " + dir + " or elsewhere on sys.path, and no file " + dir + "/none.wsgi", nil},
		{"./none.wsgi", "there is no file " + dir + "/none.wsgi", nil},
		{"good:fails()", "the app raised ValueError: no settings", []string{"Traceback", "good.py", "in fails", "ValueError: no settings"}},
		{"missing", "the app imports notinstalled_anywhere, which is not there for", []string{"Traceback", "missing.py\", line 3", "missing.py\", line 2",
			"ModuleNotFoundError"}},
		{"raises", "the app raised RuntimeError: settings", []string{"deepest.py", "in f", "KeyError: 'DATABASE'", "direct cause", "raises.py", "helper.py",
			"deepest.py", "RuntimeError: settings"}},
		{"syntax", "the app raised SyntaxError", []string{"syntax.py", "SyntaxError"}},
		{"exits", "the app called sys.exit(3) while it was imported", []string{"exits.py", "SystemExit: 3"}},
		{"interrupted", "the app raised KeyboardInterrupt", []string{"interrupted.py", "KeyboardInterrupt"}},
		{"recursive", "the app raised RecursionError", []string{"recursive.py", "RecursionError"}},
		{"memory", "the app raised MemoryError", []string{"memory.py", "MemoryError"}},
		{"broken.wsgi", "the app raised ZeroDivisionError", []string{"broken.wsgi", "ZeroDivisionError"}},
	}
	var specs []string
	for _, test := range tests {
		specs = append(specs, test.spec)
	}
	forEachPython(t, func(t *testing.T, p Python) {
		r := childJob{Python: p, Dir: dir, Apps: specs}.start(t)
		if r.code != childLoadFailed {
			t.Fatalf("%+v", r)
		}
		lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
		if len(lines) != len(tests) {
			t.Fatalf("%d errors for %d apps:\n%s", len(lines), len(tests), r.stdout)
		}
		for i, test := range tests {
			var e AppError
			if err := json.Unmarshal([]byte(lines[i]), &e); err != nil {
				t.Fatalf("%s: %v", lines[i], err)
			}
			if e.Spec != test.spec || !strings.Contains(e.Reason, test.reason) || strings.Contains(e.Reason, "\n") {
				t.Errorf("%s: %s", test.spec, e.Reason)
			}
			rest := e.Traceback
			for _, want := range test.traceback {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Errorf("%s: no %q in what follows in\n%s", test.spec, want, e.Traceback)
				}
				rest = after
			}
			for _, never := range []string{"importlib", "host.py", "<frozen"} {
				if strings.Contains(e.Traceback, never) && !(never == "importlib" && test.spec == "raises") {
					t.Errorf("%s: %q in\n%s", test.spec, never, e.Traceback)
				}
			}
			if test.traceback == nil && e.Traceback != "" {
				t.Errorf("%s has a traceback: %s", test.spec, e.Traceback)
			}
		}
	})
}

func TestGreenThreadsAreRefusedInOneLine(t *testing.T) {
	dir := write(t,
		"gevent/__init__.py", "", "gevent/monkey.py", "def is_module_patched(name): return name == 'threading'\n",
		"app.py", "import gevent.monkey\n"+appSource("app", "x"))
	r := childJob{Python: anyPython(t), Dir: dir, Apps: []string{"app"}}.start(t)
	if r.code != childLoadFailed || !strings.Contains(r.stdout, "by gevent's green ones (monkey patching), which can't run in this server") {
		t.Fatalf("%+v", r)
	}
}
