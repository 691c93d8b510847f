package gateway

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// digest answers with length and hash of the body, and with where it was.
func digest(r *fakeRequest) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		r.Fail()
		return
	}
	kind := "memory"
	if r.File != nil {
		kind = "file"
	} else if r.Stream {
		kind = "stream"
	}
	r.Reply("200 OK", nil, fmt.Sprintf("%d %x %s %s", n, h.Sum(nil), kind, r.Environ["CONTENT_LENGTH"]))
}

// chunkedText is body in chunks of n bytes.
func chunkedText(body string, n int) string {
	var b strings.Builder
	for len(body) > 0 {
		m := min(n, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", m, body[:m])
		body = body[m:]
	}
	return b.String() + "0\r\n\r\n"
}

func bodyText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + (i*7+i/251)%26)
	}
	return string(b)
}

func TestABodyIsWholeBeforeTheAppRunsAndSpooledOver1MiB(t *testing.T) {
	dir := t.TempDir()
	ts := serve(t, digest, func(s *Server) { s.SpoolDir = dir })
	for _, n := range []int{0, 1, 4000, 5000, 70_000, maxBodyMemory - 1, maxBodyMemory, maxBodyMemory + 1, 5_000_000} {
		for _, chunk := range []int{0, 1000, 100_000} {
			body := bodyText(n)
			where := "memory"
			if n > maxBodyMemory {
				where = "file"
			}
			want := fmt.Sprintf("%d %x %s %d", n, sha256.Sum256([]byte(body)), where, n)
			c := ts.dial()
			for range 2 {
				if chunk == 0 {
					c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(n) + "\r\n\r\n" + body)
				} else {
					c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunkedText(body, chunk))
				}
				c.want(200, want)
			}
			_ = c.Close()
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left in the spool directory: %v %v", files, err)
	}
}

func TestABodyThatCannotBeSpooledIsAnswered500AndLogged(t *testing.T) {
	ts := serve(t, digest, func(s *Server) { s.SpoolDir = "/nonexistent" })
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1500000\r\n\r\n" + bodyText(1_500_000))
	c.want(500, "500 Internal Server Error\n")
	if !strings.Contains(ts.logs.String(), "/nonexistent") {
		t.Error(ts.logs)
	}
}

func TestWithStreamInputTheAppReadsWhileTheClientSends(t *testing.T) {
	read := make(chan string)
	ts := serve(t, func(r *fakeRequest) {
		p := make([]byte, 100)
		for {
			n, err := r.Read(p)
			if err != nil {
				break
			}
			read <- string(p[:n])
		}
		hello(r)
	}, func(s *Server) { s.StreamInput = true })
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n")
	c.send("one")
	if s := <-read; s != "one" {
		t.Error(s)
	}
	c.send("two")
	if s := <-read; s != "two" {
		t.Error(s)
	}
	c.want(200, "hello /")
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\non")
	if s := <-read; s != "on" {
		t.Error(s)
	}
	c.send("e\r\n0\r\n\r\n")
	if s := <-read; s != "e" {
		t.Error(s)
	}
	c.want(200, "hello /")
}

func TestWithStreamInputLongBodiesArriveWhole(t *testing.T) {
	ts := serve(t, digest, func(s *Server) { s.StreamInput = true })
	body := bodyText(3_000_000)
	c := ts.dial()
	for _, chunk := range []int{0, 70_000} {
		want := fmt.Sprintf("%d %x stream ", len(body), sha256.Sum256([]byte(body)))
		if chunk == 0 {
			want += strconv.Itoa(len(body))
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
		} else {
			c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunkedText(body, chunk))
		}
		c.want(200, want)
	}
}

