package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func compressing(s *Server) { s.Compress = true }

// decoder reads a body in a coding.
func decoder(t testing.TB, coding string, r io.Reader) io.Reader {
	t.Helper()
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1)); err == nil {
			t.Cleanup(z.Close)
			r = z
		}
	case "":
	default:
		t.Fatalf("Content-Encoding %q", coding)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decoded(t testing.TB, resp *http.Response, body string) string {
	t.Helper()
	b, err := io.ReadAll(decoder(t, resp.Header.Get("Content-Encoding"), strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// words is text that shrinks, of n bytes, and another for another seed.
func words(seed, n int) string {
	var b strings.Builder
	for i := seed; b.Len() < n; i++ {
		fmt.Fprintf(&b, "<li class=%d>item %d of many</li>\n", i%7, i*i)
	}
	return b.String()[:n]
}

// noise is text that does not shrink.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

var allCodings = []string{"gzip", "br", "zstd"}

func askFor(method, path, version, accept string) string {
	return method + " " + path + " HTTP/" + version + "\r\nHost: h\r\nAccept-Encoding: " + accept + "\r\n\r\n"
}

func TestAWholeBodyIsCompressedAndHasItsLength(t *testing.T) {
	page := words(1, 50_000)
	ts := serve(t, func(r *fakeRequest) {
		r.Reply("200 OK", []string{"Content-Type", "text/html", "Content-Length", "50000", "ETag", `"v1"`}, page[:7], page[7:40_000], page[40_000:])
	}, compressing)
	for _, version := range []string{"1.1", "1.0"} {
		for _, coding := range allCodings {
			c := ts.dial()
			for range 3 { // the connection goes on
				head := askFor("GET", "/", version, coding)
				if version == "1.0" {
					head = strings.Replace(head, "\r\n\r\n", "\r\nConnection: keep-alive\r\n\r\n", 1)
				}
				c.send(head)
				resp, body := c.response("GET")
				if got := decoded(t, resp, body); resp.Header.Get("Content-Encoding") != coding || got != page {
					t.Fatalf("%s %s: %v %d bytes", version, coding, resp.Header, len(got))
				}
				if resp.ContentLength != int64(len(body)) || len(body) > 10_000 || len(resp.TransferEncoding) > 0 {
					t.Errorf("%s %s: length %d of %d, %q", version, coding, resp.ContentLength, len(body), resp.TransferEncoding)
				}
				if resp.Header.Get("ETag") != `W/"v1"` || resp.Header.Get("Vary") != "Accept-Encoding" {
					t.Errorf("%v", resp.Header)
				}
			}
		}
	}
}

func TestABodyWithAllThatItsLengthSaysIsSentAtOnce(t *testing.T) {
	for _, tc := range []struct {
		end func(r *fakeRequest)
		log string
	}{
		{(*fakeRequest).Complete, ""},
		{(*fakeRequest).Fail, "failed after its response began"},
		{func(r *fakeRequest) { r.TimeOut(); r.AwaitCancel() }, ""},
		{func(r *fakeRequest) { _ = r.Yield("more"); r.Complete() }, "longer than its Content-Length"},
	} {
		for _, page := range []string{words(1, 5000), noise(5000)} {
			next := make(chan struct{})
			ts := serve(t, func(r *fakeRequest) {
				r.Start("200 OK", "Content-Type", "text/html", "Content-Length", "5000")
				_ = r.Yield(page)
				<-next // an app has not ended when its last chunk is there
				tc.end(r)
			}, compressing)
			for _, coding := range allCodings {
				c := ts.dial()
				c.send(askFor("GET", "/", "1.1", coding))
				resp, body := c.response("GET")
				next <- struct{}{}
				if got := decoded(t, resp, body); got != page || resp.ContentLength != int64(len(body)) || len(resp.TransferEncoding) > 0 {
					t.Errorf("%s: %d bytes, %v", coding, len(got), resp.Header)
				}
				waitFor(t, "the log", func() bool { return strings.Contains(ts.logs.String(), tc.log) })
			}
		}
	}
}

func TestHEADHasTheFieldsOfGET(t *testing.T) {
	page := words(1, 5_000)
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/length": func(r *fakeRequest) {
			r.Reply("200 OK", []string{"Content-Type", "text/html", "Content-Length", "5000", "ETag", `"v1"`}, page)
		},
		"/none": func(r *fakeRequest) { // Flask and Django give none for HEAD
			if r.Environ["REQUEST_METHOD"] == "HEAD" {
				r.Reply("200 OK", []string{"Content-Type", "text/html"})
			} else {
				r.Reply("200 OK", []string{"Content-Type", "text/html"}, page)
			}
		},
		"/short": func(r *fakeRequest) {
			r.Reply("200 OK", []string{"Content-Type", "text/html", "Content-Length", "5"}, "short")
		},
		"/stream": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Type", "text/html")
			_ = r.Yield(page)
			r.Complete()
		},
	}), compressing)
	for _, path := range []string{"/length", "/none", "/short", "/stream"} {
		var seen []http.Header
		c := ts.dial()
		for _, method := range []string{"HEAD", "GET"} {
			c.send(askFor(method, path, "1.1", "gzip"))
			resp, body := c.response(method)
			if method == "HEAD" && body != "" {
				t.Errorf("%s: a body", path)
			}
			if path != "/short" {
				resp.Header.Del("Content-Length") // known only once the body is compressed
			}
			resp.Header.Del("Date")
			seen = append(seen, resp.Header)
		}
		if fmt.Sprint(seen[0]) != fmt.Sprint(seen[1]) {
			t.Errorf("%s: %v\n%v", path, seen[0], seen[1])
		}
	}
}

