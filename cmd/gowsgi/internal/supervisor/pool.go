// Package supervisor keeps a number of worker processes running: it replaces those that die, and exchanges them one at a time for new ones
// without ever having fewer than wanted.
package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"

	"time"
)

// Process is a worker process. Its methods do not wait, and may be called by any goroutine.
type Process interface {
	Pid() int
	// Ready gets nil when the worker serves, or the reason why it never will.
	Ready() <-chan error
	// Recycle gets a reason each time the worker wants to be replaced.
	Recycle() <-chan string
	// Closed is closed when the worker drains and takes no new connections any more.
	Closed() <-chan struct{}
	// Exited is closed when the process is gone; Exit says how it ended then.
	Exited() <-chan struct{}
	Exit() Exit
	// Drain has it finish what it has in hand within the time, and exit.
	Drain(timeout time.Duration)
	// Kill ends it at once.
	Kill()
}

// Exit is how a process ended.
type Exit struct {
	Code int    // -1 where a signal ended it
	Text string // "exit status 3", "signal: segmentation fault"
}

// Options of a pool.
type Options struct {
	Workers         int
	Start           func(number int) (Process, error) // numbers count from 1 and are given again when they are free
	StartTimeout    time.Duration                     // from Start to Ready; 0: no limit
	GracefulTimeout time.Duration                     // from Drain to Kill, which comes 3 s later
	Logger          *slog.Logger
}

// Failures in a row, while no worker serves, after which Done tells: to try on would only fill the log.
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

// Pool is a set of workers. New starts none; Run does all the work.
type Pool struct {
	o      Options
	calls  chan func()
	events chan func()

	members    []*member
	want       int
	generation int       // of the code that new workers run
	last       int       // generation given out
	failures   int       // in a row
	failed     error     // the last one
	deaths     int       // in a row, within shortLife
	pause      time.Time // until then they keep the next start waiting
	notBefore  time.Time // of the next start
	stopping   bool
	quick      bool
	served     bool // a worker served once
	exitCode   int
	reload     *reload
	ended      error

	done chan struct{}
}

// reload is one that is under way.
type reload struct {
	before  int // generation to go back to
	workers int // how many were wanted before
	waiters []chan error
}

// ErrStopping is the answer to a reload while the pool stops.
var ErrStopping = errors.New("the server is stopping")

// New makes a pool.
func New(o Options) *Pool {
	return &Pool{o: o, want: o.Workers, calls: make(chan func()), events: make(chan func()), done: make(chan struct{})}
}

// StartError is why a pool gave up: no worker could be started.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// Run keeps the workers running until Stop, and returns the first exit code other than 0 with which a worker ended after Stop; or a
// *StartError at once where the first worker can't start at all, later after some tries without any that serves.
func (p *Pool) Run() (code int, err error) {
	defer close(p.done)
	for {
		wait := p.reconcile()
		if p.ended != nil {
			p.killAll()
			return 0, p.ended
		}
		if p.stopping && len(p.members) == 0 {
			return p.exitCode, nil
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case f := <-p.calls:
			f()
		case f := <-p.events:
			f()
		case <-timer:
		}
	}
}

// Done is closed when Run has returned.
func (p *Pool) Done() <-chan struct{} { return p.done }

// call runs f on the goroutine of Run.
func (p *Pool) call(f func()) bool {
	ran := make(chan struct{})
	select {
	case p.calls <- func() { f(); close(ran) }:
		<-ran
		return true
	case <-p.done:
		return false
	}
}

// Member is a worker and its place.
type Member struct {
	Process  Process
	Number   int
	Draining bool
}

// Adopt takes over a process that serves, or drains, already: the next Reload exchanges it. Before Run.
func (p *Pool) Adopt(number int, w Process, drains bool) {
	m := &member{Process: w, number: number, state: serving, since: time.Now()}
	p.members = append(p.members, m)
	p.served = true
	p.watch(m)
	if drains {
		m.closed = true
		p.drain(m) // it may not have heard of it
	}
}

// Quiesce calls f with all workers while nothing else happens, unless the pool stops. Those that are still starting are ended before.
func (p *Pool) Quiesce(f func([]Member)) {
	p.call(func() {
		if p.stopping {
			return
		}
		var members []Member
		for _, m := range slices.Clone(p.members) {
			if m.state == starting {
				m.Kill()
				p.remove(m)
				select { // else nobody would wait for the process, where f becomes another program
				case <-m.Exited():
				case <-time.After(killAfter):
				}
				continue
			}
			members = append(members, Member{m.Process, m.number, m.state == draining})
		}
		f(members)
	})
}