func TestWithStreamInputAnAppThatDoesNotReadHoldsTheClientBack(t *testing.T) {
	waiting := make(chan int, 1)
	finish := make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		for {
			select {
			case <-finish:
				digest(r)
				return
			case <-time.After(5 * time.Millisecond):
				r.x.mu.Lock()
				n := len(r.x.body)
				r.x.mu.Unlock()
				select {
				case <-waiting:
				default:
				}
				waiting <- n
			}
		}
	}, func(s *Server) { s.StreamInput = true })
	c := ts.dial()
	body := bodyText(20_000_000)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n"+body)
	}()
	last, same := -1, 0
	waitFor(t, "the client is held back", func() bool {
		if n := <-waiting; n == last && n > 0 {
			same++
		} else {
			last, same = n, 0
		}
		return same > 10
	})
	if last > maxBodyWaiting+128<<10 {
		t.Errorf("%d bytes wait", last)
	}
	close(finish)
	c.want(200, fmt.Sprintf("%d %x stream 20000000", len(body), sha256.Sum256([]byte(body))))
	<-sent
}

// TestABodyThatTheAppDidNotReadIsNeverParsedAsARequest is the smuggling matrix.
func TestABodyThatTheAppDidNotReadIsNeverParsedAsARequest(t *testing.T) {
	for _, stream := range []bool{false, true} {
		for _, chunked := range []bool{false, true} {
			for _, padding := range []int{0, 4096, 8192, 65536, 300_000} {
				for _, slow := range []bool{false, true} {
					t.Run(fmt.Sprintf("stream %v chunked %v padding %d slow %v", stream, chunked, padding, slow), func(t *testing.T) {
						answered := make(chan struct{}, 1)
						ts := serve(t, func(r *fakeRequest) {
							hello(r)
							select {
							case answered <- struct{}{}:
							default:
							}
						}, func(s *Server) { s.StreamInput = stream })
						c := ts.dial()
						body := strings.Repeat("x", padding) + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
						head := "Content-Length: " + strconv.Itoa(len(body))
						if chunked {
							head, body = "Transfer-Encoding: chunked", chunkedText(body, 5000)
						}
						c.send("POST /first HTTP/1.1\r\nHost: h\r\n" + head + "\r\n\r\n")
						if slow && stream {
							<-answered // the body comes when the response is over
						}
						// The server may have ended the connection before all is sent.
						_, _ = io.WriteString(c, body)
						resp := c.want(200, "hello /first")
						_, err := io.WriteString(c, "GET /second HTTP/1.1\r\nHost: h\r\n\r\n")
						if resp.Close || padding > maxDrain && err != nil {
							return
						}
						_, got, err := c.tryResponse("GET")
						if err == nil && got != "hello /second" || err != nil && padding < maxDrain {
							t.Errorf("%q %v", got, err)
						}
					})
				}
			}
		}
	}
}

func TestABodyOverTheLimitIsAnswered413AndTheConnectionClosed(t *testing.T) {
	for _, stream := range []bool{false, true} {
		ts := serve(t, digest, func(s *Server) { s.MaxBodySize, s.StreamInput = 1000, stream })
		for _, head := range []string{"Content-Length: 1001\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n", "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"} {
			c := ts.dial()
			c.send("POST / HTTP/1.1\r\nHost: h\r\n" + head)
			if strings.HasPrefix(head, "Transfer") {
				c.send(chunkedText(bodyText(1001), 100))
			}
			c.want(413, "413 Request Entity Too Large\n")
			c.wantClosed()
		}
		c := ts.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + bodyText(1000))
		c.want(200, "*")
	}
}

func TestAnUnlimitedBodyIsAskedForByANegativeLimit(t *testing.T) {
	ts := serve(t, digest, func(s *Server) { s.MaxBodySize = -1 })
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000000\r\n\r\n")
	_ = c.Close()
}

