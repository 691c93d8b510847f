package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is a client with cookies, on kept connections.
type browser struct {
	t    testing.TB
	base string
	http.Client
}

func newBrowser(t testing.TB, s *server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, "http://" + s.addr, http.Client{Jar: jar, Transport: transport, Timeout: 60 * time.Second}}
}

// page requests and returns the status and the body; redirects are followed.
func (b *browser) page(method, path, contentType string, body io.Reader) (int, string, *http.Response) {
	b.t.Helper()
	req, err := http.NewRequest(method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Referer", b.base+path)
	r, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r.StatusCode, string(data), r
}

func (b *browser) want(method, path, contentType, body string, status int, text string) string {
	b.t.Helper()
	code, got, _ := b.page(method, path, contentType, strings.NewReader(body))
	if code != status || !strings.Contains(got, text) {
		b.t.Errorf("%s %s: %d %.300q, expected %d with %q", method, path, code, got, status, text)
	}
	return got
}

func form(values map[string]string) string {
	v := url.Values{}
	for k, x := range values {
		v.Set(k, x)
	}
	return v.Encode()
}

func upload(fields map[string]string, name string, data []byte) (contentType, body string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for k, v := range fields {
		_ = w.WriteField(k, v)
	}
	f, _ := w.CreateFormFile("file", name)
	_, _ = f.Write(data)
	_ = w.Close()
	return w.FormDataContentType(), b.String()
}

const formType = "application/x-www-form-urlencoded"

func TestFlaskSessionsFormsUploadsAndStreams(t *testing.T) {
	t.Parallel()
	s := shared(t, "flask_min")
	b := newBrowser(t, s)
	b.want("GET", "/", "", "", 200, "Hello from Flask")
	for i := 1; i <= 3; i++ {
		b.want("GET", "/count", "", "", 200, fmt.Sprintf(`"n":%d`, i))
	}
	newBrowser(t, s).want("GET", "/count", "", "", 200, `"n":1`)
	var greeted struct {
		Name, URL string
		Q         []string
	}
	if err := json.Unmarshal([]byte(b.want("GET", "/greet/Zo%C3%AB?q=%E2%82%AC&q=b+c", "", "", 200, "")), &greeted); err != nil {
		t.Fatal(err)
	}
	if greeted.Name != "Zo\u00eb" || greeted.URL != "/greet/Zo%C3%AB" || strings.Join(greeted.Q, "|") != "\u20ac|b c" {
		t.Errorf("%+v", greeted)
	}
	b.want("POST", "/form", formType, form(map[string]string{"a": "\u20ac 1"}), 200, `"a":"\u20ac 1"`)
	b.want("POST", "/json", "application/json", `{"k":[1,2]}`, 200, `"got":{"k":[1,2]}`)
	data := bytes.Repeat([]byte{0, 1, 2, 0xff}, 400000)
	contentType, body := upload(map[string]string{"note": "a note"}, "caf\u00e9.bin", data)
	got := b.want("POST", "/upload", contentType, body, 200, fmt.Sprintf(`"sha256":"%x"`, sha256.Sum256(data)))
	for _, part := range []string{`"size":1600000`, `"note":"a note"`} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in %s", part, got)
		}
	}
	b.want("GET", "/stream?word=w", "", "", 200, "0 w\n1 w\n2 w\n3 w\n4 w\n")
	b.want("GET", "/old", "", "", 200, "Hello from Flask")
	b.want("GET", "/teapot", "", "", 418, "eapot")
	b.want("GET", "/missing", "", "", 404, "")
	b.want("POST", "/", "", "", 405, "")
	b.want("GET", "/boom", "", "", 500, "Internal Server Error")
	s.waitLog(t, "ValueError: a bug in the view")
	if _, _, r := b.page("GET", "/cookies", "", nil); len(r.Header.Values("Set-Cookie")) != 2 {
		t.Errorf("%q", r.Header)
	}
	if code, body, _ := b.page("HEAD", "/", "", nil); code != 200 || body != "" {
		t.Errorf("HEAD: %d %q", code, body)
	}
}

