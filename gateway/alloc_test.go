//go:build !race

package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
)

const browserRequest = "GET /polls/42/?page=2 HTTP/1.1\r\nHost: example.org:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n" +
	"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n" +
	"Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=x\r\n\r\n"

func TestASmallRequestAllocatesNothing(t *testing.T) {
	head := []byte(browserRequest)
	mounts := sortMounts([]Mount{{}, {Prefix: "/api"}})
	ends := endpointsOf(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000}, "http")
	fixed := ends.appendPairs(nil)
	status, headers := []byte("200 OK"), record("Content-Type", "text/html", "X-Frame-Options", "DENY")
	q, path, rec, out := new(request), make([]byte, 0, 100), make([]byte, 0, 4000), make([]byte, 0, 4000)
	once := func() {
		var scan headScanner
		end, _ := scan.scan(head)
		if q.parse(head[:end]) != 0 {
			panic("refused")
		}
		path = unescape(path[:0], q.target.path)
		rec = appendEnviron(rec[:0], q, path, findMount(mounts, path), fixed, &ends, 0)
		var h responseHead
		if err := h.check(status, headers); err != nil {
			panic(err)
		}
		f, n := h.frame(q.head, q.http10, true, 100)
		out = h.append(out[:0], status, headers, f, n, q.http10, q.keepAlive)
	}
	once()
	if n := testing.AllocsPerRun(1000, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnIdleConnectionCostsLittleMemory(t *testing.T) {
	ts := serve(t, hello)
	const n = 400
	measure := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	ts.dial().get("/")
	before, goroutines := measure(), runtime.NumGoroutine()
	conns := make([]net.Conn, n)
	p := make([]byte, 1000)
	for i := range conns {
		c, err := net.Dial("tcp", ts.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		fmt.Fprint(c, browserRequest)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(p); err != nil {
			t.Fatal(err)
		}
	}
	after := measure()
	waitFor(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	for _, c := range conns {
		_ = c.Close()
	}
	// The clients' ends are in it too.
	if per := (after - before) / n; per > 4<<10 {
		t.Errorf("%d bytes for each idle connection", per)
	} else {
		t.Logf("%d bytes for each idle connection", per)
	}
}

func TestALongUploadCostsLittleMemory(t *testing.T) {
	ts := serve(t, digest)
	c := ts.dial()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	piece := []byte(bodyText(1 << 20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 134217728\r\n\r\n")
	for range 128 {
		if _, err := c.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if _, body := c.response("POST"); !strings.HasSuffix(body, " file 134217728") {
		t.Error(body)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
		t.Errorf("%d bytes were allocated", allocated)
	} else {
		t.Logf("%d bytes were allocated", allocated)
	}
}

func BenchmarkParseAndEnviron(b *testing.B) {
	head := []byte(browserRequest)
	mounts := sortMounts([]Mount{{}})
	ends := endpointsOf(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000}, "http")
	fixed := ends.appendPairs(nil)
	q, path, rec := new(request), make([]byte, 0, 100), make([]byte, 0, 4000)
	b.ReportAllocs()
	for b.Loop() {
		var scan headScanner
		end, _ := scan.scan(head)
		_ = q.parse(head[:end])
		path = unescape(path[:0], q.target.path)
		rec = appendEnviron(rec[:0], q, path, findMount(mounts, path), fixed, &ends, 0)
	}
}

func BenchmarkServe(b *testing.B) {
	ts := serve(b, hello)
	c := ts.dial()
	p := make([]byte, 1000)
	_ = c.SetDeadline(time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		c.send(browserRequest)
		if _, err := c.Read(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkServeWithAccessLog(b *testing.B) {
	for _, name := range []string{"none", "combined", "json"} {
		b.Run(name, func(b *testing.B) {
			ts := serve(b, hello, func(s *Server) {
				if format, err := accesslog.ParseFormat(name); err == nil {
					s.AccessLog = accesslog.New(io.Discard, accesslog.Options{Format: format})
					b.Cleanup(func() { _ = s.AccessLog.Close(context.Background()) })
				}
			})
			c := ts.dial()
			p := make([]byte, 1000)
			_ = c.SetDeadline(time.Time{})
			b.ReportAllocs()
			for b.Loop() {
				c.send(browserRequest)
				if _, err := c.Read(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
