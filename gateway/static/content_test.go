package static

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const letters = "abcdefghijklmnopqrstuvwxyz"

func TestRangesAreAnswered(t *testing.T) {
	h := handlerOf(t, Options{Dir: tree(t, map[string]string{"a.txt": letters, "empty.txt": ""})})
	full := ask(h, "GET", "/a.txt")
	etag, modified := full.Header.Get("Etag"), full.Header.Get("Last-Modified")
	many := strings.TrimSuffix(strings.Repeat("0-0,", maxRanges+1), ",")
	for _, c := range []struct {
		method, file string
		fields       []string
		status       int
		body, where  string
	}{
		{"GET", "/a.txt", []string{"Range", "bytes=0-2"}, 206, "abc", "bytes 0-2/26"},
		{"GET", "/a.txt", []string{"Range", "bytes=23-"}, 206, "xyz", "bytes 23-25/26"},
		{"GET", "/a.txt", []string{"Range", "bytes=-2"}, 206, "yz", "bytes 24-25/26"},
		{"GET", "/a.txt", []string{"Range", "bytes=-99"}, 206, letters, "bytes 0-25/26"},
		{"GET", "/a.txt", []string{"Range", "bytes=24-99"}, 206, "yz", "bytes 24-25/26"},
		{"GET", "/a.txt", []string{"Range", "bytes=26-"}, 416, "", "bytes */26"},
		{"GET", "/a.txt", []string{"Range", "bytes=5-2"}, 416, "", ""},
		{"GET", "/empty.txt", []string{"Range", "bytes=0-"}, 200, "", ""},
		// RFC 9110 14.2: A server MAY ignore the Range header field; MUST ignore a range unit it does not understand.
		{"GET", "/a.txt", []string{"Range", "lines=0-2"}, 200, letters, ""},
		{"GET", "/a.txt", []string{"Range", "bytes=0-2", "Range", "bytes=3-4"}, 200, letters, ""},
		{"GET", "/a.txt", []string{"Range", "bytes=0-20,0-20"}, 200, letters, ""},
		{"GET", "/a.txt", []string{"Range", "bytes=" + many}, 200, letters, ""},
		// RFC 9110 14.2: A server MUST ignore a Range header field received with a request method for which range handling is not defined.
		{"HEAD", "/a.txt", []string{"Range", "bytes=0-2"}, 200, "", ""},
		// RFC 9110 13.1.5.
		{"GET", "/a.txt", []string{"Range", "bytes=0-2", "If-Range", etag}, 206, "abc", "bytes 0-2/26"},
		{"GET", "/a.txt", []string{"Range", "bytes=0-2", "If-Range", `"other"`}, 200, letters, ""},
		{"GET", "/a.txt", []string{"Range", "bytes=0-2", "If-Range", "W/" + etag}, 200, letters, ""},
		{"GET", "/a.txt", []string{"Range", "bytes=0-2", "If-Range", modified}, 206, "abc", "bytes 0-2/26"},
		{"GET", "/a.txt", []string{"Range", "bytes=0-2", "If-Range", "Mon, 06 May 2024 07:08:09 GMT"}, 200, letters, ""},
		// RFC 9110 13.2.2: If-None-Match goes before If-Modified-Since and before ranges.
		{"GET", "/a.txt", []string{"If-None-Match", etag}, 304, "", ""},
		{"HEAD", "/a.txt", []string{"If-None-Match", etag}, 304, "", ""},
		{"GET", "/a.txt", []string{"If-None-Match", `"x", W/` + etag}, 304, "", ""},
		{"GET", "/a.txt", []string{"If-None-Match", "*"}, 304, "", ""},
		{"GET", "/a.txt", []string{"If-None-Match", `"x"`, "If-Modified-Since", modified}, 200, letters, ""},
		{"GET", "/a.txt", []string{"If-Modified-Since", modified}, 304, "", ""},
		{"GET", "/a.txt", []string{"If-Modified-Since", "Mon, 06 May 2024 07:08:09 GMT"}, 200, letters, ""},
		{"GET", "/a.txt", []string{"If-Match", `"x"`}, 412, "", ""},
		{"GET", "/a.txt", []string{"If-Match", etag, "Range", "bytes=1-1"}, 206, "b", "bytes 1-1/26"},
		{"GET", "/a.txt", []string{"If-Unmodified-Since", "Mon, 06 May 2024 07:08:09 GMT"}, 412, "", ""},
	} {
		r := ask(h, c.method, c.file, c.fields...)
		body := bodyOf(t, r)
		if r.StatusCode != c.status || r.Header.Get("Content-Range") != c.where || c.status < 400 && body != c.body {
			t.Errorf("%s %q: %d %q %q", c.method, c.fields, r.StatusCode, body, r.Header.Get("Content-Range"))
		}
		caching := "public, max-age=60"
		if c.status >= 400 {
			caching = "no-store"
		} else if c.status != 206 && r.Header.Get("Etag") == "" {
			t.Errorf("%q: no ETag", c.fields)
		}
		if got := r.Header.Get("Cache-Control"); got != caching {
			t.Errorf("%q: Cache-Control is %q", c.fields, got)
		}
	}
}

