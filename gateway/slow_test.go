package gateway

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPaceOfABody(t *testing.T) {
	const timeout, least = time.Second, 100 // bytes in each second
	ms := func(n int64) int64 { return n * int64(time.Millisecond) }
	for _, row := range []struct {
		name   string
		pieces [][2]int64 // at ms, bytes
		want   int64      // ms that it may be silent after the last; -1: it is too slow
	}{
		{"at the beginning", [][2]int64{{0, 0}}, 1000},
		{"too little so far", [][2]int64{{0, 0}, {400, 50}}, 600},
		{"one too few", [][2]int64{{0, 0}, {400, 99}}, 600},
		{"enough already", [][2]int64{{0, 0}, {400, 100}}, 1000},
		{"enough in pieces", [][2]int64{{0, 0}, {400, 50}, {900, 50}}, 1000},
		{"the next period has to bring as much", [][2]int64{{0, 0}, {400, 5000}, {1200, 1}}, 1000},
		{"and does not", [][2]int64{{0, 0}, {400, 5000}, {1200, 1}, {1700, 1}}, 500},
		{"nearly at its end", [][2]int64{{0, 0}, {400, 5000}, {1200, 1}, {2199, 98}}, 1},
		{"at its end", [][2]int64{{0, 0}, {400, 5000}, {1200, 1}, {2200, 99}}, -1},
		{"at its end, with enough", [][2]int64{{0, 0}, {400, 5000}, {1200, 1}, {2200, 100}}, 1000},
	} {
		var p pace
		var got time.Duration
		ok := true
		for _, piece := range row.pieces {
			got, ok = p.allow(ms(1_000_000+piece[0]), piece[1], timeout, least)
		}
		if ok != (row.want >= 0) || ok && got.Milliseconds() != row.want {
			t.Errorf("%s: %v %t, want %d ms", row.name, got, ok, row.want)
		}
	}
	var p pace
	if d, ok := p.allow(ms(5), 1, 0, 0); d != 0 || !ok {
		t.Errorf("without a timeout it is %v %t", d, ok)
	}
	if enough(240, time.Minute) != 14400 || enough(-1, time.Minute) != 0 || enough(240, -1) != 0 {
		t.Error("enough")
	}
}

// trickle sends pieces without end until the connection fails.
func (c *client) trickle(piece string, every time.Duration) {
	go func() {
		for {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
			time.Sleep(every)
		}
	}()
}

func TestABodyThatComesTooSlowlyIsAnswered408(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, row := range []struct{ name, head, piece string }{
		{"short", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", "x"},
		{"long", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n", "x"},
		{"chunks", chunked, "1\r\nx\r\n"},
		{"inside a chunk", chunked + "ffff\r\n", "x"},
		{"chunk extensions", chunked + "5;a=", "b"},
		{"trailers", chunked + "0\r\nA: ", "b"},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stream=%t", row.name, stream), func(t *testing.T) {
				ts := serve(t, echo, func(s *Server) { s.BodyTimeout, s.MinBodyRate, s.StreamInput = 300*time.Millisecond, 1000, stream })
				c := ts.dial()
				c.send(row.head)
				c.trickle(row.piece, 5*time.Millisecond) // never silent, and 200 bytes a second at most
				c.want(408, "408 Request Timeout\n")
			})
		}
	}
}

func TestABodyThatComesFastEnoughIsRead(t *testing.T) {
	for _, stream := range []bool{false, true} {
		ts := serve(t, echo, func(s *Server) { s.BodyTimeout, s.MinBodyRate, s.StreamInput = 3*time.Second, 100, stream })
		const n = 7000
		c := ts.dial()
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", n))
		start := time.Now()
		for range n / 10 { // for longer than the timeout
			c.send(pad(10))
			time.Sleep(5 * time.Millisecond)
		}
		if d := time.Since(start); d < 3*time.Second {
			t.Fatalf("it was sent in %v", d)
		}
		c.want(200, pad(n))
	}
}

func TestAStreamedBodyMayWaitForItsAppForLong(t *testing.T) {
	ts := serve(t, func(r *fakeRequest) {
		time.Sleep(600 * time.Millisecond) // while 256 KiB wait
		echo(r)
	}, func(s *Server) { s.BodyTimeout, s.StreamInput = 200*time.Millisecond, true })
	body := bodyText(1 << 20)
	c := ts.dial()
	c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	c.want(200, body)
}