func TestABadChunkInAStreamIsAnswered400OrMakesTheReadFail(t *testing.T) {
	begun, failed := make(chan struct{}), make(chan error, 1)
	ts := serve(t, func(r *fakeRequest) {
		if r.Environ["PATH_INFO"] == "/begun" {
			r.Start("200 OK")
			_ = r.Yield("x")
			r.AwaitSent()
			close(begun)
			_, err := io.Copy(io.Discard, r)
			failed <- err
			r.Complete()
			return
		}
		echo(r)
	}, func(s *Server) { s.StreamInput = true })
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n")
	c.want(400, "400 Bad Request\n")
	c.wantClosed()
	c = ts.dial()
	c.send("POST /begun HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	<-begun
	c.send("zzz\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
	if err := <-failed; err == nil {
		t.Error("the app's read did not fail")
	}
	c.want(200, "x")
	c.wantClosed()
}

func TestContinueIsSentWhenTheAppFirstReads(t *testing.T) {
	read := make(chan struct{})
	ts := serve(t, func(r *fakeRequest) {
		<-read
		echo(r)
	})
	c := ts.dial()
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := c.r.Peek(1); err == nil {
			t.Fatal("an answer before the app reads")
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		read <- struct{}{}
		if line, err := c.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatal(line, err)
		}
		if line, err := c.r.ReadString('\n'); err != nil || line != "\r\n" {
			t.Fatal(line, err)
		}
		c.send("hello")
		c.want(200, "hello")
	}
}

func TestContinueIsNotSentWhereTheBodyIsNotReadOrIsThereOrTheVersionIs10(t *testing.T) {
	ts := serve(t, paths(map[string]func(*fakeRequest){"/ignore": hello, "/echo": echo}))
	c := ts.dial()
	c.send("POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if resp := c.want(200, "hello /ignore"); !resp.Close {
		t.Error("the client may not send the body now: the connection must end")
	}
	c.wantClosed()
	c = ts.dial()
	c.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
	c.want(200, "hello")
	c.send("GET /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n")
	c.want(200, "")
	c = ts.dial()
	c.send("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.r.Peek(1); err == nil {
		t.Fatal("an answer before the body")
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	c.send("hello")
	c.want(200, "hello")
}

func TestContinueIsNotSentAfterTheResponseHasBegun(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK")
		_ = r.Yield("x")
		r.AwaitSent()
		b, _ := io.ReadAll(r)
		_ = r.Yield(string(b))
		r.Complete()
	})
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if line, err := c.r.Peek(12); err != nil || string(line) != "HTTP/1.1 200" {
		t.Fatalf("%q %v", line, err)
	}
	c.send("hello")
	c.want(200, "xhello")
}

func TestSlowClientsAreAnswered408OrClosed(t *testing.T) {
	short := func(s *Server) {
		s.HeaderTimeout, s.IdleTimeout, s.BodyTimeout = shortTimeout, shortTimeout, shortTimeout
	}
	for _, stream := range []bool{false, true} {
		ts := serve(t, echo, short, func(s *Server) { s.StreamInput = stream })
		c := ts.dial()
		c.wantClosed() // idle from the beginning
		c = ts.dial()
		c.get("/")
		c.wantClosed() // idle after a request
		c = ts.dial()
		c.send("GET / HT")
		c.want(408, "408 Request Timeout\n")
		c.wantClosed()
		c = ts.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
		c.want(408, "408 Request Timeout\n")
		c.wantClosed()
	}
}

func TestTheTimeForAHeaderSectionStartsWithItsFirstByte(t *testing.T) {
	ts := serve(t, hello, func(s *Server) { s.IdleTimeout, s.HeaderTimeout = time.Hour, shortTimeout })
	for _, before := range []string{"", "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"} {
		c := ts.dial()
		c.send(before + "GET / HT")
		if before != "" {
			c.want(200, "hello /1")
		}
		c.want(408, "408 Request Timeout\n")
	}
	c := ts.dial()
	c.get("/")
	c.send("GET / HT")
	c.want(408, "408 Request Timeout\n")
}

func TestAClientThatWaitsForContinueIsNotTimedOut(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		time.Sleep(2 * shortTimeout)
		echo(r)
	}, func(s *Server) {
		s.BodyTimeout, s.IdleTimeout, s.HeaderTimeout = shortTimeout, shortTimeout, shortTimeout
	})
	c := ts.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if line, err := c.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatal(line, err)
	}
	_, _ = c.r.ReadString('\n')
	c.want(408, "*")
}

