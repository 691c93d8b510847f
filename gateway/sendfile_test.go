package gateway

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/gateway/static"
)

// fileFolder has page.txt, of 10 bytes, large.bin, of 8 MB, and secret.txt beside the folder.
func fileFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "files")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"page.txt": "0123456789", "large.bin": strings.Repeat("0123456789abcdef", 1<<19), "../secret.txt": "secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func sending(t *testing.T, o static.SenderOptions) func(s *Server) {
	t.Helper()
	sender, err := static.NewSender(o)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *Server) { s.SendFile = sender }
}

// named answers with the field that the query string says, and a body that must not be seen.
func named(field string, more ...string) func(r *fakeRequest) {
	return func(r *fakeRequest) {
		r.Reply("200 OK", append([]string{field, r.Environ["QUERY_STRING"], "Content-Length", "9", "Content-Type", "text/x-app"}, more...), "the app's")
	}
}

func TestAFileThatTheAppNamesIsSentInPlaceOfItsBody(t *testing.T) {
	dir := fileFolder(t)
	fields := []string{"Set-Cookie", "a=1", "Set-Cookie", "b=2", "content-disposition", "attachment", "Cache-Control", "private"}
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/sendfile": named("X-Sendfile", fields...),
		"/accel":    named("x-accel-redirect", fields...),
		"/plain": func(r *fakeRequest) {
			r.Reply("200 OK", []string{"X-Sendfile", dir + "/page.txt"})
		},
	}), sending(t, static.SenderOptions{Roots: []string{dir}, Redirects: []static.Redirect{{Prefix: "/files/", Dir: dir}}}))
	c := ts.dial()
	for range 2 {
		for _, target := range []string{"/sendfile?" + dir + "/page.txt", "/accel?/files/page.txt"} {
			resp, body := c.get(target)
			h := resp.Header
			if resp.StatusCode != 200 || body != "0123456789" || resp.ContentLength != 10 {
				t.Errorf("%s: %v %q", target, resp, body)
			}
			if h.Get("X-Sendfile")+h.Get("X-Accel-Redirect") != "" {
				t.Errorf("%s: the client sees the path: %v", target, h)
			}
			if len(h["Set-Cookie"]) != 2 || h.Get("Content-Disposition") != "attachment" || h.Get("Cache-Control") != "private" || h.Get("Content-Type") != "text/x-app" ||
				h.Get("Etag") == "" || h.Get("Last-Modified") == "" || len(h["Date"]) != 1 {
				t.Errorf("%s: %v", target, h)
			}
		}
	}
	if resp, body := c.get("/plain"); resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || body != "0123456789" {
		t.Errorf("%v %q", resp, body)
	}
}

func TestAFileThatTheAppNamesObeysMethodRangesAndConditions(t *testing.T) {
	dir := fileFolder(t)
	ts := serve(t, named("X-Sendfile"), sending(t, static.SenderOptions{Roots: []string{dir}}))
	c := ts.dial()
	target := "/?" + dir + "/page.txt"
	resp, _ := c.get(target)
	etag, modified := resp.Header.Get("Etag"), resp.Header.Get("Last-Modified")
	for _, tc := range []struct {
		method, headers string
		status          int
		body            string
	}{
		{"HEAD", "", 200, ""},
		{"GET", "Range: bytes=2-4\r\n", 206, "234"},
		{"GET", "Range: bytes=-3\r\n", 206, "789"},
		{"GET", "Range: bytes=20-\r\n", 416, "*"},
		{"GET", "Range: bytes=2-4\r\nIf-Range: " + etag + "\r\n", 206, "234"},
		{"GET", "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n", 200, "0123456789"},
		{"GET", "If-None-Match: " + etag + "\r\n", 304, ""},
		{"GET", "If-Modified-Since: " + modified + "\r\n", 304, ""},
		{"GET", "If-Match: \"other\"\r\n", 412, "*"},
		{"GET", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 412, "*"},
		{"POST", "Content-Length: 0\r\nRange: bytes=2-4\r\n", 200, "0123456789"},
	} {
		c.send(tc.method + " " + target + " HTTP/1.1\r\nHost: h\r\n" + tc.headers + "\r\n")
		resp, body := c.response(tc.method)
		if resp.StatusCode != tc.status || tc.body != "*" && body != tc.body {
			t.Errorf("%s %q: %d %q", tc.method, tc.headers, resp.StatusCode, body)
		}
		if tc.method == "HEAD" && resp.ContentLength != 10 {
			t.Errorf("HEAD: %d", resp.ContentLength)
		}
	}
	c.send("GET " + target + " HTTP/1.0\r\n\r\n")
	c.want(200, "0123456789")
	c.wantClosed()
}