// large answers with 16 MiB.
func large(r *fakeRequest) { r.Reply("200 OK", plainText, strings.Repeat("x", 16<<20)) }

func TestAReaderThatIsSlowerThanTheLeastRateIsCut(t *testing.T) {
	ts := serve(t, large, func(s *Server) { s.WriteTimeout, s.MinWriteRate = 400*time.Millisecond, 1<<20 })
	c := ts.dial()
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(8 << 10)
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		p := make([]byte, 1000)
		for { // never silent for long: 200 KB a second at most
			if _, err := c.Read(p); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	waitFor(t, "the connection is cut", func() bool { return ts.Connections() == 0 })
	_ = c.Close()
	<-cut
}

func TestAReaderThatTakesLittleAtATimeIsNotSilent(t *testing.T) {
	ts := serve(t, large, func(s *Server) { s.WriteTimeout, s.MinWriteRate = 4*time.Second, -1 })
	c := ts.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	p := make([]byte, 5000)
	for start := time.Now(); time.Since(start) < 6*time.Second; {
		// The kernel tells the server of room only when a third of its buffer, some 800 KB, is free again.
		if _, err := c.Read(p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := ts.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestAClientThatTakesNothingIsCutOnEachKindOfSocket(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ts := serve(t, large, func(s *Server) { s.WriteTimeout, s.MinWriteRate = 200*time.Millisecond, -1 })
		if network == "unix" {
			ln, err := net.Listen("unix", t.TempDir()+"/s")
			if err != nil {
				t.Fatal(err)
			}
			ts.serveOn(ln)
		}
		c := ts.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		waitFor(t, "a response is written", func() bool { return ts.Connections() == 1 })
		waitFor(t, "the connection is cut", func() bool { return ts.Connections() == 0 })
	}
}

func TestBodiesThatWaitTakeBoundedMemory(t *testing.T) {
	ts := serve(t, digest)
	const n, size = 70, 1 << 20 // more than maxBodiesMemory
	var all []*client
	for range n {
		c := ts.dial()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		all = append(all, c)
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, pad(size-1)))
	}
	waitFor(t, "some are in files", func() bool { return ts.bodies.files.Load() == n-maxBodiesMemory/size })
	if m := ts.bodies.memory.Load(); m > maxBodiesMemory {
		t.Errorf("%d bytes are held", m)
	}
	for _, c := range all {
		c.send("a")
		c.want(200, "*")
	}
	waitFor(t, "all is given back", func() bool {
		return ts.bodies.memory.Load() == 0 && ts.bodies.disk.Load() == 0 && ts.bodies.files.Load() == 0
	})
}

func TestABodyThatWaitsCountsAsTheBufferThatItIsIn(t *testing.T) {
	ts := serve(t, digest)
	const size = 20 << 10
	_, room := bufferSize(size)
	n := maxBodiesMemory/room + 8
	var all []*client
	for range n {
		c := ts.dial()
		all = append(all, c)
		c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", size) + pad(size-1))
	}
	waitFor(t, "some are in files", func() bool { return ts.bodies.files.Load() == 8 })
	for _, c := range all {
		_ = c.Close()
	}
	waitFor(t, "all is given back", func() bool { return ts.bodies.memory.Load() == 0 && ts.bodies.files.Load() == 0 })
}

func TestLongHeadersThatDoNotEndTakeBoundedMemory(t *testing.T) {
	ts := serve(t, hello)
	const n = maxLongHeads + 50
	long := "GET / HTTP/1.1\r\nHost: h\r\nA: " + pad(longHead)
	var all []*client
	for range n {
		c := ts.dial()
		all = append(all, c)
		c.send(long)
	}
	waitFor(t, "those over the limit are refused", func() bool { return ts.Connections() <= maxLongHeads && ts.longHeads.Load() == maxLongHeads })
	ts.dial().get("/") // short ones are served
	var refused atomic.Int32
	var reading sync.WaitGroup
	for _, c := range all {
		reading.Go(func() {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if b, err := c.r.ReadByte(); err == nil && b == 'H' {
				refused.Add(1)
			}
			_ = c.Close()
		})
	}
	reading.Wait()
	if refused := refused.Load(); refused != n-maxLongHeads {
		t.Errorf("%d were refused", refused)
	}
	waitFor(t, "all have left", func() bool { return ts.longHeads.Load() == 0 })
	c := ts.dial()
	for range 2 {
		c.send(long + "\r\n\r\n")
		c.want(200, "hello /")
	}
}
