package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// tool finds a program of the system. Where it is missing the test is skipped, or fails where CI is set: CI has it.
func tool(t testing.TB, name, install string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/bin") {
		if path := filepath.Join(dir, name); exec.Command("test", "-x", path).Run() == nil {
			return path
		}
	}
	text := fmt.Sprintf("%s is not on PATH: install it (Debian, Ubuntu: apt-get install %s)", name, install)
	if os.Getenv("CI") != "" {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}

// behindNginx starts nginx with scripts/deploy/nginx.conf in front of s, on a unix socket.
func behindNginx(t testing.TB, s *server) (front *server) {
	t.Helper()
	return behindNginxOn(t, s, &server{network: "unix", addr: filepath.Join(t.TempDir(), "s"), name: "nginx"}, "")
}

// behindNginxOn starts nginx with scripts/deploy/nginx.conf in front of s, to listen as front says, with more words in the listen directive.
// Only the addresses and the folder of static files are the test's. Files are listening sockets that it is to use.
func behindNginxOn(t testing.TB, s, front *server, words string, files ...*os.File) *server {
	t.Helper()
	address := func(s *server) string {
		if s.network == "unix" {
			return "unix:" + s.addr
		}
		return s.addr
	}
	nginx := tool(t, "nginx", "nginx-light")
	b, err := os.ReadFile(filepath.Join(root, "scripts", "deploy", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	site := string(b)
	for old, replacement := range map[string]string{
		"server unix:/run/gowsgi.sock": "server " + address(s),
		"listen 80;":                   "listen " + address(front) + words + ";",
		"root /srv/mysite;":            "root " + dir + ";",
	} {
		if strings.Count(site, old) != 1 {
			t.Fatalf("nginx.conf has no single %q", old)
		}
		site = strings.Replace(site, old, replacement, 1)
	}
	if err := os.MkdirAll(filepath.Join(dir, "static"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "static", "a.txt"), []byte("of nginx"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Its workers are the user that the test is, else they could not reach the server's socket.
	head := "daemon off;\nworker_processes 1;\npid " + dir + "/pid;\nerror_log stderr;\n"
	if os.Getuid() == 0 {
		head += "user root;\n"
	}
	head += "events {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		head += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(head+site+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd {
		c := exec.Command(nginx, append(args, "-c", conf, "-p", dir, "-e", "stderr")...)
		if c.ExtraFiles = files; len(files) > 0 {
			c.Env = append(os.Environ(), "NGINX=3;") // as for the nginx that takes another's place
		}
		return c
	}
	if len(files) == 0 { // with sockets of another it says that it uses them
		if out, err := run("-t", "-q").CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("nginx -t: %v\n%s", err, out)
		}
	}
	c := run()
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGQUIT)
		kill := time.AfterFunc(20*time.Second, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		kill.Stop()
		if t.Failed() {
			t.Logf("nginx:\n%s", log.String())
		}
	})
	eventually(t, "nginx listens", func() bool {
		conn, err := net.Dial(front.network, front.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return front
}

// startBehindNginx gives gowsgi and the nginx in front of it, as the test's clients see it.
func startBehindNginx(t *testing.T) (s, front *server) {
	t.Helper()
	file := func(app string) string { return filepath.Join(appDir(app), "wsgi.py") }
	s = start(t, "environ", options{unix: true, args: []string{"--trusted-proxy", "unix",
		"--mount", "/upload=" + file("upload"), "--mount", "/stream=" + file("slow_stream"),
	}})
	return s, behindNginx(t, s)
}

func TestNginxPassesRequestsUploadsAndStreams(t *testing.T) {
	_, front := startBehindNginx(t)

	env := getJSON[map[string]any](t, front, "/a/b?c=d", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "Forwarded: for=1.2.3.4")
	for name, want := range map[string]any{
		"PATH_INFO": "/a/b", "QUERY_STRING": "c=d", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "example.org", "HTTP_X_FORWARDED_PROTO": "http",
		"HTTP_X_FORWARDED_HOST": "example.org", "HTTP_X_FORWARDED_FOR": "unix:", "HTTP_CONNECTION": nil, "HTTP_FORWARDED": nil,
	} {
		if env[name] != want {
			t.Errorf("%s is %v, expected %v", name, env[name], want)
		}
	}

	body := strings.Repeat("0123456789abcdef", 200_000) // above nginx's own limit of 1 MiB
	c := front.dial(t)
	for range 2 {
		if got := c.do("POST", "/upload", body).body(); got != uploadReply(body) {
			t.Errorf("an upload gives %q", got)
		}
	}
	c.send("POST /upload HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
	if got := c.head("POST").body(); got != uploadReply("hello world") {
		t.Errorf("a chunked upload gives %q", got)
	}

	path, open := gate(t)
	r := c.do("GET", "/stream", "", "X-Gate: "+path)
	if got := r.atLeast(3); got != "one" {
		t.Errorf("%q came of a stream that goes on", got)
	}
	open()
	if got := r.body(); got != "two" {
		t.Errorf("%q came at its end", got)
	}

	if _, got := front.get(t, "/static/a.txt"); got != "of nginx" {
		t.Errorf("a static file is %q", got)
	}
}

func TestAReloadBehindNginxFailsNoRequest(t *testing.T) {
	s, front := startBehindNginx(t)
	path, open := gate(t)
	open()
	upload := strings.Repeat("x", 100_000)
	var d net.Dialer
	transport := &http.Transport{
		MaxIdleConnsPerHost: 8,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", front.addr)
		},
	}
	defer transport.CloseIdleConnections()
	clients := &http.Client{Timeout: 60 * time.Second, Transport: transport}
	ask := func(method, target, body, want string) error {
		req, err := http.NewRequest(method, "http://example.org"+target, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("X-Gate", path)
		resp, err := clients.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && (resp.StatusCode != 200 || !strings.Contains(string(b), want)) {
			err = fmt.Errorf("%s %s: %s %.200q", method, target, resp.Status, b)
		}
		return err
	}
	var stop atomic.Bool
	var served atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		for _, r := range [][4]string{
			{"GET", "/a", "", `"PATH_INFO": "/a"`}, {"POST", "/upload", upload, uploadReply(upload)}, {"GET", "/stream", "", "onetwo"},
		} {
			all.Go(func() {
				for !stop.Load() {
					if err := ask(r[0], r[1], r[2], r[3]); err != nil {
						t.Error(err)
						return
					}
					served.Add(1)
				}
			})
		}
	}
	for n := 1; n <= 5; n++ {
		before := served.Load()
		s.signal(t, syscall.SIGHUP)
		eventually(t, "the reload is over and requests were served since", func() bool {
			return s.countLog("msg=reloaded") == n && served.Load() > before+20 || t.Failed()
		})
	}
	stop.Store(true)
	all.Wait()
}
