package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var codings = map[string]func(r io.Reader) (io.Reader, error){
	"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"br":   func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) },
}

// getCoded is GET on a connection of its own, with the body decoded.
func (s *server) getCoded(t testing.TB, target, coding string) (r *response, size int, body string) {
	t.Helper()
	r, raw := s.get(t, target, "Accept-Encoding: "+coding)
	if got := r.value("Content-Encoding"); got != coding {
		t.Fatalf("GET %s: Content-Encoding %q, expected %q (%q)", target, got, coding, r.header)
	}
	decoder, err := codings[coding](strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(decoder)
	if err != nil {
		t.Fatal(err)
	}
	return r, len(raw), string(b)
}

// files is a folder with page.txt and the large large.txt.
func files(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(tmp, token())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"page.txt": "0123456789", "large.txt": strings.Repeat("0123456789abcdef", 1<<18)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFlaskPagesAreCompressedAsClientsAsk(t *testing.T) {
	t.Parallel()
	s := start(t, "flask_files", options{args: []string{"--compress"}, env: []string{"E2E_FILES=/nowhere"}})
	_, plain := s.get(t, "/items")
	for coding := range codings {
		r, size, body := s.getCoded(t, "/items", coding)
		if body != plain || size > len(plain)/3 || r.value("Vary") != "Accept-Encoding" || r.framing != "length" {
			t.Errorf("%s: %d bytes of %d, %q", coding, size, len(body), r.header)
		}
	}
	if r, _ := s.get(t, "/items"); r.value("Content-Encoding") != "" || r.value("Vary") != "Accept-Encoding" {
		t.Errorf("%q", r.header)
	}
	// Go's own client, which decodes gzip by itself.
	resp, err := http.Get("http://" + s.addr + "/items")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != plain || !resp.Uncompressed {
		t.Errorf("%v %d %v", err, len(b), resp.Uncompressed)
	}
}

func TestDjangoPagesAreCompressedAsClientsAsk(t *testing.T) {
	t.Parallel()
	dir := files(t)
	s := start(t, "django_min", options{
		args: []string{"--compress", "--accel-redirect", "/protected=" + dir},
		env:  []string{"E2E_MIGRATE=1", "E2E_DATABASE=" + filepath.Join(tmp, token()+".sqlite3")},
	})
	for coding := range codings {
		r, size, body := s.getCoded(t, "/admin/login/", coding)
		if !strings.Contains(body, "csrfmiddlewaretoken") || size >= len(body) || !strings.Contains(r.value("Vary"), "Cookie, Accept-Encoding") {
			t.Errorf("%s: %d bytes of %d, %q", coding, size, len(body), r.header)
		}
	}
	c := s.dial(t)
	for _, target := range []string{"/", "/count"} { // short
		r := c.do("GET", target, "", "Accept-Encoding: gzip")
		if body := r.body(); r.value("Content-Encoding") != "" || body == "" {
			t.Errorf("%s: %q", target, r.header)
		}
	}
	if r := c.do("HEAD", "/admin/login/", "", "Accept-Encoding: gzip"); r.value("Content-Encoding") != "gzip" || r.value("Content-Length") != "" {
		t.Errorf("HEAD: %q", r.header)
	}
	r := c.do("GET", "/download/page.txt", "")
	if body := r.body(); body != "0123456789" || r.value("X-Accel-Redirect") != "" || r.value("X-View") != "protected" || r.value("ETag") == "" {
		t.Errorf("%q %q", r.header, body)
	}
	if r, _ := s.get(t, "/protected/page.txt"); r.status != 404 {
		t.Errorf("the folder can be asked for: %d", r.status)
	}
	if r, body := s.get(t, "/download/missing"); r.status != 404 || strings.Contains(body, dir) {
		t.Errorf("%d %q", r.status, body)
	}
}

func TestFlaskSendsFilesWithUSE_X_SENDFILE(t *testing.T) {
	t.Parallel()
	dir := files(t)
	s := start(t, "flask_files", options{args: []string{"--sendfile-root", dir}, env: []string{"E2E_FILES=" + dir}})
	c := s.dial(t)
	r := c.do("GET", "/download/page.txt", "")
	etag := r.value("ETag")
	if body := r.body(); r.status != 200 || body != "0123456789" || r.value("X-Sendfile") != "" || r.value("Content-Length") != "10" || etag == "" ||
		r.value("Content-Disposition") != "attachment; filename=page.txt" {
		t.Errorf("%d %q %q", r.status, r.header, body)
	}
	r = c.do("GET", "/download/page.txt", "", "Range: bytes=3-5")
	if body := r.body(); r.status != 206 || body != "345" {
		t.Errorf("%d %q %q", r.status, r.header, body)
	}
	r = c.do("GET", "/download/page.txt", "", "If-None-Match: "+etag)
	if r.status != 304 {
		t.Errorf("%d %q", r.status, r.header)
	}
	r = c.do("HEAD", "/download/large.txt", "")
	if r.status != 200 || r.value("Content-Length") != "4194304" {
		t.Errorf("%d %q", r.status, r.header)
	}
	r = c.do("GET", "/download/large.txt", "")
	if body := r.body(); !bytes.Equal([]byte(body), bytes.Repeat([]byte("0123456789abcdef"), 1<<18)) {
		t.Errorf("%d bytes", len(body))
	}
	r = c.do("GET", "/any", "")
	if body := r.body(); r.status != 500 || strings.Contains(body, "root:") || strings.Contains(body, "/etc") {
		t.Errorf("%d %q", r.status, body)
	}
	s.waitLog(t, "can't be sent")
	r = c.do("GET", "/named", "")
	if body := r.body(); body != "0123456789" {
		t.Errorf("%.50q", body)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if body := s.getOK(t, "/closed"); strings.Contains(body, "named") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the app's iterable was not closed: %s", body)
		}
	}
}

func TestXSendfilePassesWhereNoFolderIsNamed(t *testing.T) {
	t.Parallel()
	dir := files(t)
	s := start(t, "flask_files", options{env: []string{"E2E_FILES=" + dir}})
	if r := s.dial(t).do("HEAD", "/download/page.txt", ""); r.value("X-Sendfile") != filepath.Join(dir, "page.txt") {
		t.Errorf("%q", r.header)
	}
}

func TestPEP3333CompressedBlocksAreNotDelayed(t *testing.T) {
	t.Parallel()
	s := start(t, "slow_stream", options{args: []string{"--compress"}})
	for coding, decoder := range codings {
		gate := filepath.Join(tmp, token())
		r := s.dial(t).do("GET", "/", "", "X-Gate: "+gate, "Accept-Encoding: "+coding)
		if r.value("Content-Encoding") != coding || r.framing != "chunked" {
			t.Fatalf("%q", r.header)
		}
		pr, pw := io.Pipe()
		go func() {
			for {
				p, err := r.next()
				if err != nil {
					_ = pw.CloseWithError(err)
					return
				}
				_, _ = pw.Write(p)
			}
		}()
		body, err := decoder(pr)
		if err != nil {
			t.Fatal(err)
		}
		block := make([]byte, 3)
		if _, err := io.ReadFull(body, block); err != nil || string(block) != "one" {
			t.Fatalf("%s: %v %q", coding, err, block)
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(body); err != nil || string(rest) != "two" {
			t.Errorf("%s: %v %q", coding, err, rest)
		}
	}
}
