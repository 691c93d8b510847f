package e2e

import (
	"net"
	"syscall"
	"testing"
	"time"
)

func TestSIGTERMLetsRequestsInHandFinishAndExits0(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{args: []string{"--threads", "2"}})
	file, open := gate(t)
	idle := s.dial(t)
	idle.do("GET", "/fast", "").body()
	var inHand []*client
	sockets := socketsOf(itoa(s.pid))
	for range 4 { // two run, two wait in the queue
		c := s.dial(t)
		c.request("GET", "/block?"+file, "")
		inHand = append(inHand, c)
	}
	eventually(t, "two are in the app", func() bool { return s.countLog("blocked "+file) == 2 })
	eventually(t, "all are accepted", func() bool { return socketsOf(itoa(s.pid)) >= sockets+4 })
	s.signal(t, syscall.SIGTERM)
	eventually(t, "new connections are refused", func() bool {
		c, err := net.DialTimeout(s.network, s.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	idle.closed()
	if !s.running() {
		t.Fatal("ended with requests in hand")
	}
	open()
	for _, c := range inHand {
		r := c.head("GET")
		if r.status != 200 || r.body() != "done" {
			t.Errorf("a request in hand: %d", r.status)
		}
		c.closed()
	}
	if code := s.waitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSIGQUITEndsAtOnceWhatIsInHand(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{})
	file, open := gate(t)
	defer open()
	c := s.dial(t)
	c.request("GET", "/block?"+file, "")
	s.waitLog(t, "blocked "+file)
	s.signal(t, syscall.SIGQUIT)
	if code := s.waitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r, err := c.tryHead("GET"); err == nil {
		t.Errorf("a response %d to a request that was cut", r.status)
	}
}

func TestAStreamInHandFinishesInADrain(t *testing.T) {
	t.Parallel()
	s := start(t, "slow_stream", options{})
	file, open := gate(t)
	r := s.dial(t).do("GET", "/", "", "X-Gate: "+file)
	r.atLeast(3)
	s.signal(t, syscall.SIGINT)
	eventually(t, "new connections are refused", func() bool {
		c, err := net.DialTimeout(s.network, s.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	open()
	if got := r.body(); got != "two" {
		t.Errorf("%q", got)
	}
	if code := s.waitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAnIdleServerEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, "hello", options{})
	s.dial(t).do("GET", "/", "").body()
	begin := time.Now()
	s.signal(t, syscall.SIGTERM)
	if code := s.waitExit(t); code != 0 || time.Since(begin) > 20*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(begin))
	}
}

func TestASecondSignalEndsTheDrain(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{crash: true})
	file, open := gate(t)
	defer open()
	c := s.dial(t)
	c.request("GET", "/block?"+file, "")
	s.waitLog(t, "blocked "+file)
	s.signal(t, syscall.SIGINT)
	eventually(t, "the drain began", func() bool {
		c, err := net.DialTimeout(s.network, s.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	s.signal(t, syscall.SIGINT)
	if code := s.waitExit(t); code == 0 {
		t.Error("exit code 0 with a request that was cut")
	}
}

func TestRequestsThatOutlastTheGracefulTimeoutAreCut(t *testing.T) {
	t.Parallel()
	s := start(t, "blocks", options{args: []string{"--graceful-timeout", "300ms"}, crash: true})
	file, open := gate(t)
	defer open()
	c := s.dial(t)
	c.request("GET", "/block?"+file, "")
	s.waitLog(t, "blocked "+file)
	begin := time.Now()
	s.signal(t, syscall.SIGTERM)
	s.waitExit(t)
	if d := time.Since(begin); d < 300*time.Millisecond || d > 8*time.Second {
		t.Errorf("ended after %v", d)
	}
	if r, err := c.tryHead("GET"); err == nil {
		t.Errorf("a response %d to a request that was cut", r.status)
	}
}
