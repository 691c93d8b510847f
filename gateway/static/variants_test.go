package static

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestACompressedFileIsSentToThoseWhoAcceptIt(t *testing.T) {
	h := handlerOf(t, Options{Dir: tree(t, map[string]string{
		"a.js": "plain", "a.js.br": "in br", "a.js.zst": "in zstd", "a.js.gz": "in gzip", "b.js": "plain", "b.js.gz": "in gzip", "c.js": "plain",
		"d.png": "plain", "d.png.gz": "in gzip", "x/index.html": "plain", "x/index.html.br": "in br", "e.js": "plain", "e.js.br/f": "",
	})})
	for _, c := range []struct{ file, accept, body, vary string }{
		{"/a.js", "", "plain", "Accept-Encoding"},
		{"/a.js", "gzip, deflate, br, zstd", "in br", "Accept-Encoding"},
		{"/a.js", "gzip, zstd", "in zstd", "Accept-Encoding"},
		{"/a.js", "gzip", "in gzip", "Accept-Encoding"},
		{"/a.js", "x-gzip", "in gzip", "Accept-Encoding"},
		{"/a.js", "GZip", "in gzip", "Accept-Encoding"},
		{"/a.js", "gzip;q=1, br;q=0.5", "in gzip", "Accept-Encoding"},
		{"/a.js", "gzip;q=0.001, br;q=0", "in gzip", "Accept-Encoding"},
		{"/a.js", "br;q=0, *", "in zstd", "Accept-Encoding"},
		{"/a.js", "*", "in br", "Accept-Encoding"},
		{"/a.js", "*;q=0", "plain", "Accept-Encoding"},
		{"/a.js", "identity;q=0", "plain", "Accept-Encoding"},
		{"/a.js", "identity, gzip;q=0.5", "plain", "Accept-Encoding"},
		{"/a.js", "identity;q=0.5, gzip", "in gzip", "Accept-Encoding"},
		{"/a.js", "gzip;q=2, br;q=x, zstd;level=1", "plain", "Accept-Encoding"},
		{"/a.js", "gzip ; Q=0.8 ,br\t;\tq=0.9", "in br", "Accept-Encoding"},
		{"/a.js", "brotli, gz, zst", "plain", "Accept-Encoding"},
		{"/b.js", "br, gzip", "in gzip", "Accept-Encoding"},
		{"/b.js", "br", "plain", "Accept-Encoding"},
		{"/c.js", "br, gzip", "plain", ""},
		{"/d.png", "br, gzip", "plain", ""},
		{"/e.js", "br, gzip", "plain", ""},
		{"/x/", "br", "in br", "Accept-Encoding"},
	} {
		r := ask(h, "GET", c.file, "Accept-Encoding", c.accept)
		coding := ""
		if len(c.body) > 3 && c.body[:3] == "in " {
			coding = c.body[3:]
		}
		if body := bodyOf(t, r); body != c.body || r.Header.Get("Vary") != c.vary || r.Header.Get("Content-Encoding") != coding {
			t.Errorf("%s, %q: %q %v", c.file, c.accept, body, r.Header)
		}
		if got := r.Header.Get("Content-Type"); got != typeOf(map[bool]string{true: "index.html", false: c.file}[c.file == "/x/"]) {
			t.Errorf("%s: %s", c.file, got)
		}
		if r.ContentLength != int64(len(c.body)) {
			t.Errorf("%s, %q: Content-Length %d", c.file, c.accept, r.ContentLength)
		}
	}
	if r := ask(h, "GET", "/a.js.gz", "Accept-Encoding", "gzip"); r.Header.Get("Content-Type") != "application/gzip" || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("asked for by its name: %v", r.Header)
	}
	if r := ask(h, "GET", "/a.js", "Accept-Encoding", "gzip", "Accept-Encoding", "br"); bodyOf(t, r) != "in br" {
		t.Error("a second Accept-Encoding does not count")
	}
}