var csrfField = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)

func csrf(t testing.TB, page string) string {
	t.Helper()
	m := csrfField.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no CSRF token in %.300q", page)
	}
	return m[1]
}

// djangoServer starts the project on a database of its own: SQLite knows one writer at a time, and tests in parallel would be in each
// other's way.
func djangoServer(t testing.TB) *server {
	t.Helper()
	return start(t, "django_min", options{env: []string{"E2E_MIGRATE=1", "E2E_DATABASE=" + filepath.Join(tmp, token()+".sqlite3")}})
}

func TestDjangoSessionsCSRFUploadsStreamsAndFiles(t *testing.T) {
	t.Parallel()
	s := djangoServer(t)
	b := newBrowser(t, s)
	b.want("GET", "/", "", "", 200, "Hello from Django")
	for i := 1; i <= 3; i++ {
		b.want("GET", "/count", "", "", 200, fmt.Sprintf(`"n": %d`, i))
	}
	data := bytes.Repeat([]byte("django"), 600000) // 3.6 MB: over FILE_UPLOAD_MAX_MEMORY_SIZE, so it goes to a temporary file
	contentType, body := upload(map[string]string{"title": "no token"}, "a.bin", data)
	b.want("POST", "/form", contentType, body, 403, "CSRF")
	page := b.want("GET", "/form", "", "", 200, "<form")
	contentType, body = upload(map[string]string{"title": "caf\u00e9", "csrfmiddlewaretoken": csrf(t, page)}, "a.bin", data)
	b.want("POST", "/form", contentType, body, 200, fmt.Sprintf(`"title": "caf\u00e9", "size": 3600000, "sha256": "%x"`, sha256.Sum256(data)))
	b.want("POST", "/form", formType, form(map[string]string{"csrfmiddlewaretoken": csrf(t, page)}), 200, "This field is required")
	b.want("GET", "/stream", "", "", 200, "line 0\nline 1\nline 2\nline 3\nline 4\n")
	b.want("GET", "/file", "", "", 200, "def file(request)")
	b.want("GET", "/boom", "", "", 500, "")
	s.waitLog(t, "ValueError: a bug in the view")
	b.want("GET", "/meta/%C3%A9?x=1", "", "", 200, `/meta/%C3%A9?x=1`)
	b.want("GET", "/missing", "", "", 404, "")
}

func TestDjangoAdminLogsInListsAndChanges(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, djangoServer(t))
	page := b.want("GET", "/admin/", "", "", 200, "Log in")
	b.want("POST", "/admin/login/?next=/admin/", formType, form(map[string]string{"csrfmiddlewaretoken": csrf(t, page), "username": "admin", "password": "wrong"}), 200, "Please enter the correct")
	page = b.want("GET", "/admin/login/?next=/admin/", "", "", 200, "Log in")
	b.want("POST", "/admin/login/?next=/admin/", formType, form(map[string]string{"csrfmiddlewaretoken": csrf(t, page), "username": "admin", "password": "correct horse"}), 200, "Site administration")
	b.want("GET", "/admin/auth/user/", "", "", 200, "admin@example.com")
	page = b.want("GET", "/admin/auth/group/add/", "", "", 200, "Add group")
	b.want("POST", "/admin/auth/group/add/", formType, form(map[string]string{"csrfmiddlewaretoken": csrf(t, page), "name": "gr\u00fcn"}), 200, "gr\u00fcn")
	b.want("GET", "/users", "", "", 200, `["admin"]`)
}

func TestDjangoServesManyBrowsersAtOnce(t *testing.T) {
	t.Parallel()
	s := djangoServer(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			b := newBrowser(t, s)
			for i := 1; i <= 15; i++ {
				b.want("GET", "/count", "", "", 200, fmt.Sprintf(`"n": %d}`, i))
			}
		})
	}
	wg.Wait()
}
