package importer

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ran imports a command line, words parted by spaces.
func ran(t *testing.T, line string, environ ...string) *Result {
	t.Helper()
	r, err := Command(strings.Fields(line), onFourCPUs(environ...))
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return r
}

func TestCommandLinesAreReadAsTheirProgramsWould(t *testing.T) {
	for line, want := range map[string]map[string]string{
		"gunicorn -w 4 -b :8000 mysite.wsgi":                                                               {"workers": "4", "bind": ":8000", "app": "mysite.wsgi"},
		"gunicorn -w4 --bind=:1 --bind :2 a:b":                                                             {"workers": "4", "bind": ":1 | :2", "app": "a:b"},
		"gunicorn a:b --threads 8 -k gthread":                                                              {"threads": "8", "app": "a:b"},
		"gunicorn --preload --access-logfile - --log-file - a:b":                                           {"preload": "true", "access-log": "-", "log-file": "", "app": "a:b"},
		"gunicorn --limit-request-field_size 9 --keep-alive 5 a":                                           {"limit-request-field-size": "9", "idle-timeout": "5s"},
		"gunicorn -u www -g www -m 007 -p pid --chdir /c a":                                                {"user": "www", "group": "www", "pid-file": "pid", "chdir": "/c"},
		"/srv/venv/bin/gunicorn a:b":                                                                       {"python": "/srv/venv", "app": "a:b"},
		"/usr/bin/gunicorn a:b":                                                                            {"python": ""},
		"/srv/venv/bin/python3 -m gunicorn a:b":                                                            {"python": "/srv/venv", "app": "a:b"},
		"poetry run gunicorn -w 2 a:b":                                                                     {"workers": "2"},
		"exec env X=1 gosu www gunicorn -w 2 a:b":                                                          {"workers": "2"},
		"sudo -u www gunicorn -w 2 a:b":                                                                    {"workers": "2"},
		"dumb-init -- gunicorn -w 2 a:b":                                                                   {"workers": "2"},
		"uwsgi --http :8000 --module a:b -p 4":                                                             {"bind": ":8000", "app": "a:b", "workers": "4"},
		"uwsgi --http=:8000 -w a:b --processes=4 --master":                                                 {"bind": ":8000", "app": "a:b", "workers": "4"},
		"uwsgi -MT -p 4 --wsgi-file a.py --vacuum --harakiri 9":                                            {"workers": "4", "app": "a.py", "request-timeout": "9s"},
		"uwsgi --need-app --http-socket /s --chmod-socket=600":                                             {"bind": "unix:/s mode=0600"},
		"uwsgi_python3 --http :1 app.wsgi":                                                                 {"bind": ":1", "app": "app.wsgi"},
		"mod_wsgi-express start-server a.wsgi --port 80":                                                   {"app": "a.wsgi", "bind": ":80", "workers": "1", "threads": "5", "request-timeout": "60s", "limit-request-body": "10485760"},
		"mod_wsgi-express start-server":                                                                    {"bind": ":8000", "app": ""},
		"mod_wsgi-express start-server --application-type module a.b --callable-object app --processes=3":  {"app": "a.b:app", "workers": "3"},
		"mod_wsgi-express setup-server a.wsgi --url-alias /s /srv/s --mount-point /m --host 10.0.0.1":      {"static": "/s=/srv/s", "mount": "/m=a.wsgi", "bind": "10.0.0.1:8000"},
		"mod_wsgi-express start-server a.wsgi --https-port 443 --ssl-certificate x --https-only --port 80": {"bind": ":443 | :80 redirect", "certfile": "x.crt", "keyfile": "x.key"},
		"mod_wsgi-express start-server a.wsgi --trust-proxy 10.0.0.1 --trust-proxy-header X-Forwarded-For": {"trusted-proxy": "10.0.0.1", "forwarded-header": "x-forwarded-for"},
		"mod_wsgi-express start-server a.wsgi --access-log --log-to-terminal --compress-responses":         {"access-log": "-", "compress": "true"},
		"mod_wsgi-express start-server a.wsgi --access-log --log-directory /l --queue-timeout=0":           {"access-log": "/l/access_log", "log-file": "/l/error_log", "queue-timeout": ""},
	} {
		wantSettings(t, ran(t, line), want)
	}
	wantSettings(t, ran(t, "gunicorn a:b", "GUNICORN_CMD_ARGS=--workers=3", "WEB_CONCURRENCY=9"), map[string]string{"workers": "3"})
	wantSettings(t, ran(t, "gunicorn a:b", "WEB_CONCURRENCY=9"), map[string]string{"workers": "9"})
}