func TestWhatDoesNotShrinkGoesOutAsItIs(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		r.Reply("200 OK", []string{"Content-Type", "text/plain", "ETag", `"v1"`}, noise(5000))
	}, compressing)
	c := ts.dial()
	for range 2 {
		c.send(askFor("GET", "/", "1.1", "gzip, br, zstd"))
		resp, body := c.response("GET")
		if body != noise(5000) || resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("ETag") != `"v1"` || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%v %d", resp.Header, len(body))
		}
	}
}

func TestPEP3333ACompressedChunkIsNotDelayed(t *testing.T) {
	for _, length := range []bool{false, true} {
		for _, version := range []string{"1.1", "1.0"} {
			for _, coding := range allCodings {
				t.Run(fmt.Sprintf("%s HTTP/%s length %v", coding, version, length), func(t *testing.T) {
					next := make(chan struct{})
					ts := serve(t, func(r *fakeRequest) {
						headers := []string{"Content-Type", "text/plain"}
						if length {
							headers = append(headers, "Content-Length", "1000")
						}
						r.Start("200 OK", headers...)
						for i := range 10 {
							<-next
							_ = r.Yield(strings.Repeat(string(rune('a'+i)), 100))
						}
						r.Complete()
					}, compressing)
					c := ts.dial()
					c.send(askFor("GET", "/", version, coding))
					next <- struct{}{}
					resp, err := http.ReadResponse(c.r, nil)
					if err != nil {
						t.Fatal(err)
					}
					if resp.Header.Get("Content-Encoding") != coding || resp.Header.Get("Content-Length") != "" {
						t.Fatalf("%v", resp.Header)
					}
					body := decoder(t, coding, resp.Body)
					p := make([]byte, 100)
					for i := range 10 {
						if _, err := io.ReadFull(body, p); err != nil || p[99] != byte('a'+i) {
							t.Fatalf("chunk %d: %v %q", i, err, p)
						}
						if i < 9 {
							next <- struct{}{}
						}
					}
					if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
						t.Errorf("%q %v", rest, err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					if version == "1.1" {
						go func() {
							for range 10 {
								next <- struct{}{}
							}
						}()
						c.send(askFor("GET", "/", version, ""))
						if _, body := c.response("GET"); len(body) != 1000 {
							t.Errorf("%d bytes", len(body))
						}
					} else {
						c.wantClosed()
					}
				})
			}
		}
	}
}

func TestALongBodyIsCompressedAsAStream(t *testing.T) {
	page := words(3, 1_200_000)
	name := filepath.Join(t.TempDir(), "page")
	if err := os.WriteFile(name, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // after the server's end
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/list": func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Type", "text/html"}, page[:10], page[10:]) },
		"/length": func(r *fakeRequest) {
			r.Reply("200 OK", []string{"Content-Type", "text/html", "Content-Length", "1200000"}, page)
		},
		"/file": func(r *fakeRequest) { // wsgi.file_wrapper
			r.Start("200 OK", "Content-Type", "text/html", "Content-Length", "1200000")
			r.SendFile(f, 0, 1_200_000)
			r.Complete()
			r.AwaitSent()
		},
	}), compressing)
	c := ts.dial()
	for _, path := range []string{"/list", "/length", "/file"} {
		for _, coding := range allCodings {
			c.send(askFor("GET", path, "1.1", coding))
			resp, body := c.response("GET")
			if got := decoded(t, resp, body); got != page || len(body) > 600_000 {
				t.Errorf("%s %s: %d bytes of %d", path, coding, len(got), len(body))
			}
		}
	}
}

