// Package supervisor keeps a number of worker processes running: it replaces those that die, and exchanges them one at a time for new ones
// without ever having fewer than wanted.
package supervisor

import (
	"errors"
	"log/slog"
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
	Start           func(number int) (Process, error) // on any goroutine; numbers count from 1 and are given again when they are free
	StartTimeout    time.Duration                     // from Start to Ready; 0: no limit
	GracefulTimeout time.Duration                     // from Drain to Kill, which comes 3 s later
	Serving         func(Process)                     // told of a worker that serves from now on, and is not killed before it drained; may be nil
	Persist         bool                              // for development: Run goes on trying though no worker has ever served, and Reload ends those that still start
	Logger          *slog.Logger
}

// Pool is a set of workers. New starts none; Run does all the work.
type Pool struct {
	o      Options
	calls  chan func()
	events chan func()

	members    []*member
	spawns     []*spawn // in the order of their beginning
	quiesce    func()   // not nil: is to be called when the spawns are over, and no other begins before
	want       int
	generation int       // of the code that new workers run
	last       int       // generation given out
	failures   int       // in a row
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
	workers int // how many are wanted if it fails
	waiters []chan error
}

// ErrStopping is the answer to a reload while the pool stops.
var ErrStopping = errors.New("the server is stopping")

// ErrNotNow is what Options.Start returns where no worker can be started just now, though nothing is wrong with that: a moment later it is
// called again, or Stop is.
var ErrNotNow = errors.New("no worker can be started just now")

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
		if p.ended != nil {
			p.killAll()
			return 0, p.ended
		}
		if p.quiesce != nil && (len(p.spawns) == 0 || p.stopping) {
			p.quiesce()
			p.quiesce = nil
		}
		wait := p.reconcile()
		if p.stopping && len(p.members) == 0 && len(p.spawns) == 0 {
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

// Quiesce calls f with all workers while nothing else happens, and none is being started, unless the pool stops. Those that still start are
// told to drain before: one that is about to say that it serves may have requests.
// One call at a time.
func (p *Pool) Quiesce(f func([]Member)) {
	over := make(chan struct{})
	still := func() {
		defer close(over)
		if !p.stopping {
			f(p.drainStarting())
		}
	}
	if p.call(func() { p.quiesce = still }) {
		select {
		case <-over:
		case <-p.done:
		}
	}
}

// drainStarting has the workers drain that start, and returns all.
func (p *Pool) drainStarting() (all []Member) {
	for _, m := range p.members {
		if m.state == starting {
			p.drain(m)
		}
		all = append(all, Member{m.Process, m.number, m.state == draining})
	}
	return all
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
			p.endStarting()
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

// endStarting ends the workers that import older code, where nobody waits for that.
func (p *Pool) endStarting() {
	for _, m := range slices.Clone(p.members) {
		if p.o.Persist && m.state == starting {
			m.Kill()
			p.remove(m)
		}
	}
	for _, s := range p.spawns {
		s.unwanted = s.unwanted || p.o.Persist
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
			if p.reload != nil {
				p.reload.workers = max(1, p.reload.workers+delta)
			}
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

// Workers counts the workers that serve or start.
func (p *Pool) Workers() (n int) {
	p.call(func() { n = p.count(serving) + p.count(starting) })
	return n
}
