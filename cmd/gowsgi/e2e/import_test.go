package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Flask app with the gunicorn.conf.py that it was served by.
const (
	shopApp = `import os

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def index():
    return "%s asks a process in %s" % (request.remote_addr, os.getcwd())
`
	shopConf = `import multiprocessing
import os

bind = "127.0.0.1:" + os.environ.get("PORT", "0")
workers = min(2, multiprocessing.cpu_count() + 1)
threads = 4
worker_class = "gthread"
chdir = os.path.dirname(os.path.abspath(__file__))
wsgi_app = "shop:app"
accesslog = "access.log"
max_requests = 1000
max_requests_jitter = 50


def post_fork(server, worker):
    server.log.info("forked")
`
)

func TestAFlaskAppIsServedByWhatItsGunicornConfWasImportedTo(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"shop.py": shopApp, "gunicorn.conf.py": shopConf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := command("import", "--output", "gowsgi.toml", "gunicorn.conf.py")
	run.Dir = dir
	run.Env = append(run.Env, "PATH="+filepath.Dir(python.interpreter)+":"+os.Getenv("PATH"))
	out, code := runToEnd(t, run)
	if code != 0 || !strings.Contains(out, "gunicorn.conf.py:15: post_fork: ") {
		t.Fatalf("gowsgi import: exit code %d: %s", code, out)
	}
	check := exec.Command(binary, append([]string{"check"}, python.args...)...)
	check.Dir, check.Env = dir, run.Env
	if out, code := runToEnd(t, check); code != 0 || !strings.Contains(out, "framework") || !strings.Contains(out, "gowsgi.toml:") {
		t.Errorf("gowsgi check: exit code %d: %s", code, out)
	}

	s, err := newServer("import", options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(dir, append([]string{"serve"}, python.args...)); err != nil {
		t.Fatal(err)
	}
	s.stopAtEnd(t)
	eventually(t, "there are the 2 workers of the configuration", func() bool { return len(s.workers()) == 2 })
	want := "192.0.2.7 asks a process in " + dir
	if got := s.getOK(t, "/", "X-Forwarded-For: 192.0.2.7"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	eventually(t, "the access log has the request", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "access.log"))
		return err == nil && strings.Contains(string(text), "192.0.2.7")
	})
}