func TestACompressedBodyThatIsNotWholeEndsSoThatTheClientCanTell(t *testing.T) {
	stream := func(end func(r *fakeRequest), headers ...string) func(*fakeRequest) {
		return func(r *fakeRequest) {
			r.Start("200 OK", append([]string{"Content-Type", "text/plain"}, headers...)...)
			_ = r.Yield(words(1, 900))
			r.AwaitSent()
			end(r)
		}
	}
	for _, tc := range []struct {
		name  string
		run   func(*fakeRequest)
		whole bool
		log   string
	}{
		{"the app fails", stream((*fakeRequest).Fail), false, "failed after its response began"},
		{"the app is late", stream(func(r *fakeRequest) { r.TimeOut(); r.AwaitCancel() }), false, ""},
		{"less than its length", stream((*fakeRequest).Complete, "Content-Length", "901"), false, "shorter"},
		{"more than its length", stream(func(r *fakeRequest) { _ = r.Yield("more"); r.Complete() }, "Content-Length", "900"), true, "longer"},
		{"it fails after its length", stream((*fakeRequest).Fail, "Content-Length", "900"), true, "failed after its response began"},
		{"it is late after its length", stream(func(r *fakeRequest) { r.TimeOut(); r.AwaitCancel() }, "Content-Length", "900"), true, ""},
	} {
		for _, version := range []string{"1.1", "1.0"} {
			for _, coding := range allCodings {
				t.Run(fmt.Sprintf("%s %s HTTP/%s", tc.name, coding, version), func(t *testing.T) {
					ts := serve(t, tc.run, compressing)
					c := ts.dial()
					c.send(askFor("GET", "/", version, coding))
					resp, body, err := c.tryResponse("GET")
					if resp == nil || resp.Header.Get("Content-Encoding") != coding {
						t.Fatalf("%v %v", resp, err)
					}
					got := make([]byte, 900)
					if _, err := io.ReadFull(decoder(t, coding, strings.NewReader(body)), got); err != nil || string(got) != words(1, 900) {
						t.Errorf("%v %q", err, got)
					}
					if (err == nil) != tc.whole {
						t.Errorf("the end of the body: %v", err)
					}
					if tc.whole && decoded(t, resp, body) != words(1, 900) {
						t.Error("the body is not whole")
					}
					waitFor(t, "the log", func() bool { return strings.Contains(ts.logs.String(), tc.log) })
				})
			}
		}
	}
}

