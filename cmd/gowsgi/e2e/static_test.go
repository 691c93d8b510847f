package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// publicFolder makes a folder "public" and, beside it, what must not be served.
func publicFolder(t testing.TB) string {
	t.Helper()
	top := t.TempDir()
	for name, content := range map[string]string{
		"secret.txt": "secret", "public2/secret.txt": "secret", "public/ok.txt": "ok", "public/sub/ok.txt": "ok", "public/.env": "secret",
		"public/.git/config": "secret", "public/site.0123456789ab.css": "body {}", "public/app.js": strings.Repeat("plain ", 20000),
		"public/app.js.gz": "in gzip", "public/app.js.br": "in br", "public/app.js.zst": "in zstd", "public/docs/index.html": "<p>docs</p>",
		"public/big.bin": strings.Repeat("0123456789abcdef", 1<<16),
	} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	public := filepath.Join(top, "public")
	if err := os.Symlink("../secret.txt", filepath.Join(public, "out.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../..", filepath.Join(public, "sub/up")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(public, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	return public
}

func TestStaticFilesAreServedBesideTheApp(t *testing.T) {
	t.Parallel()
	public := publicFolder(t)
	s := start(t, "hello", options{args: []string{"--static", "/static=" + public, "--static", "/docs/v1/=" + filepath.Join(public, "docs")}})
	s.waitLog(t, "serving static files at /static/ from "+public)
	c := s.dial(t) // one connection for all
	r := c.do("GET", "/static/site.0123456789ab.css", "")
	for name, want := range map[string]string{
		"Content-Type": "text/css; charset=utf-8", "Content-Length": "7", "Cache-Control": "public, max-age=31536000, immutable", "Accept-Ranges": "bytes",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := r.value(name); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	etag := r.value("ETag")
	if body := r.body(); r.status != 200 || body != "body {}" {
		t.Errorf("%d %q", r.status, body)
	}
	if r := c.do("GET", "/static/site.0123456789ab.css", "", "If-None-Match: "+etag); r.status != 304 || r.value("ETag") != etag {
		t.Errorf("%d %q", r.status, r.header)
	}
	if r := c.do("HEAD", "/static/big.bin", "", "Range: bytes=0-1"); r.status != 200 || r.value("Content-Length") != fmt.Sprint(1<<20) {
		t.Errorf("HEAD: %d %q", r.status, r.header)
	}
	if body := c.do("GET", "/static/big.bin", "").body(); body != strings.Repeat("0123456789abcdef", 1<<16) {
		t.Errorf("%d bytes of the big file", len(body))
	}
	for coding, want := range map[string]string{"br": "in br", "zstd": "in zstd", "gzip;q=0.5": "in gzip", "identity": strings.Repeat("plain ", 20000)} {
		r := c.do("GET", "/static/app.js", "", "Accept-Encoding: "+coding)
		if body := r.body(); body != want || r.value("Vary") != "Accept-Encoding" || r.value("Content-Type") != "text/javascript; charset=utf-8" || r.framing != "length" {
			t.Errorf("%s: %.20q %q", coding, body, r.header)
		}
	}
	if r := c.do("GET", "/docs/v1", ""); r.status != 301 || r.value("Location") != "./v1/" {
		t.Errorf("%d %q", r.status, r.header)
	} else {
		r.body()
	}
	if r := c.do("GET", "/docs/v1/", ""); r.status != 200 || r.body() != "<p>docs</p>" {
		t.Errorf("%d", r.status)
	}
	if r := c.do("POST", "/static/ok.txt", "a body"); r.status != 405 || r.value("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %q", r.status, r.header)
	} else {
		r.body()
	}
	if r := c.do("GET", "/static/none.txt", ""); r.status != 404 || r.value("Cache-Control") != "no-store" { // it is not asked of the app
		t.Errorf("%d %q", r.status, r.header)
	} else {
		r.body()
	}
	if r := c.do("GET", "/statics", ""); r.status != 200 { // the app
		t.Errorf("%d", r.status)
	}
}

func TestRangesOfStaticFiles(t *testing.T) {
	t.Parallel()
	s := start(t, "hello", options{args: []string{"--static", "/static=" + publicFolder(t)}})
	c := s.dial(t)
	r := c.do("GET", "/static/big.bin", "", "Range: bytes=16-19")
	if body := r.body(); r.status != 206 || body != "0123" || r.value("Content-Range") != "bytes 16-19/1048576" || r.value("Content-Length") != "4" {
		t.Errorf("%d %q %q", r.status, body, r.header)
	}
	if r := c.do("GET", "/static/big.bin", "", "Range: bytes=-524288"); r.status != 206 || len(r.body()) != 1<<19 {
		t.Errorf("the second half: %d", r.status)
	}
	r = c.do("GET", "/static/big.bin", "", "Range: bytes=0-1,32-33")
	_, parameters, err := mime.ParseMediaType(r.value("Content-Type"))
	if err != nil || r.status != 206 || r.framing != "length" {
		t.Fatalf("%d %q %v", r.status, r.header, err)
	}
	parts := multipart.NewReader(strings.NewReader(r.body()), parameters["boundary"])
	for range 2 {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(p); string(b) != "01" {
			t.Errorf("%q", b)
		}
	}
	r = c.do("GET", "/static/big.bin", "", "Range: bytes=1048576-")
	if r.body(); r.status != 416 || r.value("Content-Range") != "bytes */1048576" || r.value("Cache-Control") != "no-store" {
		t.Errorf("%d %q", r.status, r.header)
	}
	var flood []string
	for i := range 3000 {
		flood = append(flood, fmt.Sprintf("%d-%d", 3*i, 3*i))
	}
	if r := c.do("GET", "/static/big.bin", "", "Range: bytes="+strings.Join(flood, ",")); r.status != 200 || len(r.body()) != 1<<20 {
		t.Errorf("a flood of ranges: %d", r.status)
	}
}

func TestAStaticFileThatShrinksWhileItIsSentIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "big.bin")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20 // more than the sockets hold
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	s := start(t, "hello", options{args: []string{"--static", "/static=" + dir}})
	r := s.dial(t).do("GET", "/static/big.bin", "")
	if r.value("Content-Length") != fmt.Sprint(size) {
		t.Fatalf("%q", r.header)
	}
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		b, err := r.next()
		n += len(b)
		if err == io.EOF {
			t.Errorf("%d bytes are taken for the whole", n)
		}
		if err != nil {
			break
		}
	}
	s.getOK(t, "/")
}

func TestClientsThatLeaveAStaticFileLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	public := publicFolder(t)
	if err := os.Truncate(filepath.Join(public, "big.bin"), 64<<20); err != nil {
		t.Fatal(err)
	}
	s := start(t, "hello", options{args: []string{"--static", "/static=" + public}})
	open := func() (n int) {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.pid))
		for _, l := range links {
			if to, _ := os.Readlink(l); strings.HasPrefix(to, public) {
				n++
			}
		}
		return n
	}
	for _, fields := range []string{"X: y", "Range: bytes=0-30000000,30000001-60000000"} {
		var clients []*client
		for range 20 {
			c := s.dial(t)
			c.do("GET", "/static/big.bin", "", fields)
			clients = append(clients, c)
		}
		if n := open(); n < len(clients) {
			t.Errorf("%d files are open for %d clients", n, len(clients))
		}
		for _, c := range clients {
			c.Close()
		}
		eventually(t, "the files of clients that left are closed", func() bool { return open() == 0 })
	}
	s.getOK(t, "/static/ok.txt")
}

func TestNothingOutsideTheStaticFolderIsServed(t *testing.T) {
	t.Parallel()
	public := publicFolder(t)
	s := start(t, "hello", options{args: []string{"--static", "/static=" + public}})
	top := filepath.Dir(public)
	for _, target := range []string{
		"/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/.%2E/secret.txt", "/static/..%2fsecret.txt", "/static/..%2Fsecret.txt",
		"/static/..%5csecret.txt", `/static/..\secret.txt`, "/static/sub/../../secret.txt", "/static/sub%2fok.txt", "/static/sub/../ok.txt",
		"/static/ok.txt%00", "/static/%00ok.txt", "/static/ok.txt%00.html", "/static//ok.txt", "/static/" + top + "/secret.txt", "/static/%2f" + top + "/secret.txt",
		"/static/.env", "/static/%2eenv", "/static/.git/config", "/static/out.txt", "/static/sub/up/secret.txt", "/static/sub/up/public/ok.txt", "/static/OK.TXT",
		"/static/fifo", "/static/sub", "/static/sub/", "/static/", "/static", "/static/%252e%252e/secret.txt", "/static/..%252fsecret.txt",
		"/static/%c0%ae%c0%ae/secret.txt", "/static/..%c0%afsecret.txt", "/static/..;/secret.txt", "/static/ok.txt/", "/static/ok.txt/../../secret.txt",
		"/st%61tic/../secret.txt", "http://example.org/static/../secret.txt", "/static/./ok.txt", "/static/" + strings.Repeat("../", 50) + "etc/passwd",
		"/static/" + strings.Repeat("%2e%2e/", 50) + "etc/passwd", "/static/" + strings.Repeat("a", 5000),
	} {
		r, body := s.get(t, target)
		if (r.status != 404 && r.status != 400) || strings.Contains(body, "secret") || r.value("Cache-Control") != "no-store" {
			t.Errorf("%.60q: %d %.40q %q", target, r.status, body, r.header)
		}
	}
	for _, target := range []string{"/static/ok.txt", "/st%61tic/ok.txt", "/static/%6fk.txt", "http://example.org/static/ok.txt?x=../"} {
		if got := s.getOK(t, target); got != "ok" {
			t.Errorf("%s: %q", target, got)
		}
	}
	linked := start(t, "hello", options{args: []string{"--static", "/static=" + public, "--static-follow-symlinks"}})
	if got := linked.getOK(t, "/static/out.txt"); got != "secret" {
		t.Errorf("links followed: %q", got)
	}
	if r, _ := linked.get(t, "/static/../secret.txt"); r.status != 404 {
		t.Errorf("links followed: %d", r.status)
	}
}

