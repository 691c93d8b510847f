package gateway

import (
	"io"
	"sync/atomic"
	"testing"
)

func TestRequestsThatExpectContinueNeverHoldMoreThanAQuarterOfTheThreads(t *testing.T) {
	const expect = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
	for _, kind := range []string{"raw", "net/http"} {
		var begun atomic.Int32
		read := make(chan struct{})
		app := func(r *fakeRequest) {
			begun.Add(1)
			<-read
			echo(r)
		}
		var ts *testServer
		if kind == "raw" {
			ts = serve(t, app)
		} else {
			ts = foreignServer(t, kind, app, HandlerOptions{})
		}
		goOn := func(c *client) {
			t.Helper()
			line := make([]byte, len(continueLine))
			if _, err := io.ReadFull(c.r, line); err != nil || string(line) != string(continueLine) {
				t.Fatalf("%s: %q, %v", kind, line, err)
			}
		}
		var first []*client
		for range 4 {
			c := ts.dial()
			c.send(expect)
			first = append(first, c)
		}
		waitFor(t, "four are in the app", func() bool { return begun.Load() == 4 })
		more := ts.dial()
		more.send(expect)
		goOn(more) // though the app reads nothing
		if n := begun.Load(); n != 4 {
			t.Errorf("%s: the app has %d requests", kind, n)
		}
		more.send("hello")
		waitFor(t, "the fifth is in the app with its body", func() bool { return begun.Load() == 5 })
		close(read)
		more.want(200, "hello")
		for _, c := range first {
			goOn(c)
			c.send("hello")
			c.want(200, "hello")
		}
		c := ts.dial()
		c.send(expect)
		waitFor(t, "there is room again", func() bool { return begun.Load() == 6 })
		goOn(c)
		c.send("hello")
		c.want(200, "hello")
	}
}
