package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// paths runs the behaviour that the request's path names.
func paths(m map[string]func(r *fakeRequest)) func(r *fakeRequest) {
	return func(r *fakeRequest) { m[r.Environ["PATH_INFO"]](r) }
}

func TestHeaderNamesKeepTheirCaseAndNothingIsAddedThatTheAppSet(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		r.Reply("299 Fine thing", []string{"x-LOWER-Upper", "caf\xe9\tz", "DATE", "yesterday", "server", "mine", "content-type", "a/b", "Set-Cookie", "a=1", "Set-Cookie", "b=2"}, "ok")
	})
	c := ts.dial()
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	}
	want := "HTTP/1.1 299 Fine thing\r\nx-LOWER-Upper: caf\xe9\tz\r\nDATE: yesterday\r\nserver: mine\r\ncontent-type: a/b\r\n" +
		"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
		t.Errorf("%v\n%q\n%q", err, got, want)
	}
	c.want(299, "ok")
}

func TestWhatMustNotReachTheWireIsAnswered500AndLogged(t *testing.T) {
	for _, tc := range []struct {
		status  string
		headers []string
		log     string
	}{
		{"200 OK\r\nX: y", nil, "status"},
		{"200 OK\n", nil, "status"},
		{"200 O\x00K", nil, "status"},
		{"200", nil, "status"},
		{"", nil, "status"},
		{"2000 OK", nil, "status"},
		{"abc OK", nil, "status"},
		{" 200 OK", nil, "status"},
		{"199 Early", nil, "status"},
		{"100 Continue", nil, "status"},
		{"200 OK", []string{"X-A", "b\r\nc: d"}, "X-A"},
		{"200 OK", []string{"X-A", "b\nc"}, "X-A"},
		{"200 OK", []string{"X-A", "b\x00c"}, "X-A"},
		{"200 OK", []string{"X-A", "b\x7fc"}, "X-A"},
		{"200 OK", []string{"X-A", "b\x1fc"}, "X-A"},
		{"200 OK", []string{"X A", "b"}, "X A"},
		{"200 OK", []string{"X:", "b"}, "X:"},
		{"200 OK", []string{"X\r\nY", "b"}, `X\\r\\nY`},
		{"200 OK", []string{"", "b"}, "name"},
		{"200 OK", []string{"caf\xe9", "b"}, "caf"},
		{"200 OK", []string{"Connection", "close"}, "Connection"},
		{"200 OK", []string{"keep-alive", "1"}, "keep-alive"},
		{"200 OK", []string{"Transfer-Encoding", "chunked"}, "Transfer-Encoding"},
		{"200 OK", []string{"Upgrade", "h2c"}, "Upgrade"},
		{"200 OK", []string{"TE", "x"}, "TE"},
		{"200 OK", []string{"Trailers", "x"}, "Trailers"},
		{"200 OK", []string{"Proxy-Authenticate", "x"}, "Proxy-Authenticate"},
		{"200 OK", []string{"Proxy-Authorization", "x"}, "Proxy-Authorization"},
		{"200 OK", []string{"Content-Length", "2", "content-length", "2"}, "content-length"},
		{"200 OK", []string{"Content-Length", "2x"}, "Content-Length"},
		{"200 OK", []string{"Content-Length", "-2"}, "Content-Length"},
		{"200 OK", []string{"Content-Length", ""}, "Content-Length"},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q %q stream %v", tc.status, tc.headers, stream), func(t *testing.T) {
				ts := serve(t, func(r *fakeRequest) {
					switch {
					case r.Environ["PATH_INFO"] == "/good":
						hello(r)
					case stream:
						r.Start(tc.status, tc.headers...)
						for r.Yield("secret") == nil {
						}
					default:
						r.Reply(tc.status, tc.headers, "secret")
					}
				})
				c := ts.dial()
				resp, body := c.get("/bad")
				if resp.StatusCode != 500 || body != "500 Internal Server Error\n" || resp.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%v %q", resp, body)
				}
				if logs := ts.logs.String(); !strings.Contains(logs, tc.log) || !strings.Contains(logs, "GET /bad") {
					t.Errorf("log: %s", logs)
				}
				c.get("/good") // the connection goes on
			})
		}
	}
}