func TestARangeThatTheAppAnsweredIsThatOfTheFile(t *testing.T) {
	dir := fileFolder(t)
	ts := serve(t, func(r *fakeRequest) { // as Werkzeug does
		r.Reply("206 Partial Content", []string{"X-Sendfile", dir + "/page.txt", "Content-Range", "bytes 3-5/10", "Content-Length", "3", "ETag", `"app's"`})
	}, sending(t, static.SenderOptions{Roots: []string{dir}}))
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=3-5\r\n\r\n")
	if resp, body := c.response("GET"); resp.StatusCode != 206 || body != "345" || fmt.Sprint(resp.Header["Content-Range"]) != "[bytes 3-5/10]" || resp.Header.Get("ETag") != `"app's"` {
		t.Errorf("%v %q", resp, body)
	}
}

func TestOnlyFilesInTheFoldersAreSent(t *testing.T) {
	dir := fileFolder(t)
	if err := os.Symlink("../secret.txt", filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	ts := serve(t, paths(map[string]func(*fakeRequest){"/s": named("X-Sendfile", "Set-Cookie", "a=1"), "/a": named("X-Accel-Redirect")}),
		sending(t, static.SenderOptions{Roots: []string{dir}, Redirects: []static.Redirect{{Prefix: "/files", Dir: dir}}}))
	for target, status := range map[string]int{
		"/s?" + dir + "/missing.txt":        404,
		"/s?" + dir + "/../secret.txt":      500,
		"/s?" + dir + "/x/../../secret.txt": 500,
		"/s?/etc/passwd":                    500,
		"/s?page.txt":                       500,
		"/s?" + dir:                         500,
		"/s?" + dir + "/link.txt":           404,
		"/s?" + dir + "/":                   500,
		"/a?/files/missing.txt":             404,
		"/a?/files/../secret.txt":           500,
		"/a?/files/%2e%2e/secret.txt":       500,
		"/a?/other/page.txt":                500,
		"/a?/filesystem/page.txt":           500,
		"/a?@named":                         500,
	} {
		c := ts.dial()
		resp, body := c.get(target)
		if resp.StatusCode != status || strings.Contains(body, "secret") || strings.Contains(body, dir) || strings.Contains(body, "the app's") ||
			resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %q", target, resp, body)
		}
		if !strings.Contains(ts.logs.String(), "can't be sent") {
			t.Error("nothing in the log")
		}
		c.get("/s?" + dir + "/page.txt") // the connection goes on
	}
}

func TestFieldsThatNameNoFilePass(t *testing.T) {
	dir := fileFolder(t)
	reply := func(status string, headers ...string) func(*fakeRequest) {
		return func(r *fakeRequest) { r.Reply(status, headers, "the app's") }
	}
	app := paths(map[string]func(*fakeRequest){
		"/sendfile": reply("200 OK", "X-Sendfile", dir+"/page.txt"),
		"/accel":    reply("200 OK", "X-Accel-Redirect", "/files/page.txt"),
		"/empty":    reply("200 OK", "X-Sendfile", ""),
		"/404":      reply("404 Not Found", "X-Sendfile", dir+"/page.txt"),
		"/302":      reply("302 Found", "X-Sendfile", dir+"/page.txt", "Location", "/"),
	})
	t.Run("without folders", func(t *testing.T) {
		c := serve(t, app).dial()
		for path, field := range map[string]string{"/sendfile": "X-Sendfile", "/accel": "X-Accel-Redirect"} {
			if resp, body := c.get(path); body != "the app's" || resp.Header.Get(field) == "" {
				t.Errorf("%v %q", resp, body)
			}
		}
	})
	t.Run("with folders of the other kind", func(t *testing.T) {
		c := serve(t, app, sending(t, static.SenderOptions{Roots: []string{dir}})).dial()
		if resp, body := c.get("/accel"); body != "the app's" || resp.Header.Get("X-Accel-Redirect") != "/files/page.txt" {
			t.Errorf("%v %q", resp, body)
		}
	})
	t.Run("empty, or with another status than 200", func(t *testing.T) {
		c := serve(t, app, sending(t, static.SenderOptions{Roots: []string{dir}})).dial()
		for path, status := range map[string]int{"/empty": 200, "/404": 404, "/302": 302} {
			if resp, body := c.get(path); body != "the app's" || resp.StatusCode != status || resp.Header.Values("X-Sendfile") != nil {
				t.Errorf("%v %q", resp, body)
			}
		}
	})
}