func TestNotesOfCommandLines(t *testing.T) {
	for line, parts := range map[string][]string{
		"newrelic-admin run-program gunicorn a:b":                     {"newrelic-admin run-program gowsgi serve"},
		"ddtrace-run gunicorn a:b":                                    {"ddtrace-run gowsgi serve"},
		"X=1 gunicorn a:b":                                            {"variables X stay"},
		"gunicorn --nonsense a:b":                                     {"--nonsense", "no such option"},
		"gunicorn -c /nowhere/g.py a:b":                               {"/nowhere/g.py is not here"},
		"gunicorn -c python:x.y a:b":                                  {"module"},
		"uwsgi --ini /nowhere/u.ini":                                  {"/nowhere/u.ini is not here"},
		"mod_wsgi-express start-server a.wsgi --auth-user-script x":   {"--auth-user-script", "authentication"},
		"mod_wsgi-express start-server a.wsgi --nonsense x":           {"--nonsense"},
		"mod_wsgi-express start-server a.wsgi --setenv A very-secret": {"A: gowsgi sets"},
		"gunicorn -e TOKEN=very-secret a:b":                           {"TOKEN: gowsgi sets"},
	} {
		r := ran(t, line)
		wantNote(t, r, parts...)
		if strings.Contains(r.TOML()+r.List(), "very-secret") {
			t.Errorf("a secret is repeated:\n%s", r.TOML())
		}
	}
}

func TestAFileWithACommandIsReadWithItsFolderAndVariables(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want map[string]string
	}{
		"web.service": {"[Service]\nWorkingDirectory=/srv\nEnvironment=\"N=3\" M=4\nExecStart=/srv/v/bin/gunicorn \\\n  # a comment\n  -w ${N} \\\n  --threads $M a:b\n",
			map[string]string{"chdir": "/srv", "workers": "3", "threads": "4", "python": "/srv/v", "app": "a:b"}},
		"shell.service": {"[Service]\nExecStart=/bin/bash -c 'cd /srv && exec gunicorn -w 3 a:b'\n", map[string]string{"chdir": "/srv", "workers": "3"}},
		"Procfile":      {"release: ./manage.py migrate\nweb: gunicorn -w ${N:-5} 'a:b'\n", map[string]string{"workers": "5", "app": "a:b", "bind": ""}},
		"Dockerfile": {"FROM x AS build\nWORKDIR /old\nFROM y\nENV N=3 M 4\nENV P 81\nWORKDIR /app\nWORKDIR sub\nCMD [\"gunicorn\", \"-b\", \":80\", \\\n \"a:b\"]\n",
			map[string]string{"chdir": "/app/sub", "bind": ":80", "app": "a:b"}},
		"Dockerfile.web": {"FROM y\nENV P 81\nCMD exec gunicorn --bind :$P --workers 1 a:b\n", map[string]string{"bind": ":81", "workers": "1"}},
		"run.Dockerfile": {"FROM y\nCMD [\"sh\", \"-c\", \"uwsgi --http :80 -w a\"]\n", map[string]string{"bind": ":80", "app": "a"}},
		"start.sh": {"#!/bin/sh\nset -e\nNAME=shop\nexport N=3\ncd /srv/$NAME\npip install gunicorn\nexec gunicorn ${NAME}.wsgi:application \\\n  --workers $N --bind=unix:/run/$NAME.sock --threads \"$(nproc)\" \"$@\"\n",
			map[string]string{"chdir": "/srv/shop", "app": "shop.wsgi:application", "workers": "3", "bind": "unix:/run/shop.sock", "threads": "4"}},
		"start": {"#!/bin/bash\nif [ -n \"$X\" ]; then\n  uwsgi --http :80 -w a -p 2\nfi\n", map[string]string{"workers": "2"}},
	} {
		dir := folder(t, map[string]string{name: c.text})
		wantSettings(t, mustRead(t, filepath.Join(dir, name), onFourCPUs()), c.want)
	}
}

func TestVariablesThatAreNotSetHereAreLeftToTheServersOwn(t *testing.T) {
	dir := folder(t, map[string]string{"Procfile": "web: gunicorn -b 0.0.0.0:$PORT -w \"$WORKERS\" ${APP}:app\nother: gunicorn -w 9 c:d"})
	r := mustRead(t, filepath.Join(dir, "Procfile"), onFourCPUs())
	wantNote(t, r, "Procfile:1", "GOWSGI_BIND=0.0.0.0:${PORT}")
	wantNote(t, r, "GOWSGI_WORKERS=${WORKERS}")
	wantNote(t, r, `gowsgi serve "${APP}:app"`)
	wantNote(t, r, "Procfile:2", "a further command")
	wantSettings(t, r, map[string]string{"bind": "", "app": ""})
}

