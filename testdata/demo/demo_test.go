// Package demo holds the test of the demo site: it walks through it as a visitor would.
package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// png is a picture of one pixel.
const png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc" +
	"\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"

// site is a visitor with cookies.
type site struct {
	t      *testing.T
	url    string
	client http.Client
}

func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// open prepares the demo in a folder of its own and serves it.
func open(t *testing.T) *site {
	python, _, _ := strings.Cut(os.Getenv("GOWSGI_TEST_PYTHONS"), ":")
	if python == "" {
		first, _, _ := strings.Cut(command(t, nil, "../../scripts/pythons.sh"), "\n")
		if _, python, _ = strings.Cut(first, " "); python == "" {
			t.Fatal("scripts/pythons.sh finds no CPython that can be loaded")
		}
	}
	venv := abs(t, "../../build/demo-test-venv")
	command(t, nil, "../../scripts/venv.sh", python, venv, "requirements.txt")
	python = filepath.Join(venv, "bin", "python")
	data := "DEMO_DATA=" + t.TempDir()
	for range 2 { // the second time changes nothing
		command(t, []string{data}, python, "-B", "prepare.py")
	}

	binary := os.Getenv("GOWSGI_TEST_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "gowsgi")
		command(t, nil, "go", "build", "-o", binary, "../../cmd/gowsgi")
	}
	cmd := exec.Command(binary, "serve", "--bind", "127.0.0.1:0", "--python", python, "--python-arg", "-B", "--stream-input", "--workers", "1",
		"--mount", "/flask=flaskapp:app", "demo.wsgi:application")
	// A variable GOWSGI_... that the server does not know is an error.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GOWSGI_") }), data)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, logged := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(logged)
		address := regexp.MustCompile(`msg="serving .* on (http://\S+)`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			t.Log(lines.Text())
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
	}()
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-logged
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
		kill.Stop()
	})
	jar, _ := cookiejar.New(nil)
	select {
	case address := <-ready:
		return &site{t: t, url: address, client: http.Client{Jar: jar}}
	case <-logged:
		t.Fatal("the server ended")
	case <-time.After(time.Minute):
		t.Fatal("the server is not ready after a minute")
	}
	return nil
}

// do sends a request and returns the body, after redirects, where the status is the wanted one.
func (s *site) do(want int, req *http.Request) string {
	s.t.Helper()
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		s.t.Fatalf("%s %s: %s, %v\n%.500s", req.Method, req.URL, resp.Status, err, body)
	}
	return string(body)
}

func (s *site) request(method, path, contentType string, body io.Reader) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	return req
}

// get fetches a page, which must hold each of the texts.
func (s *site) get(path string, texts ...string) string {
	s.t.Helper()
	body := s.do(200, s.request("GET", path, "", nil))
	for _, text := range texts {
		if !strings.Contains(body, text) {
			s.t.Errorf("%s: there is no %q in it:\n%.1000s", path, text, body)
		}
	}
	return body
}

// token is the form's CSRF token on a page.
func (s *site) token(path string) string {
	s.t.Helper()
	m := regexp.MustCompile(`csrfmiddlewaretoken" value="(\w+)"`).FindStringSubmatch(s.get(path))
	if m == nil {
		s.t.Fatalf("%s has no form", path)
	}
	return m[1]
}

// sign fills in the guest book.
func (s *site) sign(want int, message, filename, picture string) string {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range map[string]string{"csrfmiddlewaretoken": s.token("/guests/"), "name": "Ada <b>", "message": message} {
		_ = form.WriteField(name, value)
	}
	file, _ := form.CreateFormFile("picture", filename)
	_, _ = io.WriteString(file, picture)
	_ = form.Close()
	return s.do(want, s.request("POST", "/guests/", form.FormDataContentType(), &body))
}