func TestTheAppComesToItsEndWhileItsFileIsSent(t *testing.T) {
	dir := fileFolder(t)
	var ended atomic.Int64
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK", "X-Sendfile", dir+"/large.bin")
		for range 100 { // more than may wait
			if err := r.Yield(words(1, 10_000)); err != nil {
				return
			}
		}
		r.Complete()
		ended.Add(1)
	}, sending(t, static.SenderOptions{Roots: []string{dir}}))
	c := ts.dial()
	for i := range 2 {
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		waitFor(t, "the app's end", func() bool { return ended.Load() == int64(i+1) }) // nothing is read yet
		resp, body := c.response("GET")
		if resp.StatusCode != 200 || len(body) != 8<<20 {
			t.Errorf("%v %d", resp, len(body))
		}
	}
	if n := ts.app.count(&ts.app.cancels); n > 0 {
		t.Errorf("%d requests were cancelled", n)
	}
}

func TestAnAppThatFailsAfterItNamedAFileCostsTheClientNothing(t *testing.T) {
	dir := fileFolder(t)
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK", "X-Sendfile", dir+"/page.txt")
		_ = r.Yield("x")
		r.Fail()
	}, sending(t, static.SenderOptions{Roots: []string{dir}}))
	c := ts.dial()
	for range 3 {
		if resp, body := c.get("/"); resp.StatusCode != 200 || body != "0123456789" {
			t.Errorf("%v %q", resp, body)
		}
	}
}

func TestAClientThatLeavesAFileEndsItsRequest(t *testing.T) {
	dir := fileFolder(t)
	cancelled := make(chan bool, 1)
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK", "X-Sendfile", dir+"/large.bin")
		_ = r.Yield("x")
		cancelled <- r.AwaitCancel()
	}, sending(t, static.SenderOptions{Roots: []string{dir}}))
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, err := c.r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if !<-cancelled {
		t.Error("the app was not told")
	}
}

