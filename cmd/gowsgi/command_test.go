package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/config"
	"github.com/gowsgi/gowsgi/pyhost"
)

// With this variable the test program is gowsgi, and a worker of it is one without.
const beCommand = "TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(beCommand) != "" || isWorker() {
		os.Unsetenv(beCommand)
		main()
	}
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "VIRTUAL_ENV=") && !strings.HasPrefix(kv, "PYTHON") && !strings.HasPrefix(kv, config.Prefix) {
			c.Env = append(c.Env, kv)
		}
	}
	c.Env = append(c.Env, beCommand+"=1", "PYTHONDONTWRITEBYTECODE=1")
	return c
}

// runCommand runs to the end and returns the exit code and both outputs.
func runCommand(t *testing.T, c *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	timer := time.AfterFunc(60*time.Second, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), log.String()
}

func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

func TestAWrongCommandLineIsExitCode2AndSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "serve"},
		{[]string{"dance"}, "dance"},
		{[]string{"serve"}, "name the app"},
		{[]string{"serve", "--nope", "site"}, "--nope"},
		{[]string{"serve", "--threads=0", "site"}, "--threads"},
		{[]string{"serve", "--threads=many", "site"}, "--threads"},
		{[]string{"serve", "--bind=8000", "site"}, "host:port"},
		{[]string{"serve", "--mount=api", "site"}, "PREFIX=APP"},
		{[]string{"serve", "--mount=/=a", "b"}, "two apps"},
		{[]string{"serve", "--limit-request-body=1x", "site"}, "1x"},
		{[]string{"serve", "--spool-limit=0", "site"}, "--spool-limit"},
		{[]string{"serve", "--graceful-timeout=-1s", "site"}, "negative"},
		{[]string{"serve", "--graceful-timeout=30", "site"}, "--graceful-timeout"},
		{[]string{"serve", "--chdir=/nonexistent", "site"}, "/nonexistent"},
		{[]string{"serve", "--python-arg=-c pass", "site"}, "-c pass"},
		{[]string{"serve", "site", "another"}, "another"},
	} {
		code, _, stderr := runCommand(t, command(c.args...))
		if code != exitUsage {
			t.Errorf("%q: exit code %d", c.args, code)
		}
		wantParts(t, stderr, "gowsgi: ", c.want)
	}
	c := command("serve", "site")
	c.Env = append(c.Env, "GOWSGI_THREADS=none")
	if code, _, stderr := runCommand(t, c); code != exitUsage {
		t.Errorf("a wrong variable: exit code %d: %s", code, stderr)
	}
}

func TestHelpAndVersionGoToStandardOutput(t *testing.T) {
	for want, args := range map[string][]string{
		"GOWSGI_SPOOL_LIMIT": {"serve", "--help"}, "Commands:": {"--help"}, runtime.Version(): {"version"},
	} {
		code, stdout, stderr := runCommand(t, command(args...))
		if code != exitFine || stderr != "" {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
		wantParts(t, stdout, want)
	}
}

func TestAPythonThatCannotBeLoadedIsExitCode3(t *testing.T) {
	for _, name := range []string{"serve", "check"} {
		c := command(name, "--python", "/nonexistent/python", "site")
		if name == "serve" {
			c.Args = append(c.Args, "--bind=127.0.0.1:0")
		}
		code, _, stderr := runCommand(t, c)
		if code != exitPython {
			t.Errorf("%s: exit code %d", name, code)
		}
		wantParts(t, stderr, "/nonexistent/python")
	}
}

// python is a Python that can be loaded; the test is skipped where there is none.
func python(t *testing.T) pyhost.Python {
	t.Helper()
	for _, o := range []pyhost.DiscoverOptions{{}, {Python: "/usr/bin/python3"}} {
		if p, err := pyhost.Discover(o); err == nil {
			if _, err := pyhost.Open(pyhost.Options{Threads: -1}); errors.Is(err, pyhost.ErrNoCgo) {
				t.Skip("built without cgo")
			}
			return p
		}
	}
	t.Skip("no CPython with a shared library on this machine")
	return pyhost.Python{}
}

// site is an app that shows what it runs in, holds a request while a file exists, and does at SIGTERM what a variable says.
const site = `
import json, os, signal, sys, time

if os.environ.get("SITE_IMPORT") == "slow":
    open("importing", "w").close()
    time.sleep(60)
if os.environ.get("SITE_IMPORT") == "fail":
    1 / 0
if os.environ.get("SITE_SIGTERM"):
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(int(os.environ["SITE_SIGTERM"])))

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        open("held", "w").close()
        while os.path.exists("held"):
            time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({
        "own": [k for k in os.environ if k.startswith("GOWSGI")], "path0": sys.path[0], "prefix": sys.prefix, "optimize": sys.flags.optimize,
        "dev": sys.flags.dev_mode, "script": environ["SCRIPT_NAME"], "kept": os.environ.get("KEPT"), "cwd": os.getcwd(),
    }).encode()]
`

func siteDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "ä site")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "site_app.py"), []byte(site), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// process is gowsgi serve with its log.
type process struct {
	*exec.Cmd
	mu  sync.Mutex
	log bytes.Buffer
	end chan struct{}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func startServe(t *testing.T, c *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: c, end: make(chan struct{})}
	c.Stdout, c.Stderr = p, p
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.Wait()
		close(p.end)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-p.end
		if t.Failed() {
			t.Logf("the log:\n%s", p.text())
		}
	})
	return p
}

