package e2e

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// deployFindings are what gowsgi check --deploy says of an app in dir: "LEVEL WHERE: WHAT; mend: MEND" each, without what depends on the user that runs the
// tests. failed is by the exit code.
func deployFindings(t *testing.T, dir string, args ...string) (all []string, failed bool) {
	t.Helper()
	c := command(slices.Concat([]string{"check", "--deploy", "--chdir", dir}, python.args, args)...)
	out, code := runToEnd(t, c)
	if code > 1 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	counted := false
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		for _, level := range []string{"error", "warning", "note"} {
			mend, ok := "", false
			if i+1 < len(lines) {
				mend, ok = strings.CutPrefix(lines[i+1], "         mend: ")
			}
			if text, is := strings.CutPrefix(line, fmt.Sprintf("%-9s", level)); is && ok {
				all = append(all, level+" "+text+"; mend: "+mend)
				counted = counted || level != "note"
			}
		}
	}
	if counted != (code == 1) || len(all) == 0 && !strings.Contains(out, "nothing was found") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	all = slices.DeleteFunc(all, func(f string) bool {
		return strings.Contains(f, " the apps run as root;") || strings.Contains(f, " Python: ")
	})
	return all, slices.ContainsFunc(all, func(f string) bool { return !strings.HasPrefix(f, "note ") })
}

// production are flags to which nothing is to be said.
var production = []string{"--workers=4", "--trusted-proxy=127.0.0.1", "--request-timeout=30s", "--access-log=-"}

// direct are such flags without a trusted proxy.
var direct = []string{"--workers=4", "--bind=127.0.0.1:80 proxy-protocol", "--request-timeout=30s", "--access-log=-"}

// runPython runs the virtualenv's, for a project in dir.
func runPython(t testing.TB, dir string, args ...string) {
	t.Helper()
	c := exec.Command(filepath.Join(python.venv, "bin", "python"), args...)
	c.Dir = dir
	c.Env = append(command().Env, "DJANGO_SETTINGS_MODULE=mysite.settings")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
}

// hardened are the settings of a site that is ready for production, behind those of startproject.
const hardened = `
DEBUG = False
ALLOWED_HOSTS = ["www.example.com"]
SECRET_KEY = "7fQ0s-a_long-and-random-key-4mZ2xY8wV6uT1rP9oN3lK5jH"
SECURE_HSTS_SECONDS = 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
STATIC_ROOT = BASE_DIR / "collected"
STATICFILES_DIRS = [BASE_DIR / "assets"]
LOGGING = {"version": 1, "disable_existing_loggers": False, "handlers": {"console": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["console"]}}
import django
if django.VERSION >= (5, 1):
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE"}
`

// djangoSite makes a hardened project, with its files collected and its database migrated.
func djangoSite(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	runPython(t, dir, "-m", "django", "startproject", "mysite", ".")
	writeFiles(t, dir, map[string]string{"assets/site.css": "body {}"})
	appendFile(t, filepath.Join(dir, "mysite/settings.py"), hardened)
	runPython(t, dir, "manage.py", "collectstatic", "--noinput")
	runPython(t, dir, "manage.py", "migrate")
	runPython(t, dir, "-c", "import sqlite3; c = sqlite3.connect('db.sqlite3'); c.execute('PRAGMA journal_mode=WAL'); c.close()")
	return dir
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		save(t, filepath.Join(dir, name), text)
	}
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, text...), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCheckDeployFindsWhatStartprojectLeavesOpenAndNothingOnceItIsMended(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runPython(t, dir, "-m", "django", "startproject", "mysite", ".")
	found, _ := deployFindings(t, dir, "mysite.wsgi")
	for _, want := range []string{
		"error mysite.settings: Django's security.W018", "mend: DEBUG = False", "error mysite.settings: Django's security.W009", "error mysite.settings: Django's security.W020",
		"warning mysite.settings: Django's security.W012", "warning STATIC_URL: nothing here serves the static files at /static/", "error DATABASES['default']: the database " + dir,
		"warning --bind: only this machine", "note --request-timeout: ", "note --access-log: ",
	} {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, want) }) {
			t.Errorf("no %q in:\n%s", want, strings.Join(found, "\n"))
		}
	}
	if found, failed := deployFindings(t, djangoSite(t), append(production, "--static-from-app", "mysite.wsgi")...); len(found) > 0 || failed {
		t.Errorf("of a hardened site:\n%s", strings.Join(found, "\n"))
	}
}

