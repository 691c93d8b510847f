package e2e

import (
	"fmt"
	"net"
	"testing"
)

// vanish closes the connection with a reset, as a client that is gone for good.
func (c *client) vanish() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

func TestCloseIsCalledWhenTheClientIsGoneInAnEndlessResponse(t *testing.T) {
	t.Parallel()
	s := shared(t, "close")
	for _, abrupt := range []bool{true, false} {
		tok := token()
		c := s.dial(t)
		c.do("GET", "/endless?"+tok, "").atLeast(100000)
		if abrupt {
			c.vanish()
		} else {
			c.Close()
		}
		s.waitLog(t, "object closed "+tok)
	}
}

func TestCloseIsCalledAtTheLatestWhenTheAppYieldsNext(t *testing.T) {
	t.Parallel()
	s := start(t, "client_gone", options{args: []string{"--threads", "1"}})
	file, open := gate(t)
	tok := token()
	c := s.dial(t)
	if got := c.do("GET", "/wait?"+tok, "", "X-Gate: "+file).atLeast(3); got != "one" {
		t.Fatal(got)
	}
	c.vanish()
	open()
	s.waitLog(t, "closed "+tok)
	if got := s.getOK(t, "/fast"); got != "fast" { // the only thread is free again
		t.Error(got)
	}
}

func TestWriteRaisesOSErrorWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, "client_gone", options{args: []string{"--threads", "1"}})
	tok := token()
	c := s.dial(t)
	c.do("GET", "/write?"+tok, "").atLeast(100000)
	c.vanish()
	s.waitLog(t, "write raised OSError "+tok)
	if got := s.getOK(t, "/fast"); got != "fast" {
		t.Error(got)
	}
}

func TestInputRaisesOSErrorWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, "client_gone", options{args: []string{"--threads", "1", "--stream-input"}})
	for _, head := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
		tok := token()
		c := s.dial(t)
		c.send(fmt.Sprintf("POST /read?%s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n3\r\nabc\r\n", tok, head))
		s.waitLog(t, "reading "+tok)
		c.vanish()
		s.waitLog(t, "read raised OSError "+tok)
		if s.countLog("read to the end "+tok) > 0 {
			t.Errorf("%s: the app took a part for the whole", head)
		}
	}
	if got := s.getOK(t, "/fast"); got != "fast" {
		t.Error(got)
	}
}

func TestABodyThatNeverComesWholeNeverRunsTheApp(t *testing.T) {
	t.Parallel()
	s := shared(t, "client_gone")
	tok := token()
	c := s.dial(t)
	c.send("POST /read?" + tok + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
	c.vanish()
	if got := s.getOK(t, "/fast"); got != "fast" {
		t.Error(got)
	}
	if s.countLog("read to the end "+tok) > 0 {
		t.Error("the app took a part for the whole")
	}
}

func TestClientsThatVanishWhileTheyWaitLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{args: []string{"--threads", "2"}})
	s.getOK(t, "/fast")
	before := openFiles(t, s.pid)
	file, open := gate(t)
	var clients []*client
	for range 30 {
		c := s.dial(t)
		c.request("GET", "/block?"+file, "")
		clients = append(clients, c)
	}
	s.waitLog(t, "blocked "+file)
	for _, c := range clients {
		c.vanish()
	}
	open()
	if got := s.getOK(t, "/fast"); got != "done" {
		t.Error(got)
	}
	eventually(t, "the connections are closed", func() bool { return openFiles(t, s.pid) <= before+2 })
}