func TestTheFileThatACommandNamesIsReadAndTheCommandCountsBeforeIt(t *testing.T) {
	dir := folder(t, map[string]string{
		"Dockerfile":       "FROM x\nWORKDIR /app\nENV N=6\nCMD [\"gunicorn\", \"-c\", \"conf/gunicorn.conf.py\", \"-w\", \"2\", \"a:b\"]",
		"gunicorn.conf.py": "import os\nworkers = 9\nthreads = int(os.environ['N'])\nbind = ':81'",
		"uwsgi.service":    "[Service]\nExecStart=uwsgi --ini /etc/uwsgi/u.ini --processes 2",
		"u.ini":            "[uwsgi]\nprocesses = 9\nmodule = a:b",
	})
	r := mustRead(t, filepath.Join(dir, "Dockerfile"), onFourCPUs())
	wantSettings(t, r, map[string]string{"workers": "2", "threads": "6", "bind": ":81", "app": "a:b", "chdir": "/app"})
	r = mustRead(t, filepath.Join(dir, "uwsgi.service"), onFourCPUs())
	wantSettings(t, r, map[string]string{"workers": "2", "app": "a:b"})
}

func TestWhatIsNoneOfTheseIsAnUnknownError(t *testing.T) {
	dir := folder(t, map[string]string{
		"nginx.conf": "server { listen 80; }", "setup.py": "from setuptools import setup\nsetup()", "empty": "", "setup.cfg": "[metadata]\nname = x", "u.ini": "[other]\na=1",
		"bad.yaml": "uwsgi:\n  a: [", "bad.xml": "<uwsgi><a></uwsgi>", "install.sh": "pip install gunicorn uwsgi\n", "list.yaml": "uwsgi: []\n", "binary": "\x00\x01",
		"template.conf": "Listen {{ port }}\nWSGIScriptAlias / /a.wsgi", "template.ini": "[uwsgi]\n{% if x %}\nworkers = 2\n{% endif %}",
	})
	for _, name := range []string{"template.conf", "template.ini", "nginx.conf", "setup.py", "empty", "setup.cfg", "u.ini", "bad.yaml", "bad.xml", "install.sh", "list.yaml", "binary"} {
		_, err := File(filepath.Join(dir, name), onFourCPUs())
		if err == nil || Unreadable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, line := range []string{"nonsense x", "pip install gunicorn", "mod_wsgi-express install-module", "gunicorn -w", "mod_wsgi-express start-server --port"} {
		_, err := Command(strings.Fields(line), onFourCPUs())
		if err == nil || Unreadable(err) {
			t.Errorf("%s: %v", line, err)
		}
	}
	o := onFourCPUs()
	o.From = UWSGI
	if _, err := Command([]string{"gunicorn", "a"}, o); err == nil || Unreadable(err) {
		t.Errorf("a command of another server: %v", err)
	}
	if _, err := File(filepath.Join(dir, "gone"), onFourCPUs()); err == nil || !Unreadable(err) {
		t.Errorf("a file that is not there: %v", err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := File(fifo, onFourCPUs()); err == nil || !Unreadable(err) {
		t.Errorf("a FIFO: %v", err)
	}
	if _, err := File(dir, onFourCPUs()); err == nil || !Unreadable(err) {
		t.Errorf("a folder: %v", err)
	}
}

func TestFromSaysWhatAFileIsThatDoesNotTell(t *testing.T) {
	dir := folder(t, map[string]string{"settings.py": "x = 1\nworkers_ = 2\ngraceful_timeout = 9", "options": "[uwsgi]\nworkers = 3", "wsgi": "LoadModule x y\nInclude app.inc", "app.inc": "WSGIScriptAlias / /a.wsgi"})
	for name, c := range map[string]struct {
		from Kind
		want map[string]string
	}{
		"settings.py": {Gunicorn, map[string]string{"graceful-timeout": "9s"}},
		"options":     {UWSGI, map[string]string{"workers": "3"}},
		"wsgi":        {Apache, map[string]string{"app": "/a.wsgi"}},
	} {
		o := onFourCPUs()
		o.From = c.from
		wantSettings(t, mustRead(t, filepath.Join(dir, name), o), c.want)
	}
}