var servingLines = regexp.MustCompile(`msg="serving (.*) on (http://\S+|unix:.+) \(CPython (\S+), (.*), (\d+) workers? of (\d+) threads?\)"`)

// urls waits for n lines that say where the server is.
func (p *process) urls(t *testing.T, n int) []string {
	t.Helper()
	var urls []string
	p.wait(t, "the server listens", func() bool {
		urls = nil
		for _, m := range servingLines.FindAllStringSubmatch(p.text(), -1) {
			urls = append(urls, m[2])
		}
		return len(urls) == n
	})
	return urls
}

func (p *process) wait(t *testing.T, what string, state func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !state(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.end:
			if state() {
				return
			}
			t.Fatalf("the server ended before: %s", what)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (p *process) code(t *testing.T) int {
	t.Helper()
	select {
	case <-p.end:
		return p.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not end")
		return -1
	}
}

// get fetches path from a URL of a listener.
func get(url, path string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	if socket, ok := strings.CutPrefix(url, "unix:"); ok {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
		client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: dial}
		url = "http://unix"
	}
	r, err := client.Get(url + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != 200 {
		err = fmt.Errorf("status %s", r.Status)
	}
	return string(b), err
}

func mustGet(t *testing.T, url, path string) string {
	t.Helper()
	body, err := get(url, path)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestItServesOnEveryAddressAndEndsWith0(t *testing.T) {
	py, dir := python(t), siteDir(t)
	inherited, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	tcp, ok := inherited.(*net.TCPListener)
	if !ok {
		t.Fatal("no TCP listener")
	}
	f, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	c := command("serve", "--python", py.Executable, "--chdir", dir, "--bind", "127.0.0.1:0", "--bind", "unix:s.sock", "--bind", "fd:3", "--threads", "3",
		"--mount", "/api=site_app:app", "--python-arg", "-O", "--python-arg", "-X dev", "site_app")
	c.ExtraFiles = []*os.File{f}
	c.Env = append(c.Env, "GOWSGI_GRACEFUL_TIMEOUT=20s", "KEPT=yes")
	p := startServe(t, c)
	urls := p.urls(t, 3)
	if urls[1] != "unix:s.sock" || urls[2] != "http://"+inherited.Addr().String() || strings.HasSuffix(urls[0], ":0") {
		t.Errorf("urls %q", urls)
	}
	urls[1] = "unix:" + filepath.Join(dir, "s.sock")
	for _, url := range urls {
		wantParts(t, mustGet(t, url, "/"), `"own": []`, `"optimize": 1`, `"dev": true`, `"script": ""`, `"kept": "yes"`,
			`\u00e4 site", "prefix": "`+py.Prefix+`"`)
	}
	wantParts(t, mustGet(t, urls[0], "/api/x"), `"script": "/api"`)
	wantParts(t, p.text(), "serving site_app, /api=site_app:app on ", "CPython "+py.Version+", "+py.Prefix+", ", " of 3 threads")
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != exitFine {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(filepath.Join(dir, "s.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestTheFlagsCanBeVariables(t *testing.T) {
	py, dir := python(t), siteDir(t)
	c := command("serve")
	c.Env = append(c.Env, "GOWSGI_PYTHON="+py.Executable, "GOWSGI_CHDIR="+dir, "GOWSGI_BIND=127.0.0.1:0,unix:v.sock", "GOWSGI_THREADS=2",
		"GOWSGI_MOUNT=/a=site_app,/b=site_app:app", "GOWSGI_PYTHON_ARG=-O,-X dev", "GOWSGI_STREAM_INPUT=true")
	p := startServe(t, c)
	urls := p.urls(t, 2)
	wantParts(t, mustGet(t, urls[0], "/b/"), `"own": []`, `"optimize": 1`, `"dev": true`, `"script": "/b"`)
	wantParts(t, p.text(), "2 threads")
	if _, err := get(urls[0], "/c"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a path of no app: %v", err)
	}
	p.signal(t, syscall.SIGINT)
	if code := p.code(t); code != exitFine {
		t.Errorf("exit code %d", code)
	}
}

// hold starts a request that lasts until the file is removed.
func hold(t *testing.T, p *process, dir, url string) (file string, answer chan error) {
	t.Helper()
	file, answer = filepath.Join(dir, "held"), make(chan error, 1)
	go func() {
		_, err := get(url, "/hold")
		answer <- err
	}()
	p.wait(t, "the app holds the request", func() bool { _, err := os.Stat(file); return err == nil })
	return file, answer
}

func TestRequestsInHandFinishAfterASignal(t *testing.T) {
	py, dir := python(t), siteDir(t)
	p := startServe(t, command("serve", "--python", py.Executable, "--chdir", dir, "--bind", "127.0.0.1:0", "site_app"))
	url := p.urls(t, 1)[0]
	file, answer := hold(t, p, dir, url)
	p.signal(t, syscall.SIGTERM)
	p.wait(t, "no new connection is taken", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("the request in hand: %v", err)
	}
	if code := p.code(t); code != exitFine {
		t.Errorf("exit code %d", code)
	}
}

func TestRequestsThatDoNotFinishAreCutOffAtTheGracefulTimeout(t *testing.T) {
	py, dir := python(t), siteDir(t)
	p := startServe(t, command("serve", "--python", py.Executable, "--chdir", dir, "--bind", "127.0.0.1:0", "--graceful-timeout", "200ms", "site_app"))
	_, answer := hold(t, p, dir, p.urls(t, 1)[0])
	p.signal(t, syscall.SIGTERM)
	if err := <-answer; err == nil {
		t.Error("the request was answered")
	}
	if code := p.code(t); code != exitFine {
		t.Errorf("exit code %d", code)
	}
	wantParts(t, p.text(), "requests in hand are cut off at the graceful timeout", "GET /hold")
}

func TestASecondSignalEndsAtOnceWith1(t *testing.T) {
	py, dir := python(t), siteDir(t)
	p := startServe(t, command("serve", "--python", py.Executable, "--chdir", dir, "--bind", "127.0.0.1:0", "site_app"))
	_, answer := hold(t, p, dir, p.urls(t, 1)[0])
	p.signal(t, syscall.SIGTERM)
	p.wait(t, "the first signal arrived", func() bool { return strings.Contains(p.text(), "draining") })
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != exitOther {
		t.Errorf("exit code %d", code)
	}
	<-answer
}

func TestTheAppsOwnSignalHandlerRunsAndItsExitCodeCounts(t *testing.T) {
	py, dir := python(t), siteDir(t)
	c := command("serve", "--python", py.Executable, "--chdir", dir, "--bind", "127.0.0.1:0", "site_app")
	c.Env = append(c.Env, "SITE_SIGTERM=7")
	p := startServe(t, c)
	p.urls(t, 1)
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != 7 {
		t.Errorf("exit code %d", code)
	}
}

func TestAnAppThatFailsIsExitCode4AndNothingStaysBound(t *testing.T) {
	py, dir := python(t), siteDir(t)
	for _, name := range []string{"serve", "check"} {
		c := command(name, "--python", py.Executable, "--chdir", dir, "site_app")
		if name == "serve" {
			c.Args = append(c.Args, "--bind", "unix:f.sock")
		}
		c.Env = append(c.Env, "SITE_IMPORT=fail")
		code, _, stderr := runCommand(t, c)
		if code != exitApp {
			t.Errorf("%s: exit code %d", name, code)
		}
		wantParts(t, stderr, "Traceback", "site_app.py", "1 / 0", "ZeroDivisionError")
	}
	if _, err := os.Lstat(filepath.Join(dir, "f.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestASignalDuringTheImportEndsWithoutWaitingForIt(t *testing.T) {
	py, dir := python(t), siteDir(t)
	c := command("serve", "--python", py.Executable, "--chdir", dir, "--bind", "unix:f.sock", "--control-socket", filepath.Join(dir, "c.sock"), "site_app")
	c.Env = append(c.Env, "SITE_IMPORT=slow")
	p := startServe(t, c)
	p.wait(t, "the import has begun", func() bool { _, err := os.Stat(filepath.Join(dir, "importing")); return err == nil })
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != exitFine {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(filepath.Join(dir, "f.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestCheckSaysWhatTheAppRunsOn(t *testing.T) {
	py, dir := python(t), siteDir(t)
	code, stdout, stderr := runCommand(t, command("check", "--python", py.Executable, "--chdir", dir, "--mount", "/api=site_app:app", "site_app"))
	if code != exitFine {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	wantParts(t, stdout, "CPython "+py.Version+", GIL, found by --python\n", py.Executable+"\n", py.Library+"\n", py.Prefix+"\n", "site_app at /\n", "site_app:app at /api/\n")
}
