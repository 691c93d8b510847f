package static

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tree makes a folder with files: a name that ends with a slash is a folder's.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil && strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else if err == nil {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func handlerOf(t *testing.T, o Options) http.Handler {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask gives the response to a request; fields are names and values.
func ask(h http.Handler, method, target string, fields ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAFileIsSentWithItsHeader(t *testing.T) {
	dir := tree(t, map[string]string{"css/site.css": "body {}"})
	modified := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "css/site.css"), modified, modified); err != nil {
		t.Fatal(err)
	}
	h := handlerOf(t, Options{Prefix: "/static/", Dir: dir})
	for _, method := range []string{"GET", "HEAD"} {
		r := ask(h, method, "/static/css/site.css")
		want := map[string]string{
			"Content-Type": "text/css; charset=utf-8", "Content-Length": "7", "Last-Modified": "Mon, 06 May 2024 07:08:09 GMT",
			"Etag": fmt.Sprintf(`"%x-7"`, modified.UnixNano()), "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff",
			"Cache-Control": "public, max-age=60", "Vary": "", "Content-Encoding": "",
		}
		for name, value := range want {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s: %s is %q, not %q", method, name, got, value)
			}
		}
		if body := bodyOf(t, r); r.StatusCode != 200 || body != map[string]string{"GET": "body {}"}[method] {
			t.Errorf("%s: %d %q", method, r.StatusCode, body)
		}
	}
}

func TestAMissingFolderIsAnError(t *testing.T) {
	dir := tree(t, map[string]string{"file": ""})
	for _, name := range []string{"none", "file"} {
		if _, err := New(Options{Dir: filepath.Join(dir, name)}); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFolderMayBeReplaced(t *testing.T) {
	dir := tree(t, map[string]string{"static/a.txt": "old", "new/a.txt": "new"})
	h := handlerOf(t, Options{Dir: filepath.Join(dir, "static")})
	if got := bodyOf(t, ask(h, "GET", "/a.txt")); got != "old" {
		t.Fatalf("%q", got)
	}
	if err := os.RemoveAll(filepath.Join(dir, "static")); err != nil {
		t.Fatal(err)
	}
	if r := ask(h, "GET", "/a.txt"); r.StatusCode != 404 {
		t.Errorf("without its folder: %d", r.StatusCode)
	}
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "static")); err != nil {
		t.Fatal(err)
	}
	if got := bodyOf(t, ask(h, "GET", "/a.txt")); got != "new" {
		t.Errorf("%q", got)
	}
}

func TestOnlyGetAndHeadAreAnswered(t *testing.T) {
	h := handlerOf(t, Options{Dir: tree(t, map[string]string{"a.txt": "a"})})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "PROPFIND"} {
		r := ask(h, method, "/a.txt")
		if r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", method, r.StatusCode, r.Header)
		}
	}
}

