package gateway

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// enough is how many bytes d must bring at a rate in bytes a second; 0 where there is no rate.
func enough(rate int64, d time.Duration) int64 {
	if rate <= 0 || d <= 0 {
		return 0
	}
	return int64(min(float64(rate)*d.Seconds(), 1<<60))
}

// pace is how a body comes, in periods of BodyTimeout. A rate over the whole body would let a client that was fast at first be silent for
// hours. Its reader's, with conn.mu held.
type pace struct {
	ends int64 // of the period, in the clock of sweep.go; 0: none has begun
	got  int64 // bytes of the period
}

// allow is how long the client may be silent from now on, at most timeout. got are bytes of the body since the last call. Not ok: the period is
// over, and it brought too little.
func (p *pace) allow(now, got int64, timeout time.Duration, enough int64) (d time.Duration, ok bool) {
	if timeout <= 0 {
		return 0, true
	}
	p.got += got
	if p.ends != 0 && now >= p.ends {
		if p.got < enough {
			return 0, false
		}
		p.ends = 0
	}
	if p.ends == 0 {
		*p = pace{ends: now + int64(timeout)}
	}
	if p.got >= enough {
		return timeout, true
	}
	return time.Duration(p.ends - now), true
}

// taking is how a client takes its responses, as the sweeper sees it at each tick in which something is ready for the client.
type taking struct {
	writing atomic.Bool  // the writer waits for the client
	written atomic.Int64 // bytes that it gave to the kernel

	// The sweeper's.
	last   int64         // what the client had taken
	since  int64         // when it last took something; 0: nothing was ready
	spent  time.Duration // of the current period of WriteTimeout, in which something was ready
	before int64         // what it had taken before that period
}

// startWriteTimer lets the writer wait for a client that takes its response: at most WriteTimeout for any of it, and not for one that is slower
// than MinWriteRate.
func (c *conn) startWriteTimer() {
	if c.s.WriteTimeout > 0 {
		c.taking.writing.Store(true)
	}
}

func (c *conn) stopWriteTimer() { c.taking.writing.Store(false) }

// wrote notes that n bytes went to the kernel.
func (c *conn) wrote(n int64) { c.taking.written.Add(n) }

// takesTooLittle says whether the client is to be cut off. On the sweeper.
func (c *conn) takesTooLittle(now, enough int64) bool {
	t := &c.taking
	if !t.writing.Load() {
		if t.since != 0 {
			t.since = 0
		}
		return false
	}
	taken := c.taken()
	if t.since == 0 || taken != t.last {
		t.last, t.since = taken, now
	}
	if now-t.since > int64(c.s.WriteTimeout) {
		return true
	}
	if t.spent == 0 {
		t.before = taken
	}
	if t.spent += c.s.tick; t.spent <= c.s.WriteTimeout {
		return false
	}
	before := t.before
	t.spent, t.before = 0, taken
	return taken-before < enough
}

// taken is how many bytes the client took. Only differences mean something: responses that no writer wrote are not in it. The kernel keeps some
// megabytes for a client; these were not taken. And it says that there is room for more only when a third of that is free again.
func (c *conn) taken() int64 {
	n := c.taking.written.Load()
	if !c.tcp { // of a unix socket the kernel tells the memory
		return n
	}
	c.onSocket(func(fd int) {
		if waiting, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
			n -= int64(waiting)
		}
	})
	return n
}