func TestSeveralRangesAreAMultipart(t *testing.T) {
	h := handlerOf(t, Options{Dir: tree(t, map[string]string{"a.txt": letters})})
	r := ask(h, "GET", "/a.txt", "Range", "bytes=0-1, 4-5,-1")
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.StatusCode != 206 || kind != "multipart/byteranges" {
		t.Fatalf("%d %q %v", r.StatusCode, kind, err)
	}
	body := bodyOf(t, r)
	if got := r.Header.Get("Content-Length"); got != fmt.Sprint(len(body)) {
		t.Errorf("Content-Length %s of %d bytes", got, len(body))
	}
	parts := multipart.NewReader(strings.NewReader(body), parameters["boundary"])
	for _, want := range [][2]string{{"ab", "bytes 0-1/26"}, {"ef", "bytes 4-5/26"}, {"z", "bytes 25-25/26"}} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(p)
		if string(b) != want[0] || p.Header.Get("Content-Range") != want[1] || p.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%q %v, not %v", b, p.Header, want)
		}
	}
}

func TestARangeFloodCostsNoMoreThanTheFile(t *testing.T) {
	dir := tree(t, map[string]string{"big.bin": strings.Repeat("x", 1<<20)})
	h := handlerOf(t, Options{Dir: dir})
	var ranges []string
	for i := range 4000 {
		ranges = append(ranges, fmt.Sprintf("%d-%d", 2*i, 2*i))
	}
	for _, flood := range []string{strings.Join(ranges, ","), strings.Repeat("0-,", 30) + "0-", strings.Repeat(",", 5000) + "0-0", strings.Repeat("-1,", 200) + "-1"} {
		r := ask(h, "GET", "/big.bin", "Range", "bytes="+flood)
		if n := len(bodyOf(t, r)); r.StatusCode != 200 || n != 1<<20 {
			t.Errorf("%.20s: %d, %d bytes", flood, r.StatusCode, n)
		}
	}
	if r := ask(h, "GET", "/big.bin", "Range", "bytes="+strings.Join(ranges[:maxRanges], ",")); r.StatusCode != 206 {
		t.Errorf("%d ranges: %d", maxRanges, r.StatusCode)
	}
}

// rawGet sends a request over a socket and gives the response with what the connection carried of its body.
func rawGet(t *testing.T, h http.Handler, change func(), fields string) (*http.Response, string, error) {
	t.Helper()
	begun := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&changing{w, change, begun}, r)
	}))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET /a.txt HTTP/1.1\r\nHost: x\r\n%s\r\n", fields)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	return r, string(b), err
}

// changing changes the file when the header has been promised.
type changing struct {
	http.ResponseWriter
	change func()
	begun  chan struct{}
}

func (w *changing) WriteHeader(code int) {
	w.ResponseWriter.WriteHeader(code)
	w.change()
}

func TestAFileThatChangesWhileItIsSentIsCutAndNeverPadded(t *testing.T) {
	for _, fields := range []string{"", "Accept-Encoding: br\r\n"} {
		dir := tree(t, map[string]string{"a.txt": letters, "a.txt.br": letters})
		h := handlerOf(t, Options{Dir: dir})
		each := func(f func(string) error) func() {
			return func() {
				for _, name := range []string{"a.txt", "a.txt.br"} {
					if err := f(filepath.Join(dir, name)); err != nil {
						t.Error(err)
					}
				}
			}
		}
		grow := each(func(path string) error { return os.WriteFile(path, []byte(letters+letters), 0o644) })
		shrink := each(func(path string) error { return os.Truncate(path, 10) })
		r, body, err := rawGet(t, h, grow, fields)
		if err != nil || r.ContentLength != 26 || body != letters {
			t.Errorf("grown: %q of %d bytes, %v", body, r.ContentLength, err)
		}
		each(func(path string) error { return os.WriteFile(path, []byte(letters), 0o644) })()
		r, body, err = rawGet(t, h, shrink, fields)
		if err != io.ErrUnexpectedEOF || r.ContentLength != 26 || body != letters[:10] {
			t.Errorf("shrunk: %q of %d bytes, %v", body, r.ContentLength, err)
		}
		each(func(path string) error { return os.WriteFile(path, []byte(letters), 0o644) })()
		r, body, err = rawGet(t, h, each(os.Remove), fields)
		if err != nil || body != letters {
			t.Errorf("removed: %q of %d bytes, %v", body, r.ContentLength, err)
		}
	}
}

func TestFilesThatSomebodyIsAtWorkOnAreAskedForEachTime(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.css", "a.0123456789ab.js", "a.html"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := New(Options{Dir: dir, Changing: true})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/"+name, nil))
		if got := w.Header().Get("Cache-Control"); w.Code != 200 || got != "no-cache" {
			t.Errorf("%s: %d %q", name, w.Code, got)
		}
	}
}