func TestThereIsNoWayOutOfTheFolder(t *testing.T) {
	top := tree(t, map[string]string{
		"secret.txt": "secret", "public/ok.txt": "ok", "public/sub/ok.txt": "ok", "public/.env": "secret", "public/.git/config": "secret",
		"public/sub/.htpasswd": "secret", "public/a%2fb.txt": "ok", "public/Case.txt": "ok", "public2/secret.txt": "secret", "public/back\\slash": "secret",
		"public/...": "secret", "public/sub/{ok}": "secret", "public/.well-known/x": "secret", "public/..secret": "secret",
	})
	h := handlerOf(t, Options{Prefix: "/static", Dir: filepath.Join(top, "public")})
	for _, target := range []string{
		"/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/%2E./secret.txt", "/static/sub/../ok.txt", "/static/sub/../../secret.txt",
		"/static/./ok.txt", "/static/%2e/ok.txt", "/static/..%2fsecret.txt", "/static/..%2Fsecret.txt", "/static/sub%2fok.txt", "/static/sub%2Fok.txt", "/static/sub%2F{ok}",
		"/static%2fok.txt", "/static/..%5csecret.txt", `/static/..\secret.txt`, "/static/..%5Csecret.txt", "/static/back%5cslash", `/static/back\slash`,
		"/static/ok.txt%00", "/static/ok.txt%00.html", "/static/%00", "/static//ok.txt", "/static/sub//ok.txt", "/static//../secret.txt",
		"/static/" + top + "/secret.txt", "/static/%2f" + top + "/secret.txt", "/static/.env", "/static/%2eenv", "/static/.git/config",
		"/static/sub/.htpasswd", "/static/.git/", "/static/...", "/static/..secret", "/static/.well-known/x", "/static/OK.txt", "/static/case.txt",
		"/static/a%2fb.txt", "/static/%252e%252e/secret.txt", "/static/..%252fsecret.txt", "/static2/secret.txt", "/staticok.txt", "/public/ok.txt",
		"/static/ok.txt/", "/static/ok.txt/.", "/static/ok.txt/../ok.txt", "/static/sub/..", "/static/..", "/static/.", "/static/%c0%ae%c0%ae/secret.txt",
		"/static/..;/secret.txt", "/static/" + strings.Repeat("a", 300), "/static/" + strings.Repeat("a/", 3000), "/STATIC/ok.txt", "/", "/static/~root",
		"/static/~root/.bashrc", "/static/ok.txt::$DATA", "/static/nul", "/static/sub", "/static/sub/", "/static/", "/static",
	} {
		r := ask(h, "GET", target)
		if body := bodyOf(t, r); r.StatusCode != 404 || body != "Not Found\n" || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Location") != "" {
			t.Errorf("%q: %d %q %v", target, r.StatusCode, body, r.Header)
		}
	}
	for _, target := range []string{
		"/static/ok.txt", "/static/sub/ok.txt", "/static/%6fk.txt", "/st%61tic/ok.txt", "/static/a%252fb.txt", "/static/ok.txt?../x", "/static/Case.txt",
	} {
		if r := ask(h, "GET", target); r.StatusCode != 200 || bodyOf(t, r) != "ok" {
			t.Errorf("%q: %d", target, r.StatusCode)
		}
	}
}

func TestSymbolicLinksThatLeadOutAreFollowedOnlyOnRequest(t *testing.T) {
	top := tree(t, map[string]string{"secret/s.txt": "secret", "public/ok.txt": "ok", "public/sub/ok.txt": "ok"})
	for link, to := range map[string]string{
		"out.txt": "../secret/s.txt", "absolute.txt": filepath.Join(top, "secret/s.txt"), "folder": "../secret", "sub/up.txt": "../../secret/s.txt",
		"twice.txt": "out.txt", "round": "round", "dangling.txt": "none", "proc": "/proc/self", "inside.txt": "sub/ok.txt", "sub/inside.txt": "../ok.txt",
	} {
		if err := os.Symlink(to, filepath.Join(top, "public", link)); err != nil {
			t.Fatal(err)
		}
	}
	strict := handlerOf(t, Options{Dir: filepath.Join(top, "public")})
	follow := handlerOf(t, Options{Dir: filepath.Join(top, "public"), FollowSymlinks: true})
	for target, want := range map[string][2]int{
		"/out.txt": {404, 200}, "/absolute.txt": {404, 200}, "/folder/s.txt": {404, 200}, "/sub/up.txt": {404, 200}, "/twice.txt": {404, 200},
		"/round": {404, 404}, "/round/x": {404, 404}, "/dangling.txt": {404, 404}, "/proc/version": {404, 404},
		"/inside.txt": {200, 200}, "/sub/inside.txt": {200, 200}, "/folder/../ok.txt": {404, 404}, "/folder": {404, 404},
	} {
		for i, h := range []http.Handler{strict, follow} {
			if r := ask(h, "GET", target); r.StatusCode != want[i] {
				t.Errorf("%s, links followed %v: %d, not %d", target, i == 1, r.StatusCode, want[i])
			}
		}
	}
}

