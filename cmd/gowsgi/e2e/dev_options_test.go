package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestDevSpeaksHTTPSWithACertificateOfTheUsersOwnAuthority(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	o := options{args: []string{"--https"}, env: []string{"XDG_DATA_HOME=" + data}}
	var before map[string]string
	for try := range 2 {
		p := dev(t, flaskProject(t), o)
		p.waitLog(t, "https://127.0.0.1:")
		pem, err := os.ReadFile(filepath.Join(data, "gowsgi/dev/ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		}}
		_, port, _ := net.SplitHostPort(p.addr)
		for _, host := range []string{"127.0.0.1", "localhost"} {
			resp, err := client.Get("https://" + net.JoinHostPort(host, port) + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.ProtoMajor != 2 || string(body) != "first" {
				t.Errorf("%s %s", resp.Proto, body)
			}
		}
		files := contents(t, data)
		told := p.countLog("ca.pem")
		if try == 0 {
			before = files
			if told == 0 {
				t.Error("nobody is told whom to trust")
			}
			continue
		}
		if told > 0 {
			t.Error("the user is told again whom to trust")
		}
		for name, text := range files {
			if before[name] != text {
				t.Errorf("%s was made again", name)
			}
		}
	}
}

// contents are the texts of the files in a folder, by their paths.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDevOpensTheSiteInTheBrowser(t *testing.T) {
	t.Parallel()
	shown := filepath.Join(t.TempDir(), "shown")
	script := filepath.Join(t.TempDir(), "browser")
	save(t, script, "#!/bin/sh\necho \"$1\" > "+shown+".new\nmv "+shown+".new "+shown+"\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	p := dev(t, flaskProject(t), options{args: []string{"--open"}, env: []string{"BROWSER=" + script}})
	eventually(t, "the browser is started", func() bool { _, err := os.Stat(shown); return err == nil })
	if b, err := os.ReadFile(shown); err != nil || string(b) != "http://"+p.addr+"/\n" {
		t.Errorf("%q %v", b, err)
	}
}

func TestDevGoesOnWithoutABrowser(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{args: []string{"--open"}, env: []string{"BROWSER=/nonexistent/browser"}})
	p.waitLog(t, "--open: ")
	p.until("/", "first")
}

const countingApp = `import threading
import time

lock = threading.Lock()
running = most = 0


def app(environ, start_response):
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(0.05)
    with lock:
        running -= 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"most %d" % most]
`

func TestOneThreadTakesOneRequestAfterTheOther(t *testing.T) {
	t.Parallel()
	for threads, want := range map[string]string{"1": "^most 1$", "16": "^most ([2-9]|10)$"} {
		p := dev(t, projectOf(t, "app.py", countingApp), options{args: []string{"--threads", threads}})
		var all []<-chan answer
		for range 10 {
			all = append(all, p.send("/"))
		}
		for _, one := range all {
			p.take(one)
		}
		if a := p.take(p.send("/")); !regexp.MustCompile(want).MatchString(a.body) {
			t.Errorf("%s threads: %q", threads, a.body)
		}
	}
}

// wsgiSaying is the text of a module with an app that answers with a text and its SCRIPT_NAME.
func wsgiSaying(text string) string {
	return fmt.Sprintf(`def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s at " + environ["SCRIPT_NAME"]).encode()]
`, text)
}

func TestDevMountsAppsAndServesFolders(t *testing.T) {
	t.Parallel()
	dir := projectOf(t, "main.py", wsgiSaying("main"), "api.py", wsgiSaying("api"), "files/a.txt", "a file\n")
	p := dev(t, dir, options{args: []string{"--mount", "/api=api", "--static", "/files=files", "main:app"}})
	for path, want := range map[string]string{"/x": "main at ", "/api/x": "api at /api", "/files/a.txt": "a file\n"} {
		if a := p.take(p.send(path)); a.body != want {
			t.Errorf("%s: %+v", path, a)
		}
	}
	p.edit("api.py", "api at", "new at")
	p.until("/api/x", "new at /api")
	p.save("api.py", "1/0\n")
	p.until("/api/x", "ZeroDivisionError")
	p.until("/x", "main at ")
}

func TestDevTakesWhatIsAboutTheAppFromTheConfigurationAndNoMore(t *testing.T) {
	t.Parallel()
	dir := projectOf(t, "shop.py", wsgiSaying("shop"), "api.py", wsgiSaying("api"), "files/a.txt", "a file\n", "gowsgi.toml", `app = "shop:app"
mount = ["/api=api:app"]
static = ["/files=files"]
python = "`+filepath.Join(python.venv, "bin/python")+`"
bind = ["0.0.0.0:443", "unix:/nonexistent/folder/socket"]
certfile = ["/nonexistent/cert.pem"]
keyfile = ["/nonexistent/key.pem"]
workers = 7
preload = true
user = "nobody-at-all"
chdir = "."
log-file = "/nonexistent/folder/log"
access-log = "/nonexistent/folder/access.log"
request-timeout = ["1ms"]
pid-file = "/nonexistent/folder/pid"
max-requests = 1
health-path = "/nonexistent"
`)
	p := devWithoutPython(t, dir)
	for range 3 {
		for path, want := range map[string]string{"/x": "shop at ", "/api/x": "api at /api", "/files/a.txt": "a file\n"} {
			if a := p.take(p.send(path)); a.body != want {
				t.Errorf("%s: %+v", path, a)
			}
		}
	}
	p.edit("gowsgi.toml", "shop:app", "api:app")
	p.until("/x", "api at ")
}

// devWithoutPython is dev without --python.
func devWithoutPython(t testing.TB, dir string, args ...string) *devProject {
	t.Helper()
	s, err := newServer("dev", options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(dir, append([]string{"dev", "--port", "0"}, args...)); err != nil {
		t.Fatal(err)
	}
	s.stopAtEnd(t)
	return &devProject{s, t, dir}
}

func TestAPortInUseIsSaidWithTheFlagForAnother(t *testing.T) {
	t.Parallel()
	p := dev(t, flaskProject(t), options{})
	_, port, _ := net.SplitHostPort(p.addr)
	c := command(append([]string{"dev", "--port", port}, python.args...)...)
	c.Dir = flaskProject(t)
	out, code := runToEnd(t, c)
	if code != 1 || !strings.Contains(out, "127.0.0.1:"+port) || !strings.Contains(out, "--port") || strings.Count(out, "\n") > 2 {
		t.Errorf("%d %s", code, out)
	}
	p.until("/", "first")
}

func TestNothingIsWatchedWithoutReload(t *testing.T) {
	t.Parallel()
	watches := func(p *devProject) (yes bool) {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
		for _, f := range files {
			to, _ := os.Readlink(f)
			yes = yes || strings.Contains(to, "inotify")
		}
		return yes
	}
	p := dev(t, flaskProject(t), options{args: []string{"--no-reload"}})
	p.until("/", "first")
	if watches(p) {
		t.Error("files are watched")
	}
	if p.countLog("follows your changes") > 0 {
		t.Error("it says that it follows changes")
	}
	p = dev(t, flaskProject(t), options{})
	p.until("/", "first")
	eventually(t, "files are watched", func() bool { return watches(p) })
}

func TestErrorsAreShownToThisMachineAlone(t *testing.T) {
	t.Parallel()
	other := otherAddress(t)
	dir := flaskProject(t)
	p := dev(t, dir, options{args: []string{"--host", "0.0.0.0"}})
	_, port, _ := net.SplitHostPort(p.addr)
	far := &devProject{&server{addr: net.JoinHostPort(other, port)}, t, dir}
	remote := func(path string, header ...string) (int, string) {
		status, body, err := far.ask(path, header...)
		if err != nil {
			t.Fatal(err)
		}
		return status, body
	}
	secret := regexp.MustCompile("secret_number|on purpose|ValueError|app.py|words.py|Syntax|Traceback")
	check := func(path string) {
		t.Helper()
		for _, header := range [][]string{
			{"Accept", "text/html"}, {"Accept", "application/json"}, {"Accept", "text/html", "X-Forwarded-For", "127.0.0.1", "Forwarded", "for=127.0.0.1", "Host", "localhost"},
		} {
			if status, body := remote(path, header...); status != 500 || secret.MatchString(body) {
				t.Errorf("%d %s", status, body)
			}
		}
		p.until(path, "words.py", "Accept", "text/html")
	}
	if status, body := remote("/"); status != 200 || body != "first" {
		t.Errorf("%d %s", status, body)
	}
	p.edit("app.py", "raise ValueError", "import words; words.fail = secret_number; raise ValueError")
	p.edit("words.py", "'first'", "'again'\n")
	p.until("/", "again")
	if status, body := remote("/fail", "Accept", "text/html"); status != 500 || secret.MatchString(body) {
		t.Errorf("%d %s", status, body)
	}
	p.save("words.py", "GREETING = (\n")
	p.waitLog(t, "words.py changed: SyntaxError") // nobody answers with the old code from then on
	check("/")
}

// otherAddress is an address of this machine that is no loopback.
func otherAddress(t testing.TB) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}