func TestAResponseIsFramedByWhatIsKnownOfIt(t *testing.T) {
	list := func(status string, headers []string, chunks ...string) func(*fakeRequest) {
		return func(r *fakeRequest) { r.Reply(status, headers, chunks...) }
	}
	stream := func(status string, headers ...string) func(*fakeRequest) {
		return func(r *fakeRequest) {
			r.Start(status, headers...)
			_ = r.Yield("one")
			r.AwaitSent()
			_ = r.Yield("")
			_ = r.Yield("two")
			r.Complete()
		}
	}
	for _, tc := range []struct {
		name, method, version string
		run                   func(*fakeRequest)
		framing, body         string
	}{
		{"a list has its length added", "GET", "1.1", list("200 OK", nil, "one", "two"), "Content-Length: 6", "onetwo"},
		{"an empty list too", "GET", "1.1", list("200 OK", nil), "Content-Length: 0", ""},
		{"in HTTP/1.0 too", "GET", "1.0", list("200 OK", nil, "one", "two"), "Content-Length: 6", "onetwo"},
		{"a stream is chunked", "GET", "1.1", stream("200 OK"), "Transfer-Encoding: chunked", "onetwo"},
		{"a stream to HTTP/1.0 ends with the connection", "GET", "1.0", stream("200 OK"), "", "onetwo"},
		{"a stream with a length is not chunked", "GET", "1.1", stream("200 OK", "Content-Length", "6"), "Content-Length: 6", "onetwo"},
		{"HEAD has no body and no length of ours", "HEAD", "1.1", list("200 OK", nil, "one"), "", ""},
		{"HEAD keeps the app's length", "HEAD", "1.1", list("200 OK", []string{"Content-Length", "99"}), "Content-Length: 99", ""},
		{"HEAD of a stream has no body", "HEAD", "1.1", stream("200 OK"), "", ""},
		{"204 has no body and no length", "GET", "1.1", list("204 No Content", []string{"Content-Length", "3"}, "one"), "", ""},
		{"204 of a stream has no body", "GET", "1.1", stream("204 No Content"), "", ""},
		{"304 has no body and keeps the app's length", "GET", "1.1", list("304 Not Modified", []string{"Content-Length", "3"}), "Content-Length: 3", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ts := serve(t, tc.run)
			c := ts.dial()
			c.send(tc.method + " / HTTP/" + tc.version + "\r\nHost: h\r\n\r\n")
			resp, body := c.response(tc.method)
			got := ""
			if len(resp.TransferEncoding) > 0 {
				got = "Transfer-Encoding: " + resp.TransferEncoding[0]
			} else if v, ok := resp.Header["Content-Length"]; ok {
				got = "Content-Length: " + strings.Join(v, "|")
			}
			if got != tc.framing || body != tc.body {
				t.Errorf("%q %q, want %q %q", got, body, tc.framing, tc.body)
			}
			if tc.version == "1.0" {
				if !resp.Close {
					t.Error("no Connection: close")
				}
				c.wantClosed()
				return
			}
			// The connection is where it should be: the next response is read as one.
			c.send(tc.method + " / HTTP/1.1\r\nHost: h\r\n\r\n")
			if _, body, err := c.tryResponse(tc.method); err != nil || body != tc.body {
				t.Errorf("next response: %q %v", body, err)
			}
		})
	}
}

