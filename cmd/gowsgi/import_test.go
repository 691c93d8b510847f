package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/config"
)

// accepts fails where serve would not take a gowsgi.toml.
func accepts(t *testing.T, text string) {
	t.Helper()
	args := []string{"serve"}
	if !strings.Contains("\n"+text, "\napp = ") && !strings.Contains(text, "[mount]") {
		args = append(args, "site")
	}
	_, err := (&commandLine{args: args, dir: configFolder(t, text)}).parse(io.Discard, io.Discard)
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// imported runs gowsgi import to a good end.
func imported(t *testing.T, dir string, args ...string) (stdout, stderr string) {
	t.Helper()
	c := command(append([]string{"import"}, args...)...)
	c.Dir = dir
	code, stdout, stderr := runCommand(t, c)
	if code != exitFine {
		t.Fatalf("%q: exit code %d: %s", args, code, stderr)
	}
	return stdout, stderr
}

func TestServeTakesWhatIsImportedFromRealConfigurations(t *testing.T) {
	files, err := filepath.Glob("internal/importer/testdata/real/*.want")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		accepts(t, string(text))
	}
}

// The files have all that there is a key for.
func TestServeTakesEveryKeyThatImportWrites(t *testing.T) {
	dir := t.TempDir()
	all := ""
	for name, text := range map[string]string{
		"u.ini": "[uwsgi]\nmodule = a:b\nmount = /api=c\nmanage-script-name = 1\nchdir = /c\nhome = /v\nhttps = :443,c.pem,k.pem,,ca.pem\nhttp-to-https = :80\nsocket = /s\nchmod-socket = 660\nchown-socket = u:g\n" +
			"workers = 3\nthreads = 4\nharakiri = 5\nmax-requests = 6\nmax-worker-lifetime = 7\nreload-on-rss = 512\nbuffer-size = 65535\nlimit-post = 1000\nstatic-map = /static=/srv/s\nuid = u\ngid = g\numask = 022\n" +
			"pidfile = p\nlogto = l\nworker-reload-mercy = 8\nhttp-keepalive = 9\nlog-syslog = x\nhttp-headers-timeout = 5\n",
		"gunicorn.conf.py": "bind = ['unix:/s', 'h', '[::1]:80']\nworkers = 2\npreload_app = True\nkeepalive = 0\ntmp_upload_dir = '/t'\nlimit_request_fields = 9\nlimit_request_field_size = 9\nheader_map = 'refuse'\n" +
			"accesslog = '-'\naccess_log_format = '%(h)s %(D)s'\nproxy_protocol = True\nforwarded_allow_ips = '10.0.0.1,::1'\numask = 0o7\n",
		"site.conf": "<VirtualHost *:443>\nWSGIScriptAlias / /a.wsgi\nWSGIDaemonProcess a startup-timeout=1 deadlock-timeout=2 queue-timeout=3 memory-limit=4000\nWSGIPythonOptimize 1\nWSGIPythonWarnings error\nTimeout 5\n" +
			"XSendFilePath /x\nAddOutputFilterByType DEFLATE text/html\nMDomain example.org\nLogFormat \"%h %>s\" own\nCustomLog /l own\n</VirtualHost>\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		stdout, _ := imported(t, dir, name)
		accepts(t, stdout)
		all += stdout
	}
	stdout, _ := imported(t, dir, "--", "mod_wsgi-express", "start-server", "a.wsgi", "--body-min-rate", "5", "--header-max-timeout", "6", "--trust-proxy", "10.0.0.1")
	accepts(t, stdout)
	all += stdout
	for _, key := range []string{
		"app", "chdir", "python", "python-arg", "bind", "certfile", "keyfile", "client-ca", "client-cert", "acme", "trusted-proxy", "forwarded-header", "header-policy", "workers", "threads",
		"preload", "start-timeout", "graceful-timeout", "request-timeout", "gil-timeout", "queue-timeout", "max-requests", "max-worker-age", "max-worker-rss", "spool-dir", "limit-request-body",
		"header-timeout", "body-timeout", "write-timeout", "idle-timeout", "limit-request-line", "limit-request-fields", "limit-request-field-size", "min-body-rate", "keepalive-requests", "compress",
		"sendfile-root", "user", "group", "umask", "pid-file", "log-file", "access-log", "access-log-format",
	} {
		if !strings.Contains("\n"+all, "\n"+key+" = ") {
			t.Errorf("no file has %s", key)
		}
	}
	wantParts(t, all, "[mount]", "[static]")
}