func TestAnUploadEndsWithTheFileThatIsSent(t *testing.T) {
	dir := fileFolder(t)
	read := make(chan error, 1)
	app := func(r *fakeRequest) {
		r.Start("200 OK", "X-Sendfile", dir+"/page.txt")
		_ = r.Yield("x")
		_, err := io.Copy(io.Discard, r)
		read <- err
		r.Complete()
	}
	send := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n01234"
	wantError := func() {
		t.Helper()
		select {
		case err := <-read:
			if err == nil {
				t.Error("the app takes half of its body for the whole")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the app reads for ever")
		}
	}
	ts := serve(t, app, sending(t, static.SenderOptions{Roots: []string{dir}}), func(s *Server) { s.StreamInput = true })
	c := ts.dial()
	for range 2 { // the connection goes on
		c.send(send)
		c.want(200, "0123456789")
		wantError()
		c.send("56789")
	}
	sender, err := static.NewSender(static.SenderOptions{Roots: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(HTTPHandler(newFakeApp(t, app), []Mount{{}}, HandlerOptions{SendFile: sender, StreamInput: true}))
	defer server.Close()
	nc, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c = ts.client(nc)
	c.send(send)
	c.want(200, "0123456789")
	wantError()
}

func TestANamedFileIsNotCompressed(t *testing.T) {
	dir := fileFolder(t)
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte(words(1, 5000)), 0o644); err != nil {
		t.Fatal(err)
	}
	ts := serve(t, func(r *fakeRequest) {
		r.Reply("200 OK", []string{"X-Sendfile", dir + "/page.html"})
	}, sending(t, static.SenderOptions{Roots: []string{dir}}), compressing)
	c := ts.dial()
	c.send(askFor("GET", "/", "1.1", "gzip"))
	if resp, body := c.response("GET"); body != words(1, 5000) || !strings.HasPrefix(resp.Header.Get("Etag"), `"`) {
		t.Errorf("%v %d", resp, len(body))
	}
}

func TestHTTPHandlerSendsFilesThatTheAppNames(t *testing.T) {
	dir := fileFolder(t)
	sender, err := static.NewSender(static.SenderOptions{Roots: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	var ended atomic.Int64
	app := newFakeApp(t, paths(map[string]func(*fakeRequest){
		"/list": named("X-Sendfile", "Set-Cookie", "a=1"),
		"/stream": func(r *fakeRequest) {
			r.Start("200 OK", "X-Sendfile", r.Environ["QUERY_STRING"])
			for range 100 {
				if err := r.Yield(words(1, 10_000)); err != nil {
					return
				}
			}
			r.Complete()
			ended.Add(1)
		},
	}))
	server := httptest.NewUnstartedServer(HTTPHandler(app, []Mount{{}}, HandlerOptions{SendFile: sender, Logger: slog.New(slog.DiscardHandler)}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	get := func(target string, header ...string) (*http.Response, []byte) {
		t.Helper()
		req, _ := http.NewRequest("GET", server.URL+target, nil)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, body
	}
	resp, body := get("/list?" + dir + "/page.txt")
	if string(body) != "0123456789" || resp.Header.Get("Set-Cookie") != "a=1" || resp.Header.Get("X-Sendfile") != "" {
		t.Errorf("%v %q", resp, body)
	}
	if resp, body = get("/list?"+dir+"/page.txt", "Range", "bytes=1-2"); resp.StatusCode != 206 || string(body) != "12" {
		t.Errorf("%v %q", resp, body)
	}
	if resp, _ = get("/list?" + dir + "/missing"); resp.StatusCode != 404 || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("%v", resp)
	}
	if resp, _ = get("/list?/etc/passwd"); resp.StatusCode != 500 {
		t.Errorf("%v", resp)
	}
	if _, body = get("/stream?" + dir + "/large.bin"); len(body) != 8<<20 || !bytes.HasPrefix(body, []byte("0123456789abcdef")) {
		t.Errorf("%d bytes", len(body))
	}
	waitFor(t, "the app's end", func() bool { return ended.Load() == 1 })
}

func TestFilesThatAppsNameAreSentToManyAtOnce(t *testing.T) {
	dir := fileFolder(t)
	ts := serve(t, named("X-Sendfile"), sending(t, static.SenderOptions{Roots: []string{dir}}))
	errs := make(chan error, 6)
	for range cap(errs) {
		c := ts.dial()
		go func() {
			for range 2 {
				_, err := fmt.Fprintf(c, "GET /?%s/large.bin HTTP/1.1\r\nHost: h\r\n\r\n", dir)
				if err == nil {
					var body string
					if _, body, err = c.tryResponse("GET"); err == nil && len(body) != 8<<20 {
						err = fmt.Errorf("%d bytes", len(body))
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestOverTLSAndHTTP2BodiesAreCompressedAndFilesSent(t *testing.T) {
	dir := fileFolder(t)
	page := words(1, 50_000)
	ts := serveTLS(t, paths(map[string]func(*fakeRequest){
		"/file": named("X-Sendfile"),
		"/page": func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Type", "text/html"}, page) },
		"/stream": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Type", "text/html")
			_ = r.Yield(page[:20_000])
			r.AwaitSent()
			_ = r.Yield(page[20_000:])
			r.Complete()
		},
	}), sending(t, static.SenderOptions{Roots: []string{dir}}), compressing)
	c, h2 := ts.dialTLS(clientTLS("http/1.1")), ts.client2()
	for _, coding := range allCodings {
		for _, path := range []string{"/page", "/stream"} {
			c.send(askFor("GET", path, "1.1", coding))
			resp, body := c.response("GET")
			if resp.Header.Get("Content-Encoding") != coding || decoded(t, resp, body) != page {
				t.Errorf("TLS, %s %s: %v", path, coding, resp)
			}
			r := asking("GET", "https://h"+path, "")
			r.Header.Set("Accept-Encoding", coding)
			if resp, body = get2(t, h2, r); resp.ProtoMajor != 2 || resp.Header.Get("Content-Encoding") != coding || decoded(t, resp, body) != page {
				t.Errorf("HTTP/2, %s %s: %v", path, coding, resp)
			}
		}
	}
	for _, name := range []string{"page.txt", "large.bin"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if resp, body := c.get("/file?" + dir + "/" + name); body != string(want) || resp.Header.Get("X-Sendfile") != "" {
			t.Errorf("TLS, %s: %v %d", name, resp, len(body))
		}
		if resp, body := get2(t, h2, asking("GET", "https://h/file?"+dir+"/"+name, "")); body != string(want) || resp.Header.Get("X-Sendfile") != "" {
			t.Errorf("HTTP/2, %s: %v %d", name, resp, len(body))
		}
	}
}