func TestHTTP10KeepAliveNeedsALength(t *testing.T) {
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/list": hello,
		"/stream": func(r *fakeRequest) {
			r.Start("200 OK")
			_ = r.Yield("x")
			r.AwaitSent()
			r.Complete()
		},
	}))
	c := ts.dial()
	for range 2 {
		c.send("GET /list HTTP/1.0\r\nConnection: foo, Keep-Alive\r\n\r\n")
		if resp := c.want(200, "hello /list"); resp.Header.Get("Connection") != "keep-alive" {
			t.Errorf("%v", resp.Header)
		}
	}
	c.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	c.want(200, "x")
	c.wantClosed()
}

func TestConnectionCloseIsHeardInAnyCase(t *testing.T) {
	ts := serve(t, hello)
	for _, v := range []string{"close", "Close", "foo ,CLOSE", "keep-alive, close"} {
		c := ts.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: " + v + "\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n")
		if resp := c.want(200, "hello /"); !resp.Close {
			t.Errorf("%s: no Connection: close", v)
		}
		c.wantClosed()
	}
	if n := ts.app.count(&ts.app.requests); n != 4 {
		t.Errorf("%d requests", n)
	}
}

func TestEachChunkGoesOutWhenItIsYielded(t *testing.T) {
	for _, length := range []bool{false, true} {
		for _, version := range []string{"1.0", "1.1"} {
			t.Run(fmt.Sprintf("length %v HTTP/%s", length, version), func(t *testing.T) {
				next := make(chan struct{})
				ts := serve(t, func(r *fakeRequest) {
					if length {
						r.Start("200 OK", "Content-Length", "9")
					} else {
						r.Start("200 OK")
					}
					for _, s := range []string{"one", "two", "six"} {
						_ = r.Yield(s)
						<-next
					}
					r.Complete()
				})
				c := ts.dial()
				c.send("GET / HTTP/" + version + "\r\nHost: h\r\n\r\n")
				resp, err := http.ReadResponse(c.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, want := range []string{"one", "two", "six"} {
					got := make([]byte, 3)
					if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
						t.Fatalf("%q %v", got, err)
					}
					next <- struct{}{}
				}
			})
		}
	}
}

func TestAReplyLongerThanItsContentLengthIsCutThereAndLogged(t *testing.T) {
	cancelled := make(chan bool, 1)
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/list": func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Length", "3"}, "ab", "cdef", "gh") },
		"/stream": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Length", "3")
			for r.Yield("abcd") == nil {
			}
			cancelled <- true
		},
	}))
	c := ts.dial()
	for _, path := range []string{"/list", "/stream", "/list"} {
		if _, body := c.get(path); body != "abc" && body != "abcd"[:3] {
			t.Errorf("%s: %q", path, body)
		}
		waitFor(t, "log", func() bool { return strings.Contains(ts.logs.String(), "longer than its Content-Length") })
	}
	<-cancelled
}

// wantCut reads a response that is cut and returns the error.
func wantCut(t *testing.T, c *client) error {
	t.Helper()
	_, body, err := c.tryResponse("GET")
	if err == nil {
		t.Fatalf("the response looks whole: %q", body)
	}
	if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
		t.Fatal(err)
	}
	return err
}

func TestAReplyThatFallsShortOrFailsCutsTheConnectionSoThatTheClientCanTell(t *testing.T) {
	for _, tc := range []struct {
		name, version string
		reset         bool
		run           func(r *fakeRequest)
	}{
		{"short list", "1.1", true, func(r *fakeRequest) { r.Reply("200 OK", []string{"Content-Length", "9"}, "abc") }},
		{"short stream", "1.1", true, func(r *fakeRequest) {
			r.Start("200 OK", "Content-Length", "9")
			_ = r.Yield("abc")
			r.Complete()
		}},
		{"failed with length", "1.1", true, func(r *fakeRequest) {
			r.Start("200 OK", "Content-Length", "9")
			_ = r.Yield("abc")
			r.Fail()
		}},
		{"failed chunked", "1.1", false, func(r *fakeRequest) {
			r.Start("200 OK")
			_ = r.Yield("abc")
			r.Fail()
		}},
		{"ended without Complete", "1.1", false, func(r *fakeRequest) {
			r.Start("200 OK")
			_ = r.Yield("abc")
		}},
		{"failed until close", "1.0", true, func(r *fakeRequest) {
			r.Start("200 OK")
			_ = r.Yield("abc")
			r.Fail()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ts := serve(t, tc.run)
			c := ts.dial()
			c.send("GET / HTTP/" + tc.version + "\r\nHost: h\r\n\r\n")
			err := wantCut(t, c)
			if reset := strings.Contains(err.Error(), "reset"); reset != tc.reset {
				t.Errorf("reset %v: %v", reset, err)
			}
			if logs := ts.logs.String(); !strings.Contains(logs, "GET /") {
				t.Errorf("log: %s", logs)
			}
		})
	}
}