func TestEachVariantHasItsOwnETagAndItsOwnRanges(t *testing.T) {
	dir := tree(t, map[string]string{"a.js": "0123456789", "a.js.br": "ABCDEFGHIJ", "a.js.gz": "abcdefghij"})
	now := time.Now()
	for _, name := range []string{"a.js", "a.js.br", "a.js.gz"} {
		if err := os.Chtimes(filepath.Join(dir, name), now, now); err != nil {
			t.Fatal(err)
		}
	}
	h := handlerOf(t, Options{Dir: dir})
	etags := map[string]string{}
	for _, coding := range []string{"identity", "br", "gzip"} {
		r := ask(h, "GET", "/a.js", "Accept-Encoding", coding)
		etag := r.Header.Get("Etag")
		if other, ok := etags[etag]; ok {
			t.Errorf("%s has the ETag of %s", coding, other)
		}
		etags[etag] = coding
		if r := ask(h, "GET", "/a.js", "Accept-Encoding", coding, "If-None-Match", etag); r.StatusCode != 304 || r.Header.Get("Vary") != "Accept-Encoding" || r.Header.Get("Etag") != etag {
			t.Errorf("%s: %d %v", coding, r.StatusCode, r.Header)
		}
		whole := bodyOf(t, ask(h, "GET", "/a.js", "Accept-Encoding", coding))
		r = ask(h, "GET", "/a.js", "Accept-Encoding", coding, "Range", "bytes=2-4", "If-Range", etag)
		if body := bodyOf(t, r); r.StatusCode != 206 || body != whole[2:5] || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %d %q", coding, r.StatusCode, body)
		}
		// The rest of one variant is never put behind the beginning of another.
		other := map[string]string{"identity": "br", "br": "gzip", "gzip": "identity"}[coding]
		if r := ask(h, "GET", "/a.js", "Accept-Encoding", other, "Range", "bytes=2-4", "If-Range", etag); r.StatusCode != http.StatusOK {
			t.Errorf("%s with the ETag of %s: %d", other, coding, r.StatusCode)
		}
	}
	if r := ask(h, "GET", "/a.js", "Accept-Encoding", "br", "Range", "bytes=99-"); r.StatusCode != 416 || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

func TestACompressedFileThatIsOlderThanTheOriginalIsIgnored(t *testing.T) {
	dir := tree(t, map[string]string{"a.js": "plain", "a.js.gz": "in gzip"})
	h := handlerOf(t, Options{Dir: dir})
	original := time.Unix(1700000000, 900_000_000)
	for name, c := range map[string]struct {
		at   time.Time
		body string
	}{
		"older":               {original.Add(-time.Second), "plain"},
		"the same":            {original, "in gzip"},
		"without nanoseconds": {original.Truncate(time.Second), "in gzip"},
		"newer":               {original.Add(time.Hour), "in gzip"},
	} {
		for file, at := range map[string]time.Time{"a.js": original, "a.js.gz": c.at} {
			if err := os.Chtimes(filepath.Join(dir, file), at, at); err != nil {
				t.Fatal(err)
			}
		}
		r := ask(h, "GET", "/a.js", "Accept-Encoding", "gzip")
		if body := bodyOf(t, r); body != c.body {
			t.Errorf("%s: %q", name, body)
		}
	}
}

func TestContentTypesComeFromTheNameAlone(t *testing.T) {
	h := handlerOf(t, Options{Dir: tree(t, map[string]string{"upload.qqq": "<html><script>", "upload": "<html><script>", "photo.jpg": "<html><script>"})})
	for target, want := range map[string]string{"/upload.qqq": "application/octet-stream", "/upload": "application/octet-stream", "/photo.jpg": "image/jpeg"} {
		r := ask(h, "GET", target)
		if got := r.Header.Get("Content-Type"); got != want || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", target, r.Header)
		}
	}
	for name, want := range map[string]string{
		"a.js": "text/javascript; charset=utf-8", "a.mjs": "text/javascript; charset=utf-8", "a.css": "text/css; charset=utf-8", "a.wasm": "application/wasm",
		"a.svg": "image/svg+xml", "a.webp": "image/webp", "a.avif": "image/avif", "a.woff2": "font/woff2", "a.json": "application/json",
		"a.js.map": "application/json", "site.webmanifest": "application/manifest+json", "A.PNG": "image/png", "a.tar.gz": "application/gzip",
		"a.txt": "text/plain; charset=utf-8", "a.html": "text/html; charset=utf-8", ".js/a": "application/octet-stream", "a.": "application/octet-stream",
	} {
		if got := typeOf(name); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
}

func TestNamesWithAHashAreImmutable(t *testing.T) {
	for _, name := range []string{
		"name.0123456789ab.css", "base.a1d2f3b4c5e6.min.js", "main.1a2b3c4d.js", "main.1a2b3c4d.chunk.js", "main.1a2b3c4d.js.map",
		"logo.d41d8cd98f00b204e980.svg", "logo-d41d8cd98f00b204e9800998ecf8427e.png", "name-BxT3x9aZ.js", "index-D3fG7hJk.css", "a-b-LKJ5XQ2Z.js",
		"vendor-1a2b3c4d.js", "hashed.0123456789ab.html",
	} {
		if got := cachingOf("x/" + name); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, name := range []string{
		"name.css", "jquery-3.7.1.min.js", "report.20240101.pdf", "backup.202401011200.sql", "photo-20240101.jpg", "photo-Berlin24.jpg", "my-iPhone12.png",
		"font-awesome4.css", "bootstrap-datetime.js", "my-BigImage.png", "module.deadbeef.js", "a.facade.js", "x-ABCDEFGH.js", "0123456789ab.css", "d41d8cd98f00b204e9800998ecf8427e.png",
		"name.0123456789ab", "name.ABCDEF012345.css", "a.1a2b3c4.js", "component-Foo-BarX.js", "chart-Foo_2Bar.png", "x-MacOSX10.zip", "plain-decade42.txt", "",
	} {
		if got := cachingOf("x/" + name); got != "public, max-age=60" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
