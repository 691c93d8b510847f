package supervisor

import (
	"math/rand/v2"
	"time"
)

// Failures in a row, while no worker serves, after which Run gives up: to try on would only fill the log.
const maxFailures = 5

// Waiting times after failures: from the first, doubled each time, to the second.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 30 * time.Second
)

// A worker that ends by itself within shortLife of serving is replaced at once as well, but where that goes on after as many as are wanted,
// waiting times of up to longestPause come in between: the start and the log cost more than they give.
const (
	shortLife    = time.Second
	longestPause = time.Second
)

// killAfter is what a worker gets on top of the graceful timeout to end its Python.
const killAfter = 3 * time.Second

func (p *Pool) count(s state) (n int) {
	for _, m := range p.members {
		if m.state == s {
			n++
		}
	}
	return n
}

// starts is how many workers start, or are being started.
func (p *Pool) starts() int {
	n := p.count(starting)
	for _, s := range p.spawns {
		if !s.unwanted {
			n++
		}
	}
	return n
}

func (p *Pool) outdated(m *member) bool { return m.recycle || m.generation < p.generation }

// reconcile starts and drains workers by what is wanted and what is there, and returns when to look again, 0 for never.
func (p *Pool) reconcile() (wait time.Duration) {
	if p.stopping {
		for _, m := range p.members {
			if m.state != draining {
				p.drain(m)
			}
		}
		return 0
	}
	live := p.starts() + p.count(serving)
	old := p.oldest(p.outdated)
	if p.reload != nil && old == nil && p.starts() == 0 && live >= p.want && p.closed() {
		p.endReload(nil)
	}
	switch {
	case p.count(serving) > p.want:
		if old == nil { // those of a reload that failed before those of the code that it left
			old = p.oldest(func(m *member) bool { return m.generation != p.generation })
		}
		if old == nil {
			old = p.oldest(func(*member) bool { return true })
		}
		p.drain(old)
		return p.reconcile()
	case live < p.want && (p.served || live == 0), live == p.want && old != nil && p.starts() == 0:
		if p.quiesce != nil {
			return 0
		}
		if wait = max(time.Until(p.notBefore), time.Until(p.pause)); wait > 0 {
			return wait
		}
		p.start()
		return p.reconcile()
	}
	return 0
}

// closed says whether no worker of older code takes new connections.
func (p *Pool) closed() bool {
	for _, m := range p.members {
		if m.generation < p.generation && !m.closed {
			return false
		}
	}
	return true
}

// oldest is the worker that has served the longest of those that f picks. Those of a reload come before those that are to be recycled.
func (p *Pool) oldest(f func(*member) bool) (found *member) {
	for _, m := range p.members {
		if m.state == serving && f(m) && (found == nil || m.generation < found.generation || m.generation == found.generation && m.since.Before(found.since)) {
			found = m
		}
	}
	return found
}

func (p *Pool) freeNumber() int {
	for n := 1; ; n++ {
		taken := false
		for _, m := range p.members {
			taken = taken || m.number == n
		}
		for _, s := range p.spawns {
			taken = taken || s.number == n
		}
		if !taken {
			return n
		}
	}
}

// fail takes note of a worker that did not come to serve. One of code that is not wanted any more does not count.
func (p *Pool) fail(generation int, err error) {
	if generation != p.generation {
		p.o.Logger.Debug("a worker of other code did not start", "error", err)
		return
	}
	p.failures++
	backoff := min(firstBackoff<<min(p.failures-1, 20), lastBackoff)
	p.notBefore = time.Now().Add(backoff + rand.N(backoff/4))
	switch {
	case p.stopping:
	case p.reload != nil:
		p.generation, p.want = p.reload.before, p.reload.workers
		p.giveUp(generation)
		p.endReload(err)
	case !p.o.Persist && (!p.served || p.failures >= maxFailures && p.count(serving) == 0):
		p.ended = &StartError{err}
	default:
		p.o.Logger.Error("a worker did not start; trying again", "error", err, "after", backoff)
	}
}

// giveUp ends the workers of a generation that start.
func (p *Pool) giveUp(generation int) {
	for _, m := range p.members {
		if m.state == starting && m.generation == generation {
			p.drain(m) // it may be about to say that it serves, and have requests
		}
	}
	for _, s := range p.spawns {
		s.unwanted = s.unwanted || s.generation == generation
	}
}

func (p *Pool) endReload(err error) {
	if p.reload == nil {
		return
	}
	for _, w := range p.reload.waiters {
		w <- err
	}
	p.reload = nil
}

func (p *Pool) drain(m *member) {
	m.state, m.told = draining, true
	timeout := p.o.GracefulTimeout
	if p.quick {
		timeout = 0
	}
	m.Drain(timeout)
	p.limit(m, timeout)
}

// limit has a worker killed that does not end in time.
func (p *Pool) limit(m *member, timeout time.Duration) {
	time.AfterFunc(timeout+killAfter, func() {
		select {
		case <-m.Exited():
		default:
			p.o.Logger.Error("a worker is killed: it did not end in time", "pid", m.Pid(), "timeout", timeout)
			m.Kill()
		}
	})
}

func (p *Pool) killAll() {
	for _, m := range p.members {
		m.Kill()
	}
	for _, s := range p.spawns {
		s.unwanted = true
	}
}
