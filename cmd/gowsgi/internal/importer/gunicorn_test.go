package importer

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// conf imports the text of a gunicorn.conf.py.
func conf(t *testing.T, text string, environ ...string) *Result {
	t.Helper()
	dir := folder(t, map[string]string{"gunicorn.conf.py": text})
	return mustRead(t, filepath.Join(dir, "gunicorn.conf.py"), onFourCPUs(environ...))
}

func TestExpressionsOfGunicornConfAreEvaluated(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"import multiprocessing\nworkers = multiprocessing.cpu_count() * 2 + 1":       {"workers": "9"},
		"from multiprocessing import cpu_count as n\nworkers = n() + 1":               {"workers": "5"},
		"import os\nworkers = os.cpu_count()":                                         {"workers": ""},
		"import os\nworkers = len(os.sched_getaffinity(0)) // 2":                      {"workers": "2"},
		"import os\nworkers = int(os.environ.get('W', '3'))":                          {"workers": "3"},
		"import os\nworkers = int(os.getenv('SET', 3))":                               {"workers": "7"},
		"import os as o\nworkers = o.environ['SET']":                                  {"workers": "7"},
		"from os import getenv\nbind = f\"0.0.0.0:{getenv('PORT', '80')}\"":           {"bind": "0.0.0.0:80"},
		"host = 'h'\nbind = '%s:%d' % (host, 80)":                                     {"bind": "h:80"},
		"host: str = 'h'\nbind = host + ':' + str(80)":                                {"bind": "h:80"},
		"bind = [':1', 'unix:/s']":                                                    {"bind": ":1 | unix:/s"},
		"bind = ':1,localhost'":                                                       {"bind": ":1 | localhost:8000"},
		"n = 2\nn += 1\nworkers = min(n, 8)":                                          {"workers": "3"},
		"import os\nif os.getenv('SET') == '7':\n  workers = 2\nelse:\n  workers = 3": {"workers": "2"},
		"import os\npreload_app = os.getenv('P', 'True').lower() in ('1', 'true')":    {"preload": "true"},
		"preload_app = False":                                                         {"preload": ""},
		"workers, threads = 2, 8":                                                     {"workers": "2", "threads": "8", "request-timeout": ""},
		"try:\n  import x\nexcept ImportError:\n  x = None\nworkers = 6":              {"workers": "6"},
		"import os\nchdir = os.path.dirname(os.path.abspath('/srv/x'))":               {"chdir": "/srv"},
		"umask = 0o027":                         {"umask": "027"},
		"timeout = 0":                           {"request-timeout": ""},
		"timeout = 90":                          {"request-timeout": "90s", "threads": "1", "workers": "1"},
		"keepalive = 0":                         {"keepalive-requests": "1"},
		"worker_class = 'gthread'\nthreads = 4": {"threads": "4", "request-timeout": ""},
		"worker_class = 'egg:gunicorn#gthread'\nthreads = 4":               {"threads": "4"},
		"certfile = 'c'\nkeyfile = 'k'\nca_certs = 'a'\ncert_reqs = 2":     {"certfile": "c", "keyfile": "k", "client-ca": "a", "client-cert": "", "trusted-proxy": ""},
		"certfile = 'c'\nca_certs = 'a'":                                   {"keyfile": "c", "client-ca": ""},
		"forwarded_allow_ips = '*'":                                        {"trusted-proxy": "*", "forwarded-header": "x-forwarded-for | x-forwarded-proto"},
		"proxy_protocol = True\nproxy_allow_ips = '10.0.0.1'\nbind = ':1'": {"bind": ":1 proxy-protocol", "trusted-proxy": "10.0.0.1"},
		"limit_request_line = 0\nlimit_request_fields = 50":                {"limit-request-line": "", "limit-request-fields": "50"},
		"accesslog = '-'\naccess_log_format = '%(h)s %(D)s'":               {"access-log": "-", "access-log-format": "%(h)s %(D)s"},
		"syslog = True\nsyslog_addr = 'udp://log:514'":                     {"access-log": "syslog:log:514"},
		"pidfile = None\nuser = 'www'\ngroup = 33\nmax_requests = 10":      {"pid-file": "", "user": "www", "group": "33", "max-requests": "10"},
		"wsgi_app = 'mysite.wsgi'\nheader_map = 'dangerous'":               {"app": "mysite.wsgi", "header-policy": "allow"},
	} {
		wantSettings(t, conf(t, text, "SET=7"), want)
	}
}