func TestAFailureBeforeTheHeadIsAPlain500AndTheConnectionGoesOn(t *testing.T) {
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/fail": func(r *fakeRequest) { r.Fail() },
		"/none": func(r *fakeRequest) {},
		"/head": func(r *fakeRequest) { r.Start("200 OK"); r.Fail() },
		"/good": hello,
	}))
	c := ts.dial()
	for _, path := range []string{"/fail", "/good", "/none", "/head", "/good"} {
		resp, body := c.get(path)
		if path == "/good" {
			continue
		}
		if resp.StatusCode != 500 || body != "500 Internal Server Error\n" || resp.Close {
			t.Errorf("%s: %v %q", path, resp, body)
		}
	}
	c.send("HEAD /fail HTTP/1.1\r\nHost: h\r\n\r\n")
	if resp, body := c.response("HEAD"); resp.StatusCode != 500 || body != "" {
		t.Errorf("%v %q", resp, body)
	}
	c.get("/good")
}

func TestTheNextRequestIsServedWhileCloseOfTheLastStillRuns(t *testing.T) {
	for _, stream := range []bool{false, true} {
		release := make(chan struct{})
		ts := serve(t, func(r *fakeRequest) {
			if stream {
				r.Start("200 OK")
				_ = r.Yield("x")
				r.Complete()
			} else {
				r.Reply("200 OK", nil, "x")
			}
			<-release
		})
		c := ts.dial()
		for range 5 {
			if _, body := c.get("/"); body != "x" {
				t.Error(body)
			}
		}
		if n := ts.app.count(&ts.app.live); n != 5 {
			t.Errorf("%d exchanges live", n)
		}
		close(release)
	}
}

func TestBigRepliesAndManyChunksArriveWhole(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/list": func(r *fakeRequest) { r.Reply("200 OK", nil, big, "x", big, "", big[:5000]) },
		"/64k":  func(r *fakeRequest) { r.Reply("200 OK", nil, big[:maxSmall]) },
		"/stream": func(r *fakeRequest) {
			r.Start("200 OK")
			for i := 0; i < len(big); {
				n := min(1+i%9000, len(big)-i)
				_ = r.Yield(big[i : i+n])
				i += n
			}
			r.Complete()
		},
	}))
	c := ts.dial()
	for path, want := range map[string]string{"/list": big + "x" + big + big[:5000], "/64k": big[:maxSmall], "/stream": big} {
		for range 2 {
			if _, body := c.get(path); body != want {
				t.Errorf("%s: %d bytes, want %d", path, len(body), len(want))
			}
		}
	}
}