func TestStaticFoldersThatCannotBeServedEndTheCommandWithTheReason(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for flags, want := range map[string]string{
		"--static=/static=" + dir + "/none":                    "none: no such file or directory",
		"--static=/static=" + dir + "/file":                    "is not a folder",
		"--static=static=" + dir:                               "is not PREFIX=FOLDER",
		"--static=" + dir:                                      "is not PREFIX=FOLDER",
		"--static=/=" + dir:                                    "an app is at / too",
		"--static=/a=" + dir + " --static=/a/=" + dir:          "another folder is at /a/ too",
		"--static=/a=" + dir + " --mount=/a=hello:application": "an app is at /a/ too",
	} {
		args := append([]string{"serve", "--bind", "127.0.0.1:0", "--chdir", appDir("hello"), "wsgi"}, strings.Fields(flags)...)
		out, code := runToEnd(t, command(append(args, python.args...)...))
		if code != 2 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d\n%s", flags, code, out)
		}
	}
}

// collectStatic runs Django's collectstatic for the project.
func collectStatic(t testing.TB, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(filepath.Join(python.venv, "bin/python"), "-B", "-m", "django", "collectstatic", "--noinput", "-v", "0", "--settings", "settings", "--pythonpath", ".")
	c.Dir = appDir("django_min")
	c.Env = append(command().Env, "E2E_STATIC_ROOT="+to)
	if out, code := runToEnd(t, c); code != 0 {
		t.Fatalf("collectstatic: %s", out)
	}
}

func TestDjangosStaticRootIsFoundAndServed(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "collected")
	collectStatic(t, folder)
	stylesheet := regexp.MustCompile(`href="(/[a-z/]*static/admin/css/base\.[0-9a-f]{12}\.css)"`)
	for name, c := range map[string]struct {
		args   []string
		spec   string
		prefix string
	}{
		"alone":     {prefix: "/static"},
		"preloaded": {args: []string{"--preload", "--workers", "2"}, prefix: "/static"},
		"mounted":   {args: []string{"--mount", "/shop/=wsgi"}, spec: "static_blank:app", prefix: "/shop/static"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "django_min", options{spec: c.spec, args: append(c.args, "--static-from-app"), env: []string{"E2E_STATIC_ROOT=" + folder, "E2E_MIGRATE=1"}})
			s.waitLog(t, "serving static files at "+c.prefix+"/ from "+folder)
			page := s.getOK(t, strings.TrimSuffix(c.prefix, "static")+"admin/login/")
			found := stylesheet.FindStringSubmatch(page)
			if found == nil || !strings.HasPrefix(found[1], c.prefix+"/") {
				t.Fatalf("no style sheet under %s in the page:\n%s", c.prefix, page)
			}
			r, body := s.get(t, found[1])
			want, err := os.ReadFile(filepath.Join(folder, strings.TrimPrefix(found[1], c.prefix)))
			if err != nil || r.status != 200 || !bytes.Equal([]byte(body), want) || r.value("Cache-Control") != "public, max-age=31536000, immutable" {
				t.Errorf("%d, %d bytes, %q, %v", r.status, len(body), r.header, err)
			}
			if n := s.countLog("serving static files"); n != 1 {
				t.Errorf("it is said %d times", n)
			}
		})
	}
}

