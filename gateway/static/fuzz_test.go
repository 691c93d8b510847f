package static

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzPath asks for any path, with any ranges and codings: nothing but the folder's public files is ever sent.
func FuzzPath(f *testing.F) {
	top := f.TempDir()
	for name, content := range map[string]string{
		"public/ok.txt": "public", "public/a/index.html": "public", "public/a/b.js": "public", "public/a/b.js.gz": "public", "public/.env": "secret",
		"public/a/.git/x": "secret", "secret.txt": "secret", "public2/x": "secret",
	} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink("../secret.txt", filepath.Join(top, "public/out")); err != nil {
		f.Fatal(err)
	}
	h, err := New(Options{Prefix: "/s", Dir: filepath.Join(top, "public")})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"/s/ok.txt", "/s/a/", "/s/a", "/s", "/s/a/b.js", "/s/../secret.txt", "/s/%2e%2e/secret.txt", "/s/..%2fsecret.txt", "/s/.env", "/s/a/.git/x", "/s/out",
		"/s//ok.txt", "/s/ok.txt%00", `/s/..\secret.txt`, "/s/%252e%252e/secret.txt",
	} {
		f.Add(seed, "bytes=0-1,3-", "gzip;q=0.5, *")
	}
	f.Fuzz(func(t *testing.T, path, ranges, codings string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		if name, ok := nameOf(sentPath(u), "/s"); ok && name != "" && (!filepath.IsLocal(name) || filepath.Clean(name) != strings.TrimSuffix(name, "/")) {
			t.Fatalf("%q names %q", path, name)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, &http.Request{Method: "GET", URL: u, Header: http.Header{"Range": {ranges}, "Accept-Encoding": {codings}}})
		r := w.Result()
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "secret") {
			t.Fatalf("%q: %q", path, body)
		}
		switch r.StatusCode {
		case 200, 206, 404, 416:
		case 301:
			if to, err := u.Parse(r.Header.Get("Location")); err != nil || to.Host != u.Host || to.Path != u.Path+"/" {
				t.Fatalf("%q leads to %v, %v", path, to, err)
			}
		default:
			t.Fatalf("%q: %d", path, r.StatusCode)
		}
	})
}