func TestAClientThatLeavesACompressedStreamEndsIt(t *testing.T) {
	before := streamEncoders.Load()
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK", "Content-Type", "text/plain")
		for i := 0; r.Yield(noise(60_000)) == nil; i++ {
		}
	}, compressing)
	for _, coding := range allCodings {
		c := ts.dial()
		c.send(askFor("GET", "/", "1.1", coding))
		if _, err := c.r.ReadByte(); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	waitFor(t, "the encoders given back", func() bool { return streamEncoders.Load() == before })
}

func TestCompressedResponsesShareNoEncoder(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		var seed int
		_, _ = fmt.Sscanf(r.Environ["PATH_INFO"], "/%d", &seed)
		page := words(seed, 20_000)
		if seed%2 == 0 {
			r.Reply("200 OK", []string{"Content-Type", "text/html"}, page)
			return
		}
		r.Start("200 OK", "Content-Type", "text/html")
		for i := 0; i < len(page); i += 5000 {
			_ = r.Yield(page[i : i+5000])
		}
		r.Complete()
	}, compressing)
	var wg sync.WaitGroup
	for n := range 8 {
		c := ts.dial()
		wg.Go(func() {
			for i := range 9 {
				seed := n*100 + i
				c.send(askFor("GET", fmt.Sprintf("/%d", seed), "1.1", allCodings[i%3]))
				resp, body, err := c.tryResponse("GET")
				if err != nil {
					t.Error(err)
					return
				}
				if got := decoded(t, resp, body); got != words(seed, 20_000) {
					t.Errorf("request %d: %d other bytes", seed, len(got))
				}
			}
		})
	}
	wg.Wait()
}

func TestStreamsThatAreCompressedTakeBoundedMemory(t *testing.T) {
	release := make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK", "Content-Type", "text/html")
		_ = r.Yield(words(1, 1000))
		<-release
		r.Complete()
	}, compressing)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	const n = 200
	compressed := 0
	clients := make([]*client, n)
	for i := range clients {
		c := ts.dial()
		clients[i] = c
		c.send(askFor("GET", "/", "1.1", "zstd")) // it takes the most
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%v", resp.Header)
		}
		if resp.Header.Get("Content-Encoding") != "" {
			compressed++
		}
		p := make([]byte, 1000)
		if _, err := io.ReadFull(decoder(t, resp.Header.Get("Content-Encoding"), resp.Body), p); err != nil || string(p) != words(1, 1000) {
			t.Fatal(err)
		}
	}
	if compressed != maxStreamEncoders {
		t.Errorf("%d streams of %d were compressed", compressed, n)
	}
	after := heap()
	if used := (after - before) >> 20; used > 250 { // the clients' decoders are in it
		t.Errorf("%d MiB", used)
	} else {
		t.Logf("%d MiB", used)
	}
	close(release)
	for _, c := range clients {
		_, _ = io.Copy(io.Discard, io.LimitReader(c.r, 1))
	}
	waitFor(t, "the encoders given back", func() bool { return streamEncoders.Load() == 0 })
}

