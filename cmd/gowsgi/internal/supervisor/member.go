package supervisor

import (
	"fmt"
	"time"
)

type state int

const (
	starting state = iota
	serving
	draining
)

type member struct {
	Process
	number     int
	generation int
	state      state
	told       bool // to drain
	closed     bool // takes no new connections
	recycle    bool
	since      time.Time
}

// event runs f on the goroutine of Run, some time; false where that has ended.
func (p *Pool) event(f func()) bool {
	select {
	case p.events <- f:
		return true
	case <-p.done:
		return false
	}
}

// watch turns what happens to a worker into events.
func (p *Pool) watch(m *member) {
	limit := p.o.StartTimeout
	var late <-chan time.Time
	ready, closed := m.Ready(), m.Closed()
	if m.state != starting {
		ready = nil
	} else if limit > 0 {
		late = time.After(limit)
	}
	go func() {
		for {
			select {
			case err := <-ready:
				ready, late = nil, nil
				p.event(func() { p.isReady(m, err) })
			case why := <-m.Recycle():
				p.event(func() { p.recycle(m, why) })
			case <-closed:
				closed = nil
				p.event(func() { p.isClosed(m) })
			case <-late:
				late = nil
				p.event(func() {
					if m.state == starting {
						p.isReady(m, fmt.Errorf("it did not start within %v", limit))
					}
				})
			case <-m.Exited():
				select { // what it said before counts
				case err := <-ready:
					p.event(func() { p.isReady(m, err) })
				default:
				}
				p.event(func() { p.gone(m) })
				return
			}
		}
	}()
}

func (p *Pool) isReady(m *member, err error) {
	if m.state != starting {
		return
	}
	if err != nil {
		m.Kill()
		p.remove(m) // the process may take a moment to go, and be counted by nobody
		p.fail(m.generation, fmt.Errorf("worker %d: %w", m.number, err))
		return
	}
	m.state, m.since = serving, time.Now()
	p.failures, p.notBefore, p.served = 0, time.Time{}, true
	if p.o.Serving != nil {
		p.o.Serving(m.Process)
	}
}

func (p *Pool) recycle(m *member, why string) {
	if m.state == serving && !m.recycle {
		p.o.Logger.Info("a worker is to be replaced", "worker", m.number, "pid", m.Pid(), "reason", why)
		m.recycle = true
	}
}

// isClosed takes note that a worker takes no new connections. One that nobody told to drain does so for a reason of its own, such as a signal
// to it alone: another takes its place at once.
func (p *Pool) isClosed(m *member) {
	m.closed = true
	if m.state == serving {
		m.state = draining
		p.limit(m, p.o.GracefulTimeout)
	}
}

func (p *Pool) gone(m *member) {
	if !p.remove(m) {
		return
	}
	exit := m.Exit()
	switch {
	case m.told:
		if p.stopping && exit.Code > 0 && p.exitCode == 0 {
			p.exitCode = exit.Code
		}
		p.o.Logger.Debug("a worker has ended", "worker", m.number, "pid", m.Pid(), "status", exit.Text)
	case m.state == starting:
		p.fail(m.generation, fmt.Errorf("worker %d ended while it was starting: %s", m.number, exit.Text))
	default:
		p.o.Logger.Error("a worker ended by itself; another takes its place", "worker", m.number, "pid", m.Pid(), "status", exit.Text)
		p.died(m)
	}
}

// died lets the next start wait where one worker after the other ends as soon as it serves.
func (p *Pool) died(m *member) {
	if time.Since(m.since) >= shortLife {
		p.deaths = 0
		return
	}
	p.deaths++
	if more := p.deaths - p.want; more > 0 {
		p.pause = time.Now().Add(min(firstBackoff<<min(more-1, 20), longestPause))
	}
}

func (p *Pool) remove(m *member) bool {
	for i, o := range p.members {
		if o == m {
			p.members = append(p.members[:i], p.members[i+1:]...)
			return true
		}
	}
	return false
}
