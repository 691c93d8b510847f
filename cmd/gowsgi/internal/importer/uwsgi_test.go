package importer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder has files by their names.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// settingsOf are the settings as "key=value" in their order, for comparison.
func settingsOf(r *Result) map[string]string {
	all := map[string]string{}
	for _, s := range r.Settings {
		if all[s.Key] != "" {
			all[s.Key] += " | "
		}
		all[s.Key] += s.Text
	}
	return all
}

// wantSettings compares the settings that want has.
func wantSettings(t *testing.T, r *Result, want map[string]string) {
	t.Helper()
	got := settingsOf(r)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: got %q, want %q; notes:\n%s", key, got[key], value, r.List())
		}
	}
}

func wantNote(t *testing.T, r *Result, parts ...string) {
	t.Helper()
	for _, n := range r.Notes {
		found := true
		for _, part := range parts {
			found = found && strings.Contains(n.String(), part)
		}
		if found {
			return
		}
	}
	t.Errorf("no note with %q in:\n%s", parts, r.List())
}

func TestEachOptionOfUWSGIBecomesTheFlagThatMeansTheSame(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"module = a.b:c":                                      {"app": "a.b:c"},
		"wsgi = a.b":                                          {"app": "a.b"},
		"module = a\ncallable = app":                          {"app": "a:app"},
		"wsgi-file = app.wsgi\nmodule = a":                    {"app": "app.wsgi"},
		"module = a:make()":                                   {"app": "a:make()"},
		"mount = /api=api.py\nmanage-script-name = 1":         {"mount": "/api=api.py", "app": ""},
		"mount = /=a:b":                                       {"app": "a:b"},
		"http = :8000":                                        {"bind": ":8000"},
		"http = 8000":                                         {"bind": ":8000"},
		"http-socket = 127.0.0.1:1\nsocket = /a.sock":         {"bind": "127.0.0.1:1 | unix:/a.sock", "trusted-proxy": "127.0.0.1 | ::1 | unix"},
		"socket = /a\nchmod-socket = 660\nchown-socket = u:g": {"bind": "unix:/a mode=0660 user=u group=g"},
		"socket = /a\nchmod-socket":                           {"bind": "unix:/a mode=0666"},
		"https = :443,c.pem,k.pem\nhttp-to-https = :80":       {"bind": ":443 | :80 redirect", "certfile": "c.pem", "keyfile": "k.pem", "trusted-proxy": ""},
		"https = :443,c,k,,!ca\nhttp = :80":                   {"bind": ":443 | :80 plain", "client-ca": "ca", "client-cert": ""},
		"http = :1\nhttp-enable-proxy-protocol = true":        {"bind": ":1 proxy-protocol"},
		"processes = 4 # four\nthreads=2":                     {"workers": "4", "threads": "2"},
		"master = true":                                       {"workers": "1", "threads": "1"},
		"harakiri = 60\nmax-requests = 9":                     {"request-timeout": "60s", "max-requests": "9"},
		"harakiri = 0":                                        {"request-timeout": ""},
		"max-worker-lifetime = 60\nreload-on-rss = 512":       {"max-worker-age": "60s", "max-worker-rss": "512m"},
		"buffer-size = 8192":                                  {"limit-request-line": ""},
		"buffer-size = 32768":                                 {"limit-request-line": "32768"},
		"limit-post = 1000":                                   {"limit-request-body": "1000"},
		"static-map = /s=/srv/s\nstatic-map = m=/srv/m/":      {"static": "/s=/srv/s | /m=/srv/m/"},
		"uid = u\ngid = 33\npidfile = p\nlogto = l":           {"user": "u", "group": "33", "pid-file": "p", "log-file": "l"},
		"chdir = /c\nhome = /v\numask = 022":                  {"chdir": "/c", "python": "/v", "umask": "022"},
		"pythonpath = /v/lib/python3.11/site-packages":        {"python": "/v"},
		"worker-reload-mercy = 5\nhttp-keepalive = 9":         {"graceful-timeout": "5s", "idle-timeout": "9s"},
		"gevent = 100":                                        {"threads": "", "workers": "1"},
		"workers = %k\nhttp-keepalive = 1":                    {"workers": "", "idle-timeout": ""},
	} {
		dir := folder(t, map[string]string{"u.ini": "[uwsgi]\n" + text})
		wantSettings(t, mustRead(t, filepath.Join(dir, "u.ini"), onFourCPUs()), want)
	}
}

