package project

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/tools/txtar"
)

const flaskApp = "from flask import Flask\napp = Flask(__name__)\n"

// TestFilesThatAreNoOrdinaryOnes has what an archive can't hold.
func TestFilesThatAreNoOrdinaryOnes(t *testing.T) {
	t.Parallel()
	link := func(t *testing.T, dir, target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, row := range map[string]struct {
		make func(t *testing.T, dir string)
		want string // a part of it
	}{
		"a byte order mark and CRLF": {func(t *testing.T, dir string) {
			write(t, dir, "app.py", "\uFEFFapplication = \\\r\n  make(\r\n)\r\nfrom flask import Flask\r\n")
			write(t, dir, ".env", "\uFEFFA=1\r\nB=2\r\n")
		}, "app: app:application (Flask)\nin: DIR\nwhy: app.py has application\nset: A=1\nset: B=2\n"},
		"the line ends of an old Mac": {func(t *testing.T, dir string) {
			write(t, dir, "app.py", strings.ReplaceAll("# the app\n"+flaskApp, "\n", "\r"))
		}, "app: app:app (Flask)"},
		"a link to a file elsewhere": {func(t *testing.T, dir string) {
			write(t, dir, "shared/site/app.txt", flaskApp)
			link(t, dir, "shared/site/app.txt", "app.py")
		}, "app: app:app (Flask)\nin: DIR\n"},
		"links that go round": {func(t *testing.T, dir string) {
			link(t, dir, "wsgi.py", "wsgi.py")
			link(t, dir, ".", "src")
			link(t, dir, "gone.py", "app.py")
			write(t, dir, "hello.py", flaskApp)
			write(t, dir, "main.py", "from wsgi import *\nfrom main import *\nfrom hello import nothing as app\n")
		}, "app: main:app (Flask)\nin: DIR\n"},
		"a pipe, which would never end": {func(t *testing.T, dir string) {
			for _, name := range []string{"app.py", "manage.py", "gowsgi.fifo", ".env"} {
				if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(t, dir, "main.py", flaskApp)
		}, "app: main:app (Flask)\nin: DIR\nwhy: main.py has app\nwarning: can't read manage.py: not a file\n"},
		"a folder called app.py": {func(t *testing.T, dir string) {
			write(t, dir, "app.py/x", "")
			write(t, dir, "main.py", flaskApp)
		}, "app: main:app (Flask)"},
		"a file of which the end is not read": {func(t *testing.T, dir string) {
			filler := strings.Repeat("# a table that somebody made\n", maxFile/20)
			write(t, dir, "app.py", filler+flaskApp)
			write(t, dir, "main.py", flaskApp+filler)
		}, "app: main:app (Flask)"},
		"bytes that are no UTF-8": {func(t *testing.T, dir string) {
			write(t, dir, "app.py", "# -*- coding: latin-1 -*-\nname = 'caf\xe9\x00'\n"+flaskApp)
		}, "app: app:app (Flask)"},
		"no such folder": {func(t *testing.T, dir string) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}, "but can't read the folder DIR: no such file or directory\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "site")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			row.make(t, dir)
			if got := describe(dir, nil); !strings.Contains(got, row.want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, row.want)
			}
		})
	}
}

func TestDotenvFilesAreLookedForInTheFoldersAbove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".flaskenv", "FLASK_APP=hello\nA=1\n")
	write(t, dir, "a/.env", "B=2\n")
	write(t, dir, "a/b/hello.py", flaskApp)
	want := "app: hello:app (Flask)\nin: DIR/a/b\nwhy: FLASK_APP in DIR/.flaskenv is hello\nset: A=1\nset: B=2\nset: FLASK_APP=hello\n"
	if got := strings.ReplaceAll(describe(filepath.Join(dir, "a", "b"), nil), "DIR", "DIR/a/b"); strings.ReplaceAll(got, dir, "DIR") != want {
		t.Error(got)
	}
}

func TestAFileThatMayNotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read all files")
	}
	dir := t.TempDir()
	write(t, dir, "app.py", flaskApp)
	if err := os.Chmod(filepath.Join(dir, "app.py"), 0); err != nil {
		t.Fatal(err)
	}
	if got := describe(dir, nil); !strings.Contains(got, "but can't read app.py: permission denied") {
		t.Error(got)
	}
}

func TestNamedAppsGetTheirFrameworkAndVariables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".env", "SECRET=1\n")
	write(t, dir, "manage.py", "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n")
	write(t, dir, "mysite/wsgi.py", "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n")
	write(t, dir, "hello.py", flaskApp)
	for spec, want := range map[string]string{
		"mysite.wsgi": "app: mysite.wsgi (Django)\nset: DJANGO_SETTINGS_MODULE=mysite.settings\n",
		"django.core.wsgi:get_wsgi_application()": "app: django.core.wsgi:get_wsgi_application() (Django)\nset: DJANGO_SETTINGS_MODULE=mysite.settings\n",
		"hello:app":                    "app: hello:app (Flask)\nset: SECRET=1\n",
		"hello.py:make('a:b')":         "app: hello.py:make('a:b') (Flask)\nset: SECRET=1\n",
		filepath.Join(dir, "hello.py"): "app: DIR/hello.py (Flask)\nset: SECRET=1\n",
		"installed.package:app":        "app: installed.package:app\nset: SECRET=1\n",
	} {
		app, err := Named(dir, spec, func(string) string { return "" })
		got := strings.ReplaceAll(report(app, err), dir, "DIR")
		if want = strings.Replace(want, "\n", "\nin: DIR\nwhy: named on the command line\n", 1); got != want {
			t.Errorf("%s: got\n%swant\n%s", spec, got, want)
		}
	}
}

// TestHalfAFileIsRead reads beginnings of all the files of testdata: what is being written may end anywhere.
func TestHalfAFileIsRead(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			for end := 0; end < len(file.Data); end += 7 {
				src := parseSource(file.Data[:end])
				src.settings()
				for _, st := range src.statements {
					if len(st.code) != len(st.raw) {
						t.Fatalf("%s: %s, %d bytes: code %q is not beside %q", path, file.Name, end, st.code, st.raw)
					}
				}
			}
		}
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, want string }{
		"a bracket joins lines":         {"f(1,\n  2)\ng()", "f(1,   2)|g()"},
		"a backslash joins lines":       {"a = \\\n  1\nb", "a =    1|b"},
		"semicolons":                    {"a; b;(c; d)\n  e;", "a|b|(c|d)|e"},
		"comments":                      {"a # b\n# c\nd", "a|d"},
		"strings":                       {`a = "#" + '''x` + "\n" + `y''' ; b = "\"" ''`, `a = "_" + "_______"|b = "__" ""`},
		"a string that does not end":    {"a = 'x\nb = 1", `a = ""|b = 1`},
		"a docstring that does not end": {"'''doc\nb = 1", `"""__"|b = 1`},
		"a bracket that does not end":   {"a = f(1,\nimport x\nb = [\ndef f(x):\n  return {", "a = f(1,|import x|b = [|def f(x):|return {"},
		"an argument is no statement":   {"a = f(\nx=1,\ny = 2,\n)", "a = f( x=1, y = 2, )"},
		"one bracket too many":          {"a)\nb", "a)|b"},
	} {
		var got []string
		for _, st := range statements([]byte(row.text)) {
			got = append(got, strings.ReplaceAll(st.code, "\x01", "_"))
		}
		if g := strings.Join(got, "|"); g != row.want {
			t.Errorf("%s: got %s, want %s", name, g, row.want)
		}
	}
}
