package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// virtualenv makes a virtualenv with Django once, and returns its python.
func virtualenv(t *testing.T) string {
	t.Helper()
	python, _, _ := strings.Cut(os.Getenv("GOWSGI_TEST_PYTHONS"), ":")
	if python == "" {
		out, err := exec.Command("../../scripts/pythons.sh").Output()
		first, _, _ := strings.Cut(string(out), "\n")
		if _, python, _ = strings.Cut(first, " "); err != nil || python == "" {
			t.Fatalf("scripts/pythons.sh finds no CPython that can be loaded: %v", err)
		}
	}
	folder, err := filepath.Abs("../../build/embed-venv")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("../../scripts/venv.sh", python, folder, "../demo/requirements.txt").CombinedOutput(); err != nil {
		t.Fatalf("scripts/venv.sh: %v\n%s", err, out)
	}
	return filepath.Join(folder, "bin", "python")
}

// start builds and runs the program and returns the URL that it printed.
func start(t *testing.T, args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "embed")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(program, append([]string{"-bind", "127.0.0.1:0", "-dir", "site", "-python", virtualenv(t)}, args...)...)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
		kill.Stop()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("the program said %q: %v", line, err)
	}
	return url
}

// fetch returns the body of a 200.
func fetch(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s %s: %s, %v\n%s", method, url, resp.Status, err, b)
	}
	return string(b)
}

func fetchJSON(t *testing.T, method, url, body string) map[string]string {
	t.Helper()
	var m map[string]string
	if err := json.Unmarshal([]byte(fetch(t, method, url, body)), &m); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return m
}

func TestDjangoUnderAPrefixBesideAGoRoute(t *testing.T) {
	for name, args := range map[string][]string{"net/http": nil, "fasthttp": {"-fasthttp"}} {
		t.Run(name, func(t *testing.T) {
			url := start(t, args...)
			if got := fetch(t, "GET", url+"/hello", ""); got != "hello from Go\n" {
				t.Errorf("the Go route answers %q", got)
			}
			about := fetchJSON(t, "GET", url+"/site/about", "")
			if !strings.HasPrefix(about["framework"], "Django ") || about["path"] != "/site/about" || about["path_info"] != "/about" ||
				about["lines"] != "/site/lines/3" {
				t.Errorf("Django sees %q", about)
			}
			if got := fetch(t, "GET", url+about["lines"], ""); got != "line 1\nline 2\nline 3\n" {
				t.Errorf("the stream is %q", got)
			}
			long := strings.Repeat("x", 2<<20)
			if got := fetchJSON(t, "POST", url+"/site/echo", long); got["body"] != long || got["method"] != "POST" {
				t.Errorf("of a body of %d bytes Django saw %d, method %s", len(long), len(got["body"]), got["method"])
			}
			resp, err := http.Get(url + "/sites")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 404 {
				t.Errorf("/sites, which is under no prefix: %s", resp.Status)
			}
		})
	}
}