func TestWhatUWSGIHasAndGowsgiNotIsNotedWithWhatToDo(t *testing.T) {
	for text, parts := range map[string][]string{
		"socket = 0.0.0.0:1":                   {"u.ini:2: socket", "proxy_pass http://127.0.0.1:1"},
		"py-autoreload = 1":                    {"u.ini:2: py-autoreload", "gowsgi dev"},
		"attach-daemon = celery":               {"systemd"},
		"cron = 0 0 -1 -1 -1 x":                {"timers"},
		"spooler = s":                          {"Celery"},
		"cache2 = name=x":                      {"Redis"},
		"check-static = /srv/www":              {"[static]", "/srv/www/static"},
		"env = SECRET_KEY=very-secret":         {"SECRET_KEY: gowsgi sets no variables"},
		"gevent = 100":                         {"monkey"},
		"paste = config:x.ini":                 {"loadapp"},
		"static-map = /favicon.ico=/x/f.ico":   {"one file"},
		"module = a:make(1)":                   {"without arguments"},
		"cheaper = 2":                          {"fixed"},
		"hook-master-start = exec:x":           {"hooks"},
		"nonsense = 2":                         {"no option"},
		"chdir = %(gone)":                      {"%(gone) is not defined"},
		"http = $(HOST):80":                    {"needs $HOST", "GOWSGI_BIND=${HOST}:80"},
		"module = $(APP)":                      {"needs $APP", `gowsgi serve "${APP}"`},
		"workers = 5000":                       {"at most 1000"},
		"http = =0":                            {"shared sockets"},
		"wsgi-file = /usr/bin/api":             {"ln -s api /usr/bin/api.wsgi"},
		"if-exists = /x\nworkers = 9\nendif =": {"on the server"},
		"master = 1\nmodule = a":               {"lazy-apps", "preload = true"},
	} {
		dir := folder(t, map[string]string{"u.ini": "[uwsgi]\n" + text})
		r := mustRead(t, filepath.Join(dir, "u.ini"), onFourCPUs())
		wantNote(t, r, parts...)
		if strings.Contains(r.TOML()+r.List(), "very-secret") {
			t.Errorf("a secret is repeated:\n%s", r.TOML())
		}
	}
}

func TestPlaceholdersConditionsAndIncludesAreFollowed(t *testing.T) {
	dir := folder(t, map[string]string{
		"app.ini": "[uwsgi]\nini = :base\nini = more.ini:extra\nproject = shop\nmodule = %(project).wsgi\nworkers = %(n)\nthreads = %(n * 2)\n" +
			"if-env = DEBUG\nharakiri = 5\nendif =\nif-not-env = DEBUG\nharakiri = 7\nendif =\nif-opt = n=3\nmax-requests = 30\nendif =\n" +
			"for = a b\nstatic-map = /%(_)=/srv/%(_)\nendfor =\nif-env = HOST\nhttp = %(_):80\nendif =\nuid = @(user.txt)\n[base]\nset-placeholder = n=3\nchdir = %d\n",
		"more.ini": "[uwsgi]\nworkers = 99\n[extra]\ngid = %n\n",
		"user.txt": "jo\n",
	})
	r := mustRead(t, filepath.Join(dir, "app.ini"), onFourCPUs("HOST=127.0.0.1"))
	wantSettings(t, r, map[string]string{
		"app": "shop.wsgi", "workers": "3", "threads": "6", "request-timeout": "7s", "max-requests": "30", "static": "/a=/srv/a | /b=/srv/b",
		"bind": "127.0.0.1:80", "user": "jo", "group": "more", "chdir": dir + "/",
	})
	wantNote(t, r, "if-env: $DEBUG")
	for _, s := range r.Settings {
		if s.Key == "app" && s.Place.String() != "app.ini:5" {
			t.Errorf("the app is from %s", s.Place)
		}
	}
}

func TestYAMLJSONAndXMLOfUWSGIAreReadAsINIIs(t *testing.T) {
	want := map[string]string{"app": "a:b", "workers": "3", "static": "/s=/x | /m=/y", "bind": ":8000"}
	for name, text := range map[string]string{
		"u.yaml":   "uwsgi:\n  module: a:b\n  processes: 3\n  master: true\n  http: :8000\n  static-map:\n    - /s=/x\n    - /m=/y\n",
		"u.json":   `{"uwsgi": {"module": "a:b", "processes": 3, "http": ":8000", "static-map": ["/s=/x", "/m=/y"]}}`,
		"u.xml":    "<?xml version='1.0'?>\n<uwsgi>\n<module>a:b</module><processes>3</processes><master/>\n<http>:8000</http>\n<static-map>/s=/x</static-map><static-map>/m=/y</static-map></uwsgi>",
		"u.config": "[uwsgi]\nmodule=a:b\nprocesses=3\nhttp=:8000\nstatic-map=/s=/x\nstatic-map=/m=/y",
	} {
		dir := folder(t, map[string]string{name: text})
		r := mustRead(t, filepath.Join(dir, name), onFourCPUs())
		wantSettings(t, r, want)
		for _, s := range r.Settings {
			if s.Key == "app" && s.Line == 0 {
				t.Errorf("%s: the app has no line", name)
			}
		}
	}
}

func TestFilesThatIncludeEachOtherEndWithAnError(t *testing.T) {
	dir := folder(t, map[string]string{"a.ini": "[uwsgi]\nini = b.ini", "b.ini": "[uwsgi]\nini = a.ini", "loop.ini": "[uwsgi]\nfor-times = 1000\nfor-times = 1000\nworkers = 1\nendfor =\nendfor ="})
	for name, want := range map[string]string{"a.ini": "include each other", "loop.ini": "more than"} {
		_, err := File(filepath.Join(dir, name), onFourCPUs())
		if err == nil || !strings.Contains(err.Error(), want) || Unreadable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