// TestCheckDeployFindsWhatWasChanged changes a few things of a hardened site: what is found is what these bring, and nothing else.
func TestCheckDeployFindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	site := djangoSite(t)
	backend := func(body string) map[string]string {
		return map[string]string{"pg/__init__.py": "", "pg/base.py": `from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from django.db.utils import OperationalError


class DatabaseWrapper(SQLite):
    vendor = "postgresql"

    def get_new_connection(self, parameters):
        ` + body + "\n"}
	}
	reached := backend(`self.vendor = "sqlite"
        return super().get_new_connection(parameters)`)
	const pg = "DATABASES['default']['ENGINE'] = 'pg'\n"
	const noRedirect = "SECURE_SSL_REDIRECT = False\nSILENCED_SYSTEM_CHECKS = ['security.W008']\n"
	const manifest = `if django.VERSION >= (4, 2):
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }`
	for name, c := range map[string]struct {
		settings string
		files    map[string]string
		change   func(dir string) error
		args     []string // instead of production's and --static-from-app
		app      string   // instead of mysite.wsgi
		want     []string
	}{
		"settings that are open": {
			settings: `DEBUG = True
SECRET_KEY = "django-insecure-" + SECRET_KEY
SESSION_COOKIE_SECURE = SECURE_SSL_REDIRECT = False
ALLOWED_HOSTS = ["*"]
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = True
SESSION_ENGINE = "django.contrib.sessions.backends.file"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
INSTALLED_APPS += ["shop"]`,
			files: map[string]string{"shop/__init__.py": "", "shop/models.py": "from django.db import models\n\n\nclass Thing(models.Model):\n    price = models.DecimalField(max_digits=9)\n"},
			want: []string{
				"error mysite.settings: Django's security.W018", "error mysite.settings: Django's security.W009", "warning mysite.settings: Django's security.W012", "warning mysite.settings: Django's security.W008",
				"error shop.Thing.price: Django's fields.E130", "warning ALLOWED_HOSTS: any Host is taken", "warning EMAIL_BACKEND: mail is not sent",
				"note SECURE_PROXY_SSL_HEADER: gowsgi has applied HTTP_X_FORWARDED_PROTO", "note USE_X_FORWARDED_HOST: gowsgi has applied", "note SESSION_FILE_PATH: ", "note CACHES['default']: each of the 4 workers",
			},
		},
		"settings that are fine, with one thread": {
			settings: `SESSION_COOKIE_SECURE = False
SILENCED_SYSTEM_CHECKS = ["security.W012"]
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
LOGGING = {}
ADMINS = [("A", "a@example.com")] if django.VERSION < (6, 0) else ["a@example.com"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"`,
			change: func(dir string) error { return sqlite(dir, "PRAGMA journal_mode=DELETE") },
			args:   append(slices.Clone(production), "--static-from-app", "--workers=1", "--threads=1"),
		},
		"sessions of a worker's own, errors that nobody sees, no migrations": {
			settings: "LOGGING = {}\nSESSION_ENGINE = 'django.contrib.sessions.backends.cache'",
			change:   func(dir string) error { return sqlite(dir, "DROP TABLE django_migrations") },
			want:     []string{"error SESSION_ENGINE: sessions are cached in a worker's own memory", "note LOGGING: ", "migrations are not applied: "},
		},
		"sessions cached in a worker, a migration that waits, SQLite without a log": {
			settings: "SESSION_ENGINE = 'django.contrib.sessions.backends.cached_db'",
			change: func(dir string) error {
				return errors.Join(sqlite(dir, "DELETE FROM django_migrations WHERE app = 'sessions'"), sqlite(dir, "PRAGMA journal_mode=DELETE"))
			},
			want: []string{
				"warning SESSION_ENGINE: ", "note DATABASES['default']: SQLite has one writer at a time: with 64 threads",
				"error DATABASES['default']: 1 migration is not applied: sessions.0001_initial; mend: manage.py migrate",
			},
		},
		"redirects for ever": {
			args: []string{"--bind=:80", "--static-from-app"},
			want: []string{"error SECURE_SSL_REDIRECT: ", "note --bind", "note --request-timeout", "note --access-log"},
		},
		"a proxy that is not trusted": {
			settings: noRedirect + "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')\nUSE_X_FORWARDED_HOST = True",
			args:     append(slices.Clone(direct), "--static-from-app"),
			want:     []string{"warning SECURE_PROXY_SSL_HEADER: HTTP_X_FORWARDED_PROTO never arrives", "warning USE_X_FORWARDED_HOST: "},
		},
		"a header of the proxy's own": {
			settings: "SECURE_PROXY_SSL_HEADER = ('HTTP_X_TLS_AT_PROXY', 'https')",
			args:     append(slices.Clone(direct), "--static-from-app"),
		},
		"static files that nobody serves, and old ones": {
			settings: noRedirect, args: direct, files: map[string]string{"assets/new.css": "p {}", "assets/site.css": "p { color: red }"},
			want: []string{
				"warning STATIC_URL: nothing here serves", "static files are not collected: new.css; mend: manage.py collectstatic",
				"static files are newer than what was collected: site.css",
			},
		},
		"static files that a proxy may serve, a database in memory": {
			settings: "DATABASES['default']['NAME'] = ':memory:'", args: production,
			want: []string{"note STATIC_URL: nothing here serves", "warning DATABASES['default']: the database is in memory"},
		},
		"--static serves, and a file was only touched": {
			files: map[string]string{"assets/site.css": "body {}"}, args: append(slices.Clone(production), "--static=/static=collected"),
		},
		"no STATIC_ROOT, and a database that is none": {
			settings: "STATIC_ROOT = None\nDATABASES['default']['NAME'] = BASE_DIR / 'other.db'", files: map[string]string{"other.db": strings.Repeat("no database", 100)},
			args: append(slices.Clone(production), "--static-from-app", "--workers=1", "--threads=1"),
			want: []string{"error STATIC_ROOT: it is not set", "warning DATABASES['default']: the database can't be read"},
		},
		"STATIC_ROOT is not there":   {settings: "STATIC_ROOT = BASE_DIR / 'nowhere'", want: []string{"error STATIC_ROOT: the folder"}},
		"STATIC_ROOT is empty":       {settings: "STATIC_ROOT = BASE_DIR / 'empty'", change: func(dir string) error { return os.Mkdir(filepath.Join(dir, "empty"), 0o755) }, want: []string{"is empty: no static files are served"}},
		"STATIC_ROOT is the project": {settings: "STATIC_ROOT = BASE_DIR", want: []string{"error STATIC_ROOT: the project itself is in"}},
		"no manifest": {
			settings: manifest, want: []string{"error STATIC_ROOT: staticfiles.json is missing"},
		},
		"many connections, which are kept": {
			settings: pg + "DATABASES['default']['CONN_MAX_AGE'] = 60", files: reached, args: append(slices.Clone(production), "--static-from-app", "--workers=8"),
			want: []string{"note DATABASES['default']: 8 workers of 16 threads open up to 128 connections", "note DATABASES['default']: connections are kept"},
		},
		"few connections, which are looked at": {settings: pg + "DATABASES['default'].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)", files: reached},
		"a database that is down": {
			settings: pg, files: backend("raise OperationalError('connection refused')"),
			want: []string{"warning DATABASES['default']: the database can't be read, so neither can be told whether migrations wait: OperationalError: connection refused"},
		},
		"a database that hangs": {
			settings: pg, files: backend("__import__('threading').Event().wait()"),
			want: []string{"warning Django's databases: looking at Django's databases took longer than 8 s"},
		},
		"werkzeug's debugger": {
			files: map[string]string{"debugged.py": "from mysite.wsgi import application\nfrom werkzeug.debug import DebuggedApplication\n\napplication = DebuggedApplication(application)\n"},
			app:   "debugged", want: []string{"error debugged: werkzeug's debugger"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(site)); err != nil {
				t.Fatal(err)
			}
			writeFiles(t, dir, c.files)
			appendFile(t, filepath.Join(dir, "mysite/settings.py"), c.settings+"\n")
			if c.change != nil {
				if err := c.change(dir); err != nil {
					t.Fatal(err)
				}
			}
			args := c.args
			if args == nil {
				args = append(slices.Clone(production), "--static-from-app")
			}
			found, _ := deployFindings(t, dir, append(slices.Clone(args), cmp.Or(c.app, "mysite.wsgi"))...)
			wantFindings(t, found, c.want)
		})
	}
}