func TestDemoSite(t *testing.T) {
	s := open(t)
	t.Run("the front page counts visits in the session and names the admin's user", func(t *testing.T) {
		s.t = t
		s.get("/", "your first visit", "<code>demo</code>", "/flask/stream")
		s.get("/", "been here 2 times")
	})
	t.Run("a picture in the guest book comes back, under a name of the site's own", func(t *testing.T) {
		s.t = t
		page := s.sign(200, "Hello", `../../e"vil<x>.png`, png)
		if !strings.Contains(page, "Thank you") || strings.Contains(page, "Ada <b>") || strings.Contains(page, "<x>") {
			t.Errorf("the guest book shows:\n%s", page)
		}
		m := regexp.MustCompile(`<img src="([^"]+)"`).FindStringSubmatch(page)
		if m == nil {
			t.Fatal("there is no picture")
		}
		if got := s.get(html.UnescapeString(m[1])); got != png {
			t.Errorf("the picture comes back as %q", got)
		}
	})
	t.Run("what is no picture is refused", func(t *testing.T) {
		s.t = t
		if page := s.sign(422, "Hello", "a.png", "<script>"); !strings.Contains(page, "not a PNG") {
			t.Errorf("the form says:\n%s", page)
		}
	})
	t.Run("a body over the limit is answered 413", func(t *testing.T) {
		s.t = t
		if page := s.sign(413, "Hello", "a.png", png+strings.Repeat("x", 7<<20)); !strings.Contains(page, "at most 6 MiB") {
			t.Errorf("it says:\n%s", page)
		}
	})
	t.Run("the moons can be ordered and filtered", func(t *testing.T) {
		s.t = t
		page := s.get("/moons/?order=radius&planet=Saturn", "Titan", "Phoebe")
		if strings.Contains(page, "<td>Europa</td>") || strings.Index(page, "<td>Titan</td>") > strings.Index(page, "<td>Rhea</td>") {
			t.Error("Saturn's moons by size are not that")
		}
	})
	t.Run("environ is shown, without the cookies' values", func(t *testing.T) {
		s.t = t
		page := s.get("/environ/?q=caf%C3%A9", "wsgi.input", "q=caf%C3%A9", "gowsgi_demo_session=...")
		address, _ := url.Parse(s.url)
		for _, c := range s.client.Jar.Cookies(address) {
			if strings.Contains(page, c.Value) {
				t.Errorf("the value of the cookie %s is shown", c.Name)
			}
		}
	})
	t.Run("the admin takes demo/demo and has its static files", func(t *testing.T) {
		s.t = t
		form := url.Values{"csrfmiddlewaretoken": {s.token("/admin/login/")}, "username": {"demo"}, "password": {"demo"}, "next": {"/admin/guestbook/moon/"}}
		page := s.do(200, s.request("POST", "/admin/login/", "application/x-www-form-urlencoded", strings.NewReader(form.Encode())))
		if !strings.Contains(page, "Select moon to change") {
			t.Errorf("after the login:\n%.1000s", page)
		}
		for _, m := range regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`).FindAllStringSubmatch(page, -1) {
			if s.get(m[1]) == "" {
				t.Errorf("%s is empty", m[1])
			}
		}
		s.get("/favicon.ico", "<svg")
		s.get("/admin/guestbook/entry/2/change/", `<img src="/guests/2/picture"`)
	})
	t.Run("a page that is not there is a 404 of the site's", func(t *testing.T) {
		s.t = t
		if page := s.do(404, s.request("GET", "/nope", "", nil)); !strings.Contains(page, "Nothing here") {
			t.Errorf("it says:\n%s", page)
		}
	})
	t.Run("Flask's pages know their prefix", func(t *testing.T) {
		s.t = t
		s.get("/flask/", `<code>/flask</code>`, `href="/flask/upload"`)
		s.get("/flask/info", "gowsgi-", "MainThread")
	})
	t.Run("Flask's lines arrive one by one", testLines(s))
	t.Run("the app counts an upload while the rest is still on its way", testUpload(s))
}

func testLines(s *site) func(*testing.T) {
	return func(t *testing.T) {
		s.t = t
		req := s.request("GET", "/flask/stream/lines", "", nil)
		req.Header.Set("Accept", "text/event-stream")
		began := time.Now()
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		first, count := time.Duration(0), 0
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data: ") {
				if count++; count == 1 {
					first = time.Since(began)
				}
			}
		}
		if all := time.Since(began); count != 21 || first > all/2 {
			t.Errorf("%d lines, the first after %v, the last after %v", count, first, all)
		}
	}
}

func testUpload(s *site) func(*testing.T) {
	return func(t *testing.T) {
		s.t = t
		const half = 1 << 20
		count := func() (c struct{ Bytes int }) {
			if err := json.Unmarshal([]byte(s.get("/flask/upload/0123456789")), &c); err != nil {
				t.Error(err)
			}
			return c
		}
		reader, writer := io.Pipe()
		go func() {
			_, _ = writer.Write(make([]byte, half))
			for end := time.Now().Add(20 * time.Second); count().Bytes < half && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
			if n := count().Bytes; n != half {
				t.Errorf("with half of the body sent the app has counted %d bytes of %d", n, half)
			}
			_, _ = writer.Write(make([]byte, half))
			_ = writer.Close()
		}()
		answer := s.do(200, s.request("POST", "/flask/upload/0123456789", "application/octet-stream", reader))
		if n := count().Bytes; n != 2*half || !strings.Contains(answer, `"done"`) {
			t.Errorf("at the end %d bytes are counted, and the answer is %s", n, answer)
		}
	}
}
