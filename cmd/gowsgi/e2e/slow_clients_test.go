package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

const (
	gib      = 1 << 30
	boundKiB = 100 << 10
)

func TestAnUploadOf1GiBKeepsTheProcessUnder100MiBAboveIdle(t *testing.T) {
	s := start(t, "upload", options{})
	s.getOK(t, "/")
	piece := []byte(strings.Repeat("0123456789abcdef", 1<<16))
	sum := sha256.New()
	for _, framing := range []string{"content-length", "chunked"} {
		size := gib
		if framing == "chunked" {
			size = gib / 4
		}
		c := s.dial(t)
		var reply string
		peak := peakAboveKiB(t, s.pid, func() {
			if framing == "chunked" {
				c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
			} else {
				c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size))
			}
			sum.Reset()
			for sent := 0; sent < size; sent += len(piece) {
				sum.Write(piece)
				c.limit()
				if framing == "chunked" {
					c.send(fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece))
				} else if _, err := c.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			if framing == "chunked" {
				c.send("0\r\n\r\n")
			}
			reply = c.head("POST").body()
		})
		if want := fmt.Sprintf("%d %x", size, sum.Sum(nil)); reply != want {
			t.Errorf("%s: %q, expected %q", framing, reply, want)
		}
		t.Logf("%s: %d MiB above idle", framing, peak>>10)
		if peak > boundKiB && !sanitized {
			t.Errorf("%s: the process rose %d MiB above its idle size", framing, peak>>10)
		}
	}
}

func TestADownloadOf1GiBToASlowReaderKeepsTheProcessUnder100MiBAboveIdle(t *testing.T) {
	s := start(t, "download", options{})
	s.getOK(t, "/generator?1")
	want := downloadSum(gib)
	for _, path := range []string{"/generator", "/list"} {
		sum := sha256.New()
		c := s.dial(t)
		peak := peakAboveKiB(t, s.pid, func() {
			r := c.do("GET", path+"?1024", "")
			// Slow at first: 64 KiB at a time with a pause, so that the generator is far ahead; then as fast as it goes.
			n, buf := int64(0), make([]byte, 65536)
			for range 40 {
				m, err := io.ReadFull(c.r, buf)
				sum.Write(buf[:m])
				if n += int64(m); err != nil {
					t.Fatal(err)
				}
				time.Sleep(25 * time.Millisecond)
			}
			for n < gib {
				c.limit()
				m, err := io.CopyN(sum, c.r, min(gib-n, gib/32))
				if n += m; err != nil || r.status != 200 {
					t.Fatalf("%d after %d bytes: %v", r.status, n, err)
				}
			}
		})
		if got := fmt.Sprintf("%x", sum.Sum(nil)); got != want {
			t.Errorf("%s: the body is not what the app made", path)
		}
		c.usable("/list?0")
		t.Logf("%s: %d MiB above idle", path, peak>>10)
		if peak > boundKiB && !sanitized {
			t.Errorf("%s: the process rose %d MiB above its idle size", path, peak>>10)
		}
	}
}

func TestSlowUploadsHoldNoPythonThread(t *testing.T) {
	t.Parallel()
	s := start(t, "upload", options{args: []string{"--threads", "2"}})
	body := strings.Repeat("x", 2<<20)
	var slow []*client
	for i := range 8 {
		c := s.dial(t)
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:1024+i*200000]))
		slow = append(slow, c)
	}
	for range 20 { // eight uploads are under way, two threads exist: others are served all the same
		if got := s.getOK(t, "/"); got != uploadReply("") {
			t.Fatal(got)
		}
	}
	for i, c := range slow {
		c.send(body[1024+i*200000:])
	}
	for _, c := range slow {
		if got := c.head("POST").body(); got != uploadReply(body) {
			t.Error(got)
		}
	}
}

func TestSlowReadersHoldNoPythonThread(t *testing.T) {
	t.Parallel()
	s := start(t, "download", options{args: []string{"--threads", "2"}})
	var slow []*response
	for i := range 8 {
		path := "/generator?8"
		if i%2 == 1 {
			path = "/list?8"
		}
		slow = append(slow, s.dial(t).do("GET", path, "")) // reads no more than the head for now
	}
	for range 20 {
		if got := s.getOK(t, "/list?0"); got != "" {
			t.Fatal(got)
		}
	}
	for _, r := range slow {
		if n := len(r.body()); n != 8<<20 {
			t.Errorf("%d bytes", n)
		}
	}
}

func TestAClientThatSendsItsHeadByteByByteIsServed(t *testing.T) {
	t.Parallel()
	c := shared(t, "hello").dial(t)
	for _, b := range []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n") {
		c.send(string(b))
	}
	if r := c.head("GET"); r.status != 200 || r.body() != "hello\n" {
		t.Error(r.status)
	}
}

// downloadSum is the SHA-256 of the first n bytes that the download app sends.
func downloadSum(n int) string {
	sum, piece := sha256.New(), []byte(strings.Repeat("0123456789abcdef", 1<<16))
	for ; n > 0; n -= len(piece) {
		sum.Write(piece[:min(n, len(piece))])
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func TestAResponseThatWasSpooledArrivesAsItWasMade(t *testing.T) {
	t.Parallel()
	s := shared(t, "download")
	want := downloadSum(16 << 20)
	for _, pause := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
		r := s.dial(t).do("GET", "/odd?16", "")
		sum := sha256.New()
		for i := 0; ; i++ {
			p, err := r.next()
			sum.Write(p)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if i < 20 {
				time.Sleep(pause) // a slow client: the app gets ahead of it
			}
		}
		if got := fmt.Sprintf("%x", sum.Sum(nil)); got != want {
			t.Errorf("pause %v: the body is not what the app made", pause)
		}
	}
}