func TestImportWritesTheSettingsAndListsTheRest(t *testing.T) {
	dir := t.TempDir()
	stdout, stderr := imported(t, dir, "--", "gunicorn", "-w", "4", "--reload", "mysite.wsgi")
	wantParts(t, stdout, "workers = 4", "# Without an equivalent", "--reload")
	wantParts(t, stderr, "gowsgi: without an equivalent", "command line: --reload:", "gowsgi dev")

	stdout, stderr = imported(t, dir, "--output", config.DefaultFile, "--", "gunicorn", "-w", "4", "mysite.wsgi")
	if stdout != "" {
		t.Errorf("with --output standard output has %s", stdout)
	}
	wantParts(t, stderr, "gowsgi: wrote gowsgi.toml")
	c := command("import", "-o", config.DefaultFile, "--", "gunicorn", "-w", "5", "mysite.wsgi")
	c.Dir = dir
	if code, _, stderr := runCommand(t, c); code != exitUsage || !strings.Contains(stderr, "gowsgi.toml is there already; --force") {
		t.Errorf("over a file: %d, %s", code, stderr)
	}
	if text, err := os.ReadFile(filepath.Join(dir, config.DefaultFile)); err != nil || !strings.Contains(string(text), "workers = 4") {
		t.Errorf("the file that was there: %s, %v", text, err)
	}
	imported(t, dir, "-o", config.DefaultFile, "--force", "--", "gunicorn", "-w", "5", "mysite.wsgi")
	if text, err := os.ReadFile(filepath.Join(dir, config.DefaultFile)); err != nil || !strings.Contains(string(text), "workers = 5") {
		t.Errorf("with --force: %s, %v", text, err)
	}
}

func TestImportsExitCodeSaysWhetherAFileIsUnreadableOrNothingToImport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"nginx.conf": "server { }", "gunicorn.conf.py": "workers = 1", "broken.conf.py": "bind = = 1"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"gone.ini"}, exitOther, "gone.ini: no such file"},
		{[]string{"."}, exitOther, ". is not a file"},
		{[]string{"nginx.conf"}, exitUsage, "nginx.conf is none of the files that can be imported: looked for [uwsgi]"},
		{[]string{"--from=gunicorn", "broken.conf.py"}, exitUsage, "broken.conf.py:1 is not Python"},
		{[]string{"--from=nginx", "nginx.conf"}, exitUsage, "--from"},
		{[]string{"--", "nginx", "-g", "x"}, exitUsage, "neither a file nor a command line"},
		{nil, exitUsage, "expected"},
		{[]string{"-o", "gone/x.toml", "--", "gunicorn", "a"}, exitOther, "gone/x.toml"},
	} {
		run := command(append([]string{"import"}, c.args...)...)
		run.Dir = dir
		code, stdout, stderr := runCommand(t, run)
		if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" || strings.Contains(stderr, "Traceback") {
			t.Errorf("%q: exit code %d, want %d: %s%s", c.args, code, c.code, stdout, stderr)
		}
	}
	c := command("import", "gunicorn.conf.py")
	c.Dir, c.Env = dir, append(c.Env, "PATH=/nonexistent")
	if code, _, stderr := runCommand(t, c); code != exitOther || !strings.Contains(stderr, "no python3 on PATH") {
		t.Errorf("without a Python: %d, %s", code, stderr)
	}
}