func sqlite(dir, statement string) error {
	c := exec.Command(filepath.Join(python.venv, "bin", "python"), "-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit(); c.close()", filepath.Join(dir, "db.sqlite3"), statement)
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// wantFindings wants each of the texts in one finding, and each finding to have one of them.
func wantFindings(t *testing.T, found, want []string) {
	t.Helper()
	for _, w := range want {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, w) }) {
			t.Errorf("no %q", w)
		}
	}
	for _, f := range found {
		if !slices.ContainsFunc(want, func(w string) bool { return strings.Contains(f, w) }) {
			t.Errorf("found too: %s", f)
		}
	}
	if t.Failed() {
		t.Logf("found:\n%s", strings.Join(found, "\n"))
	}
}

func TestCheckDeployLooksAtFlask(t *testing.T) {
	t.Parallel()
	const app = `import os
from flask import Flask

app = Flask(__name__)
app.config.update(SECRET_KEY="0d1c4a7be5f2938476aa10b2c3d4e5f6", SESSION_COOKIE_SECURE=True)


@app.get("/")
def hello():
    return "hello"


`
	for name, c := range map[string]struct {
		more  string
		files map[string]string
		args  []string // instead of production's
		want  []string
	}{
		"all is open": {
			more: `app.debug = app.testing = True
app.secret_key = "dev"
app.config.update(SESSION_COOKIE_SECURE=False, SQLALCHEMY_DATABASE_URI="sqlite:///site.db")
from werkzeug.debug import DebuggedApplication
from werkzeug.middleware.proxy_fix import ProxyFix
app.wsgi_app = ProxyFix(DebuggedApplication(app.wsgi_app, evalex=True))`,
			files: map[string]string{"static/a.css": ""},
			want: []string{
				"error hello:app: the app is in debug mode", "error hello:app: TESTING is on", "error hello:app: SECRET_KEY has fewer than 16 bytes", "warning hello:app: the session's cookie",
				"note hello:app: Python serves the static files of ", "note hello:app: SQLALCHEMY_DATABASE_URI is SQLite without", "error hello:app: werkzeug's debugger",
				"warning hello:app: ProxyFix reads X-Forwarded-* again",
			},
		},
		"all is mended": {
			more: "app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///' + os.path.abspath('db.sqlite3')", files: map[string]string{"static/a.css": ""},
			args: append(slices.Clone(production), "--static-from-app"),
		},
		"a database server":        {more: "app.config['SQLALCHEMY_DATABASE_URI'] = 'postgresql+psycopg://db/site'"},
		"debug mode by a variable": {more: "os.environ['FLASK_DEBUG'] = '1'; app.debug = True", want: []string{"error FLASK_DEBUG: the app is in debug mode"}},
		"no key, and a database in memory": {
			more: "app.config.update(SECRET_KEY=None, SQLALCHEMY_DATABASE_URI='sqlite://')",
			want: []string{"note hello:app: SECRET_KEY is not set", "warning hello:app: SQLALCHEMY_DATABASE_URI is an SQLite database in memory"},
		},
		"the key of Flask's pages, and ProxyFix without a proxy": {
			more: `app.secret_key = b'_5#y2L"F4Q8z\n\xec]/'
from werkzeug.middleware.proxy_fix import ProxyFix
app.wsgi_app = ProxyFix(app.wsgi_app)`, args: direct,
			want: []string{"error hello:app: SECRET_KEY is one of a tutorial", "warning hello:app: ProxyFix finds no X-Forwarded-*"},
		},
		"an app under a dispatcher": {
			more: "from werkzeug.middleware.dispatcher import DispatcherMiddleware\ninner, app = app, DispatcherMiddleware(Flask('other'), {'/in': app})\ninner.debug = True",
			want: []string{"error hello:app: the app is in debug mode", "note hello:app: SECRET_KEY is not set"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFiles(t, dir, c.files)
			writeFiles(t, dir, map[string]string{"hello.py": app + c.more + "\n"})
			if err := sqlite(dir, "PRAGMA journal_mode=WAL"); err != nil {
				t.Fatal(err)
			}
			args := c.args
			if args == nil {
				args = production
			}
			found, _ := deployFindings(t, dir, append(slices.Clone(args), "hello:app")...)
			wantFindings(t, found, c.want)
		})
	}
}