func TestWhatOnlyExecutingGunicornConfWouldTellIsNotedWithItsLine(t *testing.T) {
	for text, parts := range map[string][]string{
		"\nworkers = compute()":                           {"gunicorn.conf.py:2: workers", "compute()"},
		"import os\nbind = os.environ['NOT_SET']":         {":2: bind", "$NOT_SET, which is not set here"},
		"from site import x\nworkers = x":                 {"workers", "x"},
		"x = f()\nworkers = x + 1":                        {":2: workers", "x: f()"},
		"if f():\n  workers = 2":                          {":2: workers", "depends on f()"},
		"for k in y:\n  locals()[k] = 1":                  {":2: a statement", "by names"},
		"from base import *":                              {":1: a statement", "base"},
		"timeout = 10 ** 10 ** 10":                        {"timeout"},
		"workers = 'a' * 2 ** 40":                         {"workers"},
		"workers = 0x10000000000000000 * 2":               {"workers"},
		"with open('x') as f:\n  bind = f.read()":         {":2: bind", "only executing"},
		"def post_fork(server, worker):\n  pass":          {":1: post_fork", "gowsgi.postfork"},
		"from hooks import x\nworker_exit = x":            {":2: worker_exit", "atexit"},
		"worker_class = 'gevent'":                         {"worker_class", "monkey"},
		"worker_class = 'uvicorn.workers.UvicornWorker'":  {"ASGI"},
		"raw_env = ['TOKEN=very-secret']":                 {"TOKEN: gowsgi sets"},
		"reload = True":                                   {"gowsgi dev"},
		"daemon = True":                                   {"systemd"},
		"worker_class = 'gthread'\ntimeout = 9":           {"request-timeout = \"9s\""},
		"workers = -1":                                    {"workers"},
		"bind = 'host:port'":                              {"port"},
		"wsgi_app = 'mysite.asgi:application'":            {"ASGI"},
		"access_log_format = '%(h)s'":                     {"no access log"},
		"accesslog = '-'\naccess_log_format = '%(nope)s'": {"access_log_format"},
		"bind = '0.0.0.0:80'":                             {"trusted-proxy"},
		"workers = 2":                                     {"no app is named"},
	} {
		r := conf(t, text)
		wantNote(t, r, parts...)
		if strings.Contains(r.TOML()+r.List(), "very-secret") {
			t.Errorf("a secret is repeated:\n%s", r.TOML())
		}
	}
}

func TestGunicornConfIsNotExecuted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "executed")
	r := conf(t, "import sys, os\nopen('"+file+"', 'w').write('x')\nsys.exit(3)\nworkers = __import__('os').system('touch "+file+"') + 2\nthreads = 4")
	wantSettings(t, r, map[string]string{"threads": "4", "workers": ""})
	if _, err := readAll(file); err == nil {
		t.Error("the file was executed")
	}
}

func TestABrokenGunicornConfIsAnErrorWithItsLine(t *testing.T) {
	dir := folder(t, map[string]string{"gunicorn.conf.py": "workers = 1\nbind = = 2\n"})
	_, err := File(filepath.Join(dir, "gunicorn.conf.py"), onFourCPUs())
	if err == nil || !strings.Contains(err.Error(), "gunicorn.conf.py:2 is not Python") || Unreadable(err) {
		t.Error(err)
	}
}

func TestWithoutAPythonTheErrorSaysWhatItIsFor(t *testing.T) {
	o := onFourCPUs()
	o.Python = func() (string, error) { return "", errors.New("there is no python3 on PATH") }
	dir := folder(t, map[string]string{"gunicorn.conf.py": "workers = 1"})
	_, err := File(filepath.Join(dir, "gunicorn.conf.py"), o)
	if err == nil || !strings.Contains(err.Error(), "Python code") || !strings.Contains(err.Error(), "no python3 on PATH") || !Unreadable(err) {
		t.Error(err)
	}
	if _, err := Command([]string{"gunicorn", "-w", "2", "a:b"}, o); err != nil {
		t.Errorf("a command line needs no Python: %v", err)
	}
}