func TestFilesAreSentFromTheirOffset(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	content := strings.Repeat("0123456789", 200_000)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	pipeR, pipeW, err := os.Pipe() // sendfile refuses it, and so does pread: a failure after the head
	if err != nil {
		t.Fatal(err)
	}
	zero, err := os.Open("/dev/zero") // no regular file: by a copy, where sendfile refuses it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _, _ = f.Close(), pipeR.Close(), pipeW.Close(), zero.Close() })
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/whole": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Length", fmt.Sprint(len(content)-5))
			r.SendFile(f, 5, int64(len(content)-5))
			r.Complete()
		},
		"/chunked": func(r *fakeRequest) {
			r.Start("200 OK")
			_ = r.Yield("<")
			r.SendFile(f, 5, 10)
			_ = r.Yield(">")
			r.Complete()
		},
		"/cut": func(r *fakeRequest) {
			r.Start("200 OK", "Content-Length", "3")
			r.SendFile(f, 5, 10)
			r.Complete()
		},
		"/zero": func(r *fakeRequest) {
			r.Start("200 OK")
			r.SendFile(zero, 0, 100_000)
			r.Complete()
		},
		"/short": func(r *fakeRequest) {
			r.Start("200 OK")
			r.SendFile(f, int64(len(content)-5), 10)
			r.Complete()
		},
		"/pipe": func(r *fakeRequest) {
			r.Start("200 OK")
			r.SendFile(pipeR, 0, 10)
			r.Complete()
		},
	}))
	c := ts.dial()
	for path, want := range map[string]string{"/whole": content[5:], "/chunked": "<5678901234>", "/cut": "567", "/zero": strings.Repeat("\x00", 100_000)} {
		if _, body := c.get(path); body != want {
			t.Errorf("%s: %d bytes, want %d", path, len(body), len(want))
		}
	}
	for _, path := range []string{"/short", "/pipe"} {
		c := ts.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		_ = wantCut(t, c)
	}
}

func TestASlowReaderHoldsBackAGeneratorAndNobodyElse(t *testing.T) {
	var yielded atomic.Int64
	ts := serve(t, paths(map[string]func(*fakeRequest){
		"/big": func(r *fakeRequest) {
			chunk := strings.Repeat("x", 64<<10)
			r.Start("200 OK")
			for range 400 {
				if r.Yield(chunk) != nil {
					return
				}
				yielded.Add(int64(len(chunk)))
			}
			r.Complete()
		},
		"/small": hello,
	}))
	slow := ts.dial()
	slow.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
	fast := ts.dial()
	last, same := int64(-1), 0
	waitFor(t, "the generator is held back", func() bool {
		fast.get("/small")
		time.Sleep(5 * time.Millisecond)
		if n := yielded.Load(); n == last && n > 0 {
			same++
		} else {
			last, same = n, 0
		}
		return same > 10
	})
	if last >= 400*64<<10 {
		t.Error("the generator was not held back")
	}
	if _, body := slow.response("GET"); len(body) != 400*64<<10 {
		t.Errorf("%d bytes", len(body))
	}
}

func TestAResponseWhoseTimeIsOverIsReplacedOrCutUnlessTheClientHasAllOfIt(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		switch r.Environ["PATH_INFO"] {
		case "/late":
		case "/committed": // nothing was sent
			r.update(func(x *fakeExchange) {
				x.status, x.headers, x.committed, x.timedOut = []byte("200 OK"), nil, true, true
			})
		case "/length":
			r.Start("200 OK", "Content-Length", "3")
			_ = r.Yield("one")
			r.AwaitSent()
		case "/chunked":
			r.Start("200 OK")
			_ = r.Yield("one")
			r.AwaitSent()
		case "/closing":
			r.Reply("200 OK", plainText, "all")
		}
		r.TimeOut()
		if r.Environ["PATH_INFO"] != "/closing" {
			r.AwaitCancel()
		}
		r.Lose()
	})
	c := ts.dial()
	for path, want := range map[string]int{"/late": 504, "/committed": 504, "/length": 200, "/closing": 200} {
		if resp, _ := c.get(path); resp.StatusCode != want || resp.Close {
			t.Errorf("%s: %v", path, resp)
		}
	}
	c.send("GET /chunked HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, body, err := c.tryResponse("GET"); err == nil || body != "one" {
		t.Errorf("%q: %v", body, err)
	}
}

func TestAShutdownWaitsForAllButLostRequests(t *testing.T) {
	hold := make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		r.TimeOut()
		r.Lose()
		<-hold
	})
	defer close(hold)
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.want(504, "*")
	_ = c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := ts.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