func TestCheckDeployLooksAtEachOfSeveralAppsAndReadsTheConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"a.py":        "from flask import Flask\napp = Flask('a')\napp.debug = True\n",
		"b.py":        "from flask import Flask\napp = Flask('b')\napp.testing = True\n",
		"c.py":        "def application(environ, start_response):\n    raise NotImplementedError\n",
		"gowsgi.toml": "app = 'a'\naccess-log = '-'\nrequest-timeout = '9s'\ntrusted-proxy = 'unix'\nbind = 'unix:s'\n[mount]\n'/b' = 'b'\n'/c' = 'c'\n",
	})
	c := command(append([]string{"check", "--deploy"}, python.args...)...)
	c.Dir = dir
	out, code := runToEnd(t, c)
	for _, want := range []string{"error    a: the app is in debug mode", "error    b: TESTING is on", "note     a: SECRET_KEY", "2 errors, "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	if code != 1 || strings.Contains(out, " c: ") || strings.Contains(out, "--access-log: ") || strings.Contains(out, "deploy  ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestCheckDeployWithoutAnAppLooksAtTheRest(t *testing.T) {
	t.Parallel()
	found, failed := deployFindings(t, t.TempDir(), "--bind=unix:s")
	wantFindings(t, found, []string{"warning --bind: only this machine can connect to unix:s", "note --request-timeout: ", "note --access-log: "})
	if !failed {
		t.Error("a warning is no reason to fail")
	}
}

// TestCheckDeployEndsWhereTheAppHoldsTheGIL: nothing in Python can bound that.
func TestCheckDeployEndsWhereTheAppHoldsTheGIL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"hello.py": `import ctypes
from flask import Flask


class Slow(Flask):
    @property
    def debug(self):
        ctypes.PyDLL(None).sleep(60)

    @debug.setter
    def debug(self, value):
        pass


app = Slow(__name__)
`})
	found, _ := deployFindings(t, dir, append(slices.Clone(production), "hello:app")...)
	wantFindings(t, found, []string{"warning the apps: they could not be looked at: no answer from Python in time"})
}

func TestCheckDeployLeavesTheProjectAsItIs(t *testing.T) {
	t.Parallel()
	dir := djangoSite(t)
	before := snapshot(t, dir)
	deployFindings(t, dir, append(production, "--static-from-app", "mysite.wsgi")...)
	after := snapshot(t, dir)
	for name, sum := range after {
		if before[name] != sum {
			t.Errorf("%s was changed or made", name)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
}

// snapshot has the time of the last change and the content of each file.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = fmt.Sprintf("%v %x", info.ModTime(), sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCheckDeploySaysWhatTheServersUserCannotReach(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can name another user")
	}
	dir := t.TempDir() // in a folder that is the test's alone
	writeFiles(t, dir, map[string]string{"c.py": "def application(environ, start_response):\n    raise NotImplementedError\n"})
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	found, _ := deployFindings(t, dir, append(production, "--user=54321", "--group=54321", "c")...)
	if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "error --user: it can't use the app's folder "+dir) }) {
		t.Errorf("%q", found)
	}
}