func TestHTTPHandlerCompresses(t *testing.T) {
	page := words(1, 50_000)
	step := make(chan struct{}, 10)
	app := newFakeApp(t, paths(map[string]func(*fakeRequest){
		"/list": func(r *fakeRequest) {
			r.Reply("200 OK", []string{"Content-Type", "text/html", "Content-Length", "50000", "ETag", `"v1"`}, page)
		},
		"/noise": func(r *fakeRequest) {
			r.Reply("200 OK", []string{"Content-Type", "text/html", "Content-Length", "5000", "ETag", `"v1"`}, noise(5000))
		},
		"/stream": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Type", "text/html", "Content-Length", "50000")
			_ = r.Yield(page[:25_000])
			<-step
			_ = r.Yield(page[25_000:])
			r.Complete()
		},
		"/fails": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Type", "text/html")
			_ = r.Yield(page)
			r.AwaitSent()
			r.Fail()
		},
		"/late": func(r *fakeRequest) { // it fails after the body's end
			r.Start("200 OK", "Content-Type", "text/html", "Content-Length", "50000")
			_ = r.Yield(page)
			r.AwaitSent()
			r.Fail()
		},
		"/short": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Type", "text/html", "Content-Length", "50001")
			_ = r.Yield(page)
			r.Complete()
		},
		"/long": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Type", "text/html", "Content-Length", "49999")
			_ = r.Yield(page)
			r.Complete()
		},
	}))
	server := httptest.NewUnstartedServer(HTTPHandler(app, []Mount{{}}, HandlerOptions{Compress: true, Logger: slog.New(slog.DiscardHandler)}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, h2 := range []bool{true, false} {
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.DisableCompression = true
		transport.ForceAttemptHTTP2 = h2
		if !h2 {
			transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
		client := &http.Client{Transport: transport}
		get := func(method, path, coding string) *http.Response {
			t.Helper()
			req, _ := http.NewRequestWithContext(context.Background(), method, server.URL+path, nil)
			req.Header.Set("Accept-Encoding", coding)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if (resp.ProtoMajor == 2) != h2 {
				t.Fatal(resp.Proto)
			}
			return resp
		}
		for _, coding := range allCodings {
			resp := get("GET", "/list", coding)
			body, err := io.ReadAll(resp.Body)
			if err != nil || decoded(t, resp, string(body)) != page || resp.ContentLength != int64(len(body)) || resp.Header.Get("ETag") != `W/"v1"` {
				t.Errorf("%v %d %v", err, len(body), resp.Header)
			}
			resp = get("HEAD", "/list", coding)
			if resp.Header.Get("Content-Encoding") != coding || resp.Header.Get("ETag") != `W/"v1"` || resp.Header.Get("Content-Length") != "" {
				t.Errorf("HEAD: %v", resp.Header)
			}
			resp = get("GET", "/noise", coding)
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != noise(5000) || resp.Header.Get("Content-Encoding") != "" || resp.ContentLength != 5000 {
				t.Errorf("noise: %v %d %v", err, len(body), resp.Header)
			}
			resp = get("GET", "/stream", coding)
			half := make([]byte, 25_000)
			r := decoder(t, resp.Header.Get("Content-Encoding"), resp.Body)
			if _, err := io.ReadFull(r, half); err != nil || !bytes.Equal(half, []byte(page[:25_000])) {
				t.Errorf("the first chunk: %v", err)
			}
			step <- struct{}{}
			if rest, err := io.ReadAll(r); err != nil || string(rest) != page[25_000:] || resp.Header.Get("Content-Length") != "" {
				t.Errorf("the rest: %v %d %v", err, len(rest), resp.Header)
			}
			for _, path := range []string{"/fails", "/short"} {
				resp = get("GET", path, coding)
				if _, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("%s: the client can't tell", path)
				}
			}
			resp = get("GET", "/long", coding)
			if body, err := io.ReadAll(resp.Body); err != nil || decoded(t, resp, string(body)) != page[:49_999] {
				t.Errorf("long: %v", err)
			}
			for _, coding := range []string{coding, ""} {
				resp = get("GET", "/late", coding)
				if body, err := io.ReadAll(resp.Body); err != nil || decoded(t, resp, string(body)) != page || resp.ContentLength != int64(len(body)) {
					t.Errorf("late: %v %d", err, len(body))
				}
			}
			resp = get("GET", "/list", "")
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != page || resp.Header.Get("Vary") != "Accept-Encoding" || resp.ContentLength != 50_000 {
				t.Errorf("uncompressed: %v %d %v", err, len(body), resp.Header)
			}
		}
		transport.CloseIdleConnections()
	}
	waitFor(t, "the encoders given back", func() bool { return streamEncoders.Load() == 0 })
}
