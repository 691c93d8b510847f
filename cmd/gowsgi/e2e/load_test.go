package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnAppThatCannotBeImportedGivesItsTracebackAndExitCode4(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		app, spec string
		want      []string // in the output, in this order
	}{
		{"import_missing", "wsgi", []string{"wsgi.py", "line 2", "a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"}},
		{"import_syntax", "wsgi", []string{"wsgi.py", "broken.py", "line 1", "SyntaxError"}},
		{"import_raises", "wsgi", []string{"wsgi.py", "in configure", "JSONDecodeError"}},
		{"import_exits", "wsgi", []string{"wsgi.py", "sys.exit(0)", "SystemExit"}},
		{"import_no_callable", "wsgi", []string{"application", "app"}},
		{"import_not_callable", "wsgi", []string{"application", "callable"}},
		{"hello", "nothing_there", []string{"nothing_there"}},
		{"hello", "wsgi:nothing_there", []string{"nothing_there"}},
		{"hello", "nothing_there.wsgi", []string{"nothing_there.wsgi"}},
		{"factory", "wsgi:broken_factory()", []string{"in broken_factory", "RuntimeError: the factory can't"}},
		{"factory", "wsgi:none_factory()", []string{"none_factory", "callable"}},
	} {
		for _, name := range []string{"serve", "check"} {
			args := []string{name}
			if name == "serve" {
				args = append(args, "--bind", "127.0.0.1:0")
			}
			args = append(append(args, python.args...), "--chdir", appDir(row.app), row.spec)
			c := command(args...)
			out, code := runToEnd(t, c)
			if code != 4 {
				t.Errorf("%s %s %s: exit code %d\n%s", name, row.app, row.spec, code, out)
			}
			rest := out
			for _, w := range row.want {
				_, after, ok := strings.Cut(rest, w)
				if !ok {
					t.Errorf("%s %s %s: no %q in its place:\n%s", name, row.app, row.spec, w, out)
					break
				}
				rest = after
			}
			for _, not := range []string{"goroutine ", "panic", "host.py", "<frozen importlib"} {
				if strings.Contains(out, not) {
					t.Errorf("%s %s %s: %q in the output:\n%s", name, row.app, row.spec, not, out)
				}
			}
		}
	}
}

func TestAppIsFoundByEveryKindOfName(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ app, spec, want string }{
		{"default_names", "wsgi", "application"},
		{"default_names", "wsgi:app", "app"},
		{"default_names", "wsgi:other", "other"},
		{"default_names", "wsgi:holder.inner", "holder.inner"},
		{"default_names", "only_app", "app"},
		{"default_names", "pkg.deep", "pkg.deep"},
		{"default_names", "pkg.deep:application", "pkg.deep"},
		{"default_names", "wsgi.py", "application"},
		{"default_names", "./wsgi.py", "application"},
		{"default_names", filepath.Join(appDir("default_names"), "wsgi.py"), "application"},
		{"default_names", "site.wsgi", "site.wsgi as "},
		{"factory", "wsgi:create_app()", "made by a factory, calls: 1"},
	} {
		s := start(t, row.app, options{spec: row.spec})
		if got := s.getOK(t, "/"); !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: %q, expected %q", row.spec, got, row.want)
		}
		for _, p := range s.stop() {
			t.Error(p)
		}
	}
}

func TestTheWorkingDirectoryIsFirstOnThePath(t *testing.T) {
	t.Parallel()
	s := start(t, "hello", options{noDir: true})
	if got := s.getOK(t, "/"); got != "hello\n" {
		t.Error(got)
	}
}

func TestABadCommandLineIsExitCode2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"serve", "--no-such-flag", "wsgi"}, {"serve", "--threads", "none", "wsgi"}, {"nonsense"}, {"serve"}, {"serve", "--mount", "api", "wsgi"}} {
		if out, code := runToEnd(t, command(args...)); code != 2 {
			t.Errorf("%q: exit code %d\n%s", args, code, out)
		}
	}
}

func TestAPythonThatCannotBeLoadedIsExitCode3(t *testing.T) {
	t.Parallel()
	out, code := runToEnd(t, command("serve", "--bind", "127.0.0.1:0", "--python", "/nonexistent/python", "--chdir", appDir("hello"), "wsgi"))
	if code != 3 || !strings.Contains(out, "/nonexistent/python") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	c := command(append(append([]string{"serve", "--bind", "127.0.0.1:0"}, python.args...), "--chdir", appDir("hello"), "wsgi")...)
	c.Env = append(c.Env, "PYTHONHOME=/nonexistent")
	if out, code := runToEnd(t, c); code != 3 {
		t.Errorf("bad PYTHONHOME: exit code %d\n%s", code, out)
	}
}

func TestAnAddressInUseIsExitCode1AndNamed(t *testing.T) {
	t.Parallel()
	s := shared(t, "hello")
	out, code := runToEnd(t, command(append(append([]string{"serve", "--bind", s.addr}, python.args...), "--chdir", appDir("hello"), "wsgi")...))
	if code != 1 || !strings.Contains(out, s.addr) {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestCheckPrintsWhatIsLoaded(t *testing.T) {
	t.Parallel()
	for app, framework := range map[string]string{"hello": "", "flask_min": "Flask", "django_min": "Django"} {
		out, code := runToEnd(t, command(append(append([]string{"check"}, python.args...), "--chdir", appDir(app), "wsgi")...))
		if code != 0 {
			t.Errorf("%s: exit code %d\n%s", app, code, out)
		}
		want := []string{"wsgi", "libpython", framework, "GIL", python.version, python.venv}
		for _, w := range want {
			if !strings.Contains(strings.ToLower(out), strings.ToLower(w)) {
				t.Errorf("%s: no %q in\n%s", app, w, out)
			}
		}
	}
}

func TestVersionPrintsAVersion(t *testing.T) {
	t.Parallel()
	if out, code := runToEnd(t, command("version")); code != 0 || !strings.Contains(out, "gowsgi") {
		t.Errorf("exit code %d %q", code, fmt.Sprint(out))
	}
}