func TestWhatIsNoRegularFileIsNotServedAndNotWaitedFor(t *testing.T) {
	dir := tree(t, map[string]string{"folder/": "", "ok.txt": "ok"})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, device := range []string{"zero", "null", "tty"} {
		if err := os.Symlink("/dev/"+device, filepath.Join(dir, device)); err != nil {
			t.Fatal(err)
		}
	}
	for _, follow := range []bool{false, true} {
		h := handlerOf(t, Options{Dir: dir, FollowSymlinks: follow})
		for _, name := range []string{"fifo", "socket", "zero", "null", "tty", "folder", "folder/", ""} {
			done := make(chan int, 1)
			go func() { done <- ask(h, "GET", "/"+name).StatusCode }()
			select {
			case status := <-done:
				if status != 404 {
					t.Errorf("%s: %d", name, status)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s is waited for", name)
			}
		}
	}
}

func TestFilesThatTheProcessMayNotReadAreForbidden(t *testing.T) {
	for err, want := range map[error]int{
		os.ErrPermission: 403, os.ErrNotExist: 404, errFolder: 404, syscall.EMFILE: 503, syscall.ENFILE: 503, syscall.EIO: 500,
		refused(syscall.ELOOP): 404, refused(syscall.ENOTDIR): 404, refused(syscall.ENXIO): 404, refused(syscall.EACCES): 403, refused(syscall.EMFILE): 503,
	} {
		if got := statusOf(err); got != want {
			t.Errorf("%v: %d, not %d", err, got, want)
		}
	}
}

func TestAFolderIsItsIndexAndNeverAListing(t *testing.T) {
	h := handlerOf(t, Options{Prefix: "/s", Dir: tree(t, map[string]string{
		"index.html": "top", "a/index.html": "in a", "a/b c:d/index.html": "deep", "none/x.txt": "", "odd/index.html/x": "",
	})})
	for target, want := range map[string]string{"/s/": "top", "/s/index.html": "top", "/s/a/": "in a", "/s/a/b%20c:d/": "deep"} {
		r := ask(h, "GET", target)
		if r.StatusCode != 200 || bodyOf(t, r) != want || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", target, r.StatusCode, r.Header)
		}
	}
	for target, want := range map[string]string{
		"/s": "./s/", "/s?q=1": "./s/?q=1", "/s/a": "./a/", "/s/a?x=/y": "./a/?x=/y", "/s/a/b%20c:d": "./b%20c:d/", "/%73": "./s/",
	} {
		r := ask(h, "GET", target)
		if r.StatusCode != 301 || r.Header.Get("Location") != want || r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", target, r.StatusCode, r.Header)
		}
	}
	for _, target := range []string{"/s/none", "/s/none/", "/s/odd/", "/s/odd", "/s/a/index.html/", "//evil.example/s/a", "/s//evil.example"} {
		if r := ask(h, "GET", target); r.StatusCode != 404 {
			t.Errorf("%s: %d %v", target, r.StatusCode, r.Header)
		}
	}
}

func TestNoFileStaysOpen(t *testing.T) {
	dir := tree(t, map[string]string{"a.js": "a", "a.js.br": "b", "f/index.html": "x", "e/x": ""})
	for _, follow := range []bool{false, true} {
		h := handlerOf(t, Options{Dir: dir, FollowSymlinks: follow})
		round := func() {
			for _, target := range []string{"/a.js", "/f", "/f/", "/e", "/e/", "/none", "/none/x", "/a.js/x", "/../x"} {
				ask(h, "GET", target)
				ask(h, "GET", target, "Accept-Encoding", "br")
				ask(h, "GET", target, "Range", "bytes=9-")
				ask(h, "HEAD", target)
			}
		}
		round()
		before := descriptors(t)
		for range 20 {
			round()
		}
		if after := descriptors(t); after > before {
			t.Errorf("%d descriptors, %d before", after, before)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
