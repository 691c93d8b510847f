package static

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sent is what a client gets where the app's response has these fields and names a file.
func sent(call func(http.ResponseWriter, *http.Request, string) error, name, method string, app http.Header, fields ...string) (*http.Response, error) {
	r := httptest.NewRequest(method, "/app", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	for k, v := range app {
		w.Header()[k] = v
	}
	err := call(w, r, name)
	if err != nil && (w.Body.Len() > 0 || len(w.Header()) != len(app)) {
		err = errors.Join(err, errors.New("something was written"))
	}
	return w.Result(), err
}

func senderOf(t *testing.T, o SenderOptions) *Sender {
	t.Helper()
	s, err := NewSender(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAFileThatTheAppNamesIsSentWithTheAppsFields(t *testing.T) {
	dir := tree(t, map[string]string{"media/report.csv": letters, "media/a?b c.txt": "odd", "media/.hidden": "hidden", "media/caf\xe9.txt": "latin-1", "media/report.csv.gz": "never"})
	s := senderOf(t, SenderOptions{Roots: []string{dir}, Redirects: []Redirect{{"/protected/", filepath.Join(dir, "media")}, {"/", dir}}})
	app := http.Header{
		"Content-Type": {"text/x-report"}, "Content-Length": {"0"}, "Content-Disposition": {`attachment; filename="r.csv"`}, "Cache-Control": {"private"},
		"Set-Cookie": {"a=1", "b=2"}, "Etag": {`"of-the-app"`}, "Content-Range": {"bytes 0-0/1"}, "Last-Modified": {"Mon, 06 May 2024 07:08:09 GMT"},
	}
	file := filepath.Join(dir, "media/report.csv")
	for name, call := range map[string]func(http.ResponseWriter, *http.Request, string) error{file: s.SendFile, "/protected/report.csv": s.Redirect} {
		r, err := sent(call, name, "GET", app.Clone(), "Accept-Encoding", "gzip")
		if err != nil || r.StatusCode != 200 || bodyOf(t, r) != letters || r.ContentLength != 26 {
			t.Errorf("%s: %d, %v", name, r.StatusCode, err)
		}
		for _, field := range []string{"Content-Type", "Content-Disposition", "Cache-Control", "Set-Cookie", "Etag", "Last-Modified"} {
			if got, want := strings.Join(r.Header[field], ";"), strings.Join(app[field], ";"); got != want {
				t.Errorf("%s: %s is %q, not %q", name, field, got, want)
			}
		}
		if r.Header.Get("Content-Range") != "" || r.Header.Get("X-Content-Type-Options") != "" {
			t.Errorf("%s: %v", name, r.Header)
		}
		for _, c := range []struct {
			method string
			fields []string
			status int
			body   string
		}{
			{"HEAD", nil, 200, ""},
			{"GET", []string{"Range", "bytes=2-3"}, 206, "cd"},
			{"GET", []string{"Range", "bytes=2-3", "If-Range", `"of-the-app"`}, 206, "cd"},
			{"GET", []string{"Range", "bytes=2-3", "If-Range", `"other"`}, 200, letters},
			{"GET", []string{"Range", "bytes=99-"}, 416, "invalid range: failed to overlap\n"},
			{"GET", []string{"If-None-Match", `"of-the-app"`}, 304, ""},
			{"GET", []string{"If-Modified-Since", "Mon, 06 May 2024 07:08:09 GMT"}, 304, ""},
			// The app has acted on these already: they have no conditions and no ranges of a file.
			{"POST", []string{"If-None-Match", `"of-the-app"`}, 200, letters},
			{"POST", []string{"Range", "bytes=2-3"}, 200, letters},
		} {
			r, err := sent(call, name, c.method, app.Clone(), c.fields...)
			if body := bodyOf(t, r); err != nil || r.StatusCode != c.status || body != c.body {
				t.Errorf("%s %s %q: %d %q, %v", c.method, name, c.fields, r.StatusCode, body, err)
			}
			if got := r.Header.Get("Content-Length"); c.method == "HEAD" && got != "26" {
				t.Errorf("HEAD %s: Content-Length %q", name, got)
			}
			if c.status == 416 && (r.Header.Get("Content-Disposition") != "" || r.Header.Get("Cache-Control") != "no-store" || len(r.Header["Set-Cookie"]) != 2) {
				t.Errorf("416: %v", r.Header)
			}
		}
	}
	// Without them the file has its own.
	r, err := sent(s.SendFile, file, "GET", nil)
	if err != nil || r.Header.Get("Content-Type") != "text/csv; charset=utf-8" || r.Header.Get("Etag") == "" || r.Header.Get("Last-Modified") == "" {
		t.Errorf("%v %v", r.Header, err)
	}
	for name, call := range map[string]func(http.ResponseWriter, *http.Request, string) error{
		"/protected/a%3Fb%20c.txt": s.Redirect, "/protected/caf%e9.txt": s.Redirect, "/media/a%3fb c.txt?x=y": s.Redirect, filepath.Join(dir, "media/a?b c.txt"): s.SendFile,
		filepath.Join(dir, "media/.hidden"): s.SendFile, dir + "//media/./x/../report.csv": s.SendFile,
	} {
		if r, err := sent(call, name, "GET", nil); err != nil || r.StatusCode != 200 {
			t.Errorf("%s: %d, %v", name, r.StatusCode, err)
		}
	}
}

func TestAnAppCanNameNoFileOutsideItsFolders(t *testing.T) {
	top := tree(t, map[string]string{"media/ok.txt": "ok", "media/folder/": "", "media2/secret.txt": "secret", "secret.txt": "secret"})
	media := filepath.Join(top, "media")
	for link, to := range map[string]string{"out": "../secret.txt", "absolute": filepath.Join(top, "secret.txt"), "up": ".."} {
		if err := os.Symlink(to, filepath.Join(media, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(media, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := senderOf(t, SenderOptions{Roots: []string{media}, Redirects: []Redirect{{"/p", media}}})
	for name, want := range map[string]error{
		"": ErrOutside, "ok.txt": ErrOutside, "media/ok.txt": ErrOutside, "/etc/passwd": ErrOutside, top + "/secret.txt": ErrOutside, media: ErrOutside,
		media + "/": ErrOutside, media + "/../secret.txt": ErrOutside, top + "/media2/secret.txt": ErrOutside, media + "/x/../../secret.txt": ErrOutside,
		media + "/none": fs.ErrNotExist, media + "/folder": fs.ErrNotExist, media + "/out": fs.ErrNotExist, media + "/absolute": fs.ErrNotExist,
		media + "/up/secret.txt": fs.ErrNotExist, media + "/fifo": fs.ErrNotExist, media + "/ok.txt\x00": fs.ErrNotExist, media + "/ok.txt/x": fs.ErrNotExist,
	} {
		if _, err := sent(s.SendFile, name, "GET", http.Header{"Etag": {"x"}}); !errors.Is(err, want) {
			t.Errorf("X-Sendfile %q: %v", name, err)
		}
	}
	for name, want := range map[string]error{
		"": ErrOutside, "/": ErrOutside, "/p": ErrOutside, "/p/": ErrOutside, "p/ok.txt": ErrOutside, "/pp/ok.txt": ErrOutside, "/p/../secret.txt": ErrOutside,
		"/p/%2e%2e/secret.txt": ErrOutside, "/p//ok.txt": ErrOutside, "/p/./ok.txt": ErrOutside, "/p/%zz": ErrOutside, "/p/..%2fsecret.txt": ErrOutside,
		media + "/ok.txt": ErrOutside, "/p/none": fs.ErrNotExist, "/p/folder": fs.ErrNotExist, "/p/out": fs.ErrNotExist, "/p/up/secret.txt": fs.ErrNotExist,
		"/p/fifo": fs.ErrNotExist, "/p/ok.txt%00": fs.ErrNotExist, "http://host/p/ok.txt": ErrOutside,
	} {
		if _, err := sent(s.Redirect, name, "GET", http.Header{"Etag": {"x"}}); !errors.Is(err, want) {
			t.Errorf("X-Accel-Redirect %q: %v", name, err)
		}
	}
	follow := senderOf(t, SenderOptions{Roots: []string{media}, FollowSymlinks: true})
	if r, err := sent(follow.SendFile, media+"/out", "GET", nil); err != nil || bodyOf(t, r) != "secret" {
		t.Errorf("links followed: %v", err)
	}
}

func TestAFolderThatIsALinkIsKnownByItsRealPathToo(t *testing.T) {
	top := tree(t, map[string]string{"releases/5/media/a.txt": "a"})
	current := filepath.Join(top, "current")
	if err := os.Symlink("releases/5", current); err != nil {
		t.Fatal(err)
	}
	s := senderOf(t, SenderOptions{Roots: []string{filepath.Join(current, "media")}})
	for _, name := range []string{current + "/media/a.txt", top + "/releases/5/media/a.txt"} {
		if r, err := sent(s.SendFile, name, "GET", nil); err != nil || bodyOf(t, r) != "a" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASenderNeedsItsFolders(t *testing.T) {
	dir := t.TempDir()
	for _, o := range []SenderOptions{
		{Roots: []string{dir + "/none"}}, {Redirects: []Redirect{{"/p", dir + "/none"}}}, {Redirects: []Redirect{{"/p", dir}, {"/p/", dir}}},
	} {
		if _, err := NewSender(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}