func TestAClientThatTakesNothingIsCut(t *testing.T) {
	gone := make(chan bool, 1)
	ts := serve(t, func(r *fakeRequest) {
		r.Start("200 OK")
		for r.Yield(strings.Repeat("x", 60<<10)) == nil {
		}
		gone <- true
	}, func(s *Server) { s.WriteTimeout = 50 * time.Millisecond })
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-gone
}

func TestAClientThatLeavesIsNoticedInEveryPhase(t *testing.T) {
	for _, how := range []string{"close", "reset"} {
		leave := func(c *client) {
			if how == "reset" {
				_ = c.tcp().SetLinger(0)
			}
			_ = c.Close()
		}
		t.Run(how+" before and in the head", func(t *testing.T) {
			ts := serve(t, hello)
			leave(ts.dial())
			c := ts.dial()
			c.send("GET / HT")
			leave(c)
		})
		t.Run(how+" in the body", func(t *testing.T) {
			ts := serve(t, hello)
			c := ts.dial()
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n" + bodyText(2_000_000))
			leave(c)
			waitFor(t, "the connection is forgotten", func() bool { return ts.empty() })
			if n := ts.app.count(&ts.app.requests); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
		t.Run(how+" in a streamed body", func(t *testing.T) {
			result := make(chan error, 1)
			ts := serve(t, func(r *fakeRequest) {
				_, err := io.Copy(io.Discard, r)
				result <- err
			}, func(s *Server) { s.StreamInput = true })
			c := ts.dial()
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n" + bodyText(100_000))
			leave(c)
			if err := <-result; err == nil {
				t.Error("the read did not fail")
			}
		})
		for _, pipelined := range []int{0, 100, 100_000} {
			t.Run(fmt.Sprint(how, " while the app works, pipelined bytes ", pipelined), func(t *testing.T) {
				started := make(chan struct{})
				cancelled := make(chan bool, 1)
				ts := serve(t, func(r *fakeRequest) {
					close(started)
					if pipelined > maxReadAhead {
						time.Sleep(20 * time.Millisecond) // the end can't be seen behind so many bytes: the write shows it
						r.Start("200 OK")
						for r.Yield(strings.Repeat("x", 10000)) == nil {
						}
					}
					cancelled <- r.AwaitCancel()
					r.Reply("200 OK", nil, "late")
				})
				c := ts.dial()
				c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n" + strings.Repeat("x", pipelined))
				<-started
				leave(c)
				if !<-cancelled {
					t.Error("not cancelled")
				}
			})
		}
		t.Run(how+" in the response", func(t *testing.T) {
			gone := make(chan bool, 1)
			ts := serve(t, func(r *fakeRequest) {
				r.Start("200 OK")
				for r.Yield(strings.Repeat("x", 10000)) == nil {
				}
				gone <- true
			})
			c := ts.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			if _, err := c.r.ReadByte(); err != nil {
				t.Fatal(err)
			}
			leave(c)
			<-gone
		})
		t.Run(how+" while a stream is silent", func(t *testing.T) {
			cancelled := make(chan bool, 1)
			ts := serve(t, func(r *fakeRequest) {
				r.Start("200 OK")
				_ = r.Yield("x")
				cancelled <- r.AwaitCancel()
			})
			c := ts.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			if _, err := c.r.ReadByte(); err != nil {
				t.Fatal(err)
			}
			leave(c)
			if !<-cancelled {
				t.Error("not cancelled")
			}
		})
		t.Run(how+" after the response, while close() runs", func(t *testing.T) {
			finish := make(chan struct{})
			ts := serve(t, func(r *fakeRequest) {
				hello(r)
				<-finish
			})
			c := ts.dial()
			c.get("/")
			leave(c)
			waitFor(t, "the connection is forgotten", func() bool {
				ts.mu.Lock()
				defer ts.mu.Unlock()
				return len(ts.conns) == 0
			})
			if n := ts.app.count(&ts.app.cancels); n != 0 {
				t.Error("a request that was answered was cancelled")
			}
			close(finish)
		})
	}
}