func TestAStaticRootThatCannotBeServedIsOneWarning(t *testing.T) {
	t.Parallel()
	for root, want := range map[string]string{
		"": "Django's STATIC_ROOT is not set", "/nowhere/static": "Django's STATIC_ROOT /nowhere/static is not there",
		filepath.Dir(appDir("x")): "has the project itself in it", appDir("django_min"): "has the project itself in it",
	} {
		s := start(t, "django_min", options{args: []string{"--static-from-app", "--workers", "2"}, env: []string{"E2E_STATIC_ROOT=" + root}})
		s.waitServing(t, 2)
		s.getOK(t, "/")
		if n := s.countLog(want); n != 1 || s.countLog(`level=WARN msg="--static-from-app`) != 1 {
			t.Errorf("%q: %d times\n%s", want, n, s.tail(20))
		}
		if r, _ := s.get(t, "/static/settings.py"); r.status != 404 {
			t.Errorf("%q: the settings are served", root)
		}
	}
}

func TestFlasksStaticFoldersAreFoundAndServed(t *testing.T) {
	t.Parallel()
	s := start(t, "flask_static", options{spec: "wsgi:app", args: []string{"--static-from-app", "--mount", "/sub=wsgi:wrapped", "--mount", "/root=wsgi:at_root"}})
	for target, want := range map[string]string{
		"/static/css/site.css": "body { color: black }\n", "/news/files/blog.css": "h1 { color: red }\n",
		"/sub/static/css/site.css": "body { color: black }\n", "/sub/news/files/blog.css": "h1 { color: red }\n",
	} {
		r, body := s.get(t, target)
		if r.status != 200 || body != want || r.value("Server-Side") != "" || r.value("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %q %q", target, r.status, body, r.header)
		}
	}
	if got := s.getOK(t, "/sub/"); got != "/sub/static/css/site.css /sub/news/files/blog.css" {
		t.Errorf("the app's own URLs are %s", got)
	}
	s.waitLog(t, "at /root/, where an app is; they are left to it")
	if r, body := s.get(t, "/root/root.txt"); body != "at the root\n" || r.value("Server-Side") != "yes" {
		t.Errorf("%d %q %q", r.status, body, r.header)
	}
	// What is not there, and what leads out, does not come to the app.
	for _, target := range []string{"/static/none.css", "/static/../wsgi.py", "/static/..%2fwsgi.py", "/news/files/../__init__.py"} {
		if r, _ := s.get(t, target); r.status != 404 || r.value("Server-Side") != "" {
			t.Errorf("%s: %d %q", target, r.status, r.header)
		}
	}
}

func TestAnAppWithoutStaticFoldersIsOneWarning(t *testing.T) {
	t.Parallel()
	s := start(t, "hello", options{args: []string{"--static-from-app"}})
	s.waitLog(t, "no static folders were found in the apps")
}

func TestCheckNamesTheStaticFolders(t *testing.T) {
	t.Parallel()
	args := append([]string{"check", "--chdir", appDir("flask_static"), "--static-from-app", "--static", "/extra=assets", "wsgi:app"}, python.args...)
	out, code := runToEnd(t, command(args...))
	for _, want := range []string{
		"static      /extra/ from " + filepath.Join(appDir("flask_static"), "assets"),
		"static      /static/ from " + filepath.Join(appDir("flask_static"), "static"),
		"static      /news/files/ from " + filepath.Join(appDir("flask_static"), "blog/files"),
	} {
		if code != 0 || !strings.Contains(out, want+"\n") {
			t.Errorf("exit code %d, no %q in\n%s", code, want, out)
		}
	}
}