// Reload exchanges all workers for new ones, n of them from now on, one at a time, and returns when all are; or with an error when a new one fails: then the old
// ones that are left stay.
func (p *Pool) Reload(n int) error {
	result := make(chan error, 1)
	if !p.call(func() {
		switch {
		case p.stopping:
			result <- ErrStopping
			return
		case p.reload == nil:
			p.reload = &reload{before: p.generation, workers: p.want}
			p.want = n
			p.last++
			p.generation = p.last
			p.failures, p.notBefore = 0, time.Time{}
			p.deaths, p.pause = 0, time.Time{}
		}
		p.reload.waiters = append(p.reload.waiters, result)
	}) {
		return ErrStopping
	}
	select {
	case err := <-result:
		return err
	case <-p.done:
		return ErrStopping
	}
}

// SetTimeouts changes the times of the options, for what begins from now on.
func (p *Pool) SetTimeouts(start, graceful time.Duration) {
	p.call(func() { p.o.StartTimeout, p.o.GracefulTimeout = start, graceful })
}

// Resize changes the number of workers by delta, to 1 at least, and returns the new one.
func (p *Pool) Resize(delta int) (n int) {
	p.call(func() {
		if !p.stopping {
			p.want = max(1, p.want+delta)
		}
		n = p.want
	})
	return n
}

// Stop drains all workers, within the graceful timeout; quick: at once, what is in hand is lost. Called again, it kills them, and the exit code is 1 at
// least.
func (p *Pool) Stop(quick bool) {
	p.call(func() {
		if p.stopping {
			p.killAll()
			p.exitCode = max(p.exitCode, 1)
			return
		}
		p.stopping, p.quick = true, quick
		p.endReload(ErrStopping)
		for _, m := range p.members {
			if quick && m.state == draining {
				p.drain(m)
			}
		}
	})
}

// Each calls f with each worker process.
func (p *Pool) Each(f func(Process)) {
	p.call(func() {
		for _, m := range p.members {
			f(m.Process)
		}
	})
}

// Owns says whether pid is a worker.
func (p *Pool) Owns(pid int) (is bool) {
	p.Each(func(w Process) { is = is || w.Pid() == pid })
	return is
}

// Workers counts the workers that serve or start.
func (p *Pool) Workers() (n int) {
	p.call(func() { n = p.count(serving) + p.count(starting) })
	return n
}

func (p *Pool) count(s state) (n int) {
	for _, m := range p.members {
		if m.state == s {
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
	live := p.count(starting) + p.count(serving)
	old := p.oldest(p.outdated)
	if p.reload != nil && old == nil && p.count(starting) == 0 && live >= p.want && p.closed() {
		p.endReload(nil)
	}
	switch {
	case p.count(serving) > p.want:
		if old == nil {
			old = p.oldest(func(*member) bool { return true })
		}
		p.drain(old)
		return p.reconcile()
	case live < p.want && (p.served || live == 0), live == p.want && old != nil && p.count(starting) == 0:
		if wait = max(time.Until(p.notBefore), time.Until(p.pause)); wait > 0 {
			return wait
		}
		p.start()
		if p.ended != nil {
			return 0
		}
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
		if !taken {
			return n
		}
	}
}

func (p *Pool) start() {
	number := p.freeNumber()
	w, err := p.o.Start(number)
	if err != nil {
		p.fail(p.generation, fmt.Errorf("worker %d can't be started: %w", number, err))
		return
	}
	m := &member{Process: w, number: number, generation: p.generation, since: time.Now()}
	p.members = append(p.members, m)
	p.watch(m)
}

// watch turns what happens to a worker into events.
func (p *Pool) watch(m *member) {
	limit := p.o.StartTimeout
	event := func(f func()) bool {
		select {
		case p.events <- f:
			return true
		case <-p.done:
			return false
		}
	}
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
				event(func() { p.isReady(m, err) })
			case why := <-m.Recycle():
				event(func() { p.recycle(m, why) })
			case <-closed:
				closed = nil
				event(func() { p.isClosed(m) })
			case <-late:
				late = nil
				event(func() {
					if m.state == starting {
						p.isReady(m, fmt.Errorf("it did not start within %v", limit))
					}
				})
			case <-m.Exited():
				select { // what it said before counts
				case err := <-ready:
					event(func() { p.isReady(m, err) })
				default:
				}
				event(func() { p.gone(m) })
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

// fail takes note of a worker that did not come to serve.
func (p *Pool) fail(generation int, err error) {
	p.failed = err
	p.failures++
	backoff := min(firstBackoff<<min(p.failures-1, 20), lastBackoff)
	p.notBefore = time.Now().Add(backoff + rand.N(backoff/4))
	switch {
	case p.stopping:
	case p.reload != nil && generation == p.generation:
		p.generation, p.want = p.reload.before, p.reload.workers
		p.endReload(err)
	case !p.served || p.failures >= maxFailures && p.count(serving) == 0:
		p.ended = &StartError{err}
	default:
		p.o.Logger.Error("a worker did not start; trying again", "error", err, "after", backoff)
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
}
