package supervisor

import (
	"bytes"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a worker without a process. The test says when it serves; it obeys orders at once, unless told not to.
type fake struct {
	pid, number int
	started     time.Time
	ready       chan error
	recycle     chan string
	shut        chan struct{}
	exited      chan struct{}
	serving     bool
	killed      atomic.Bool

	mu      sync.Mutex
	drains  []time.Duration // the timeouts of the orders to drain
	slow    bool            // it goes on with a request when told to drain
	exit    Exit
	code    int // with which it ends when told to
	onDrain func()
}

func (f *fake) Pid() int                { return f.pid }
func (f *fake) Ready() <-chan error     { return f.ready }
func (f *fake) Recycle() <-chan string  { return f.recycle }
func (f *fake) Closed() <-chan struct{} { return f.shut }
func (f *fake) Exited() <-chan struct{} { return f.exited }
func (f *fake) Exit() Exit              { return f.exit }

func (f *fake) Drain(timeout time.Duration) {
	f.onDrain()
	f.mu.Lock()
	f.drains = append(f.drains, timeout)
	obeys := !f.slow
	f.mu.Unlock()
	if obeys {
		f.close()
		f.end(Exit{Code: f.code, Text: "exit status"})
	}
}

func (f *fake) Kill() {
	f.killed.Store(true)
	f.end(Exit{Code: -1, Text: "signal: killed"})
}

// close has it take no more connections.
func (f *fake) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !isClosed(f.shut) {
		close(f.shut)
	}
}

func (f *fake) end(how Exit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !isClosed(f.exited) {
		f.exit = how
		close(f.exited)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// takes says whether clients get answers from it.
func (f *fake) takes() bool { return f.serving && !isClosed(f.shut) && !isClosed(f.exited) }

func (f *fake) told() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.drains) > 0
}

// rig is a pool of fakes in a bubble of synctest, in which time passes only while all wait.
type rig struct {
	*testing.T
	*Pool
	mu    sync.Mutex // starts, which are on goroutines of their own
	all   []*fake
	next  func(*fake) error // what happens at a start
	log   bytes.Buffer
	ended chan struct{} // closed after Run, whose results are in code and err then
	over  bool          // the test ends
	code  int
	err   error
}

// run calls test with a pool that runs, in a bubble, and ends the pool.
func run(t *testing.T, o Options, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, next: func(*fake) error { return nil }}
		o.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
		o.Start = r.start
		r.Pool = New(o)
		r.ended = make(chan struct{})
		go func() {
			r.code, r.err = r.Pool.Run()
			close(r.ended)
		}()
		synctest.Wait()
		test(r)
		r.over = true
		r.Stop(true)
		r.Stop(true)
		r.ends()
	})
}

func (r *rig) start(number int) (Process, error) {
	f := &fake{
		number: number, started: time.Now(), ready: make(chan error, 1), recycle: make(chan string, 1),
		shut: make(chan struct{}), exited: make(chan struct{}), onDrain: func() {},
	}
	r.mu.Lock()
	f.pid = 100 + len(r.all)
	r.all = append(r.all, f)
	r.mu.Unlock()
	if err := r.next(f); err != nil {
		return nil, err
	}
	return f, nil
}

// up has a worker serve, and waits until the pool has done what it does then.
func (r *rig) up(f *fake) {
	f.serving = true
	f.ready <- nil
	r.settle()
}

// upAll has all workers serve that start, also those that start meanwhile.
func (r *rig) upAll() {
	for i := 0; i < len(r.all); i++ {
		if f := r.all[i]; !f.serving && !f.told() && !isClosed(f.exited) {
			r.up(f)
		}
	}
}

// since are the workers that were started from the nth on.
func (r *rig) since(n int) []*fake { return r.all[n:] }

// last is the worker that was started last.
func (r *rig) last() *fake { return r.all[len(r.all)-1] }

// end has a worker end by itself.
func (r *rig) end(f *fake, how Exit) {
	f.end(how)
	r.settle()
}

// takers are the workers that take connections.
func (r *rig) takers() (out []*fake) {
	for _, f := range r.all {
		if f.takes() {
			out = append(out, f)
		}
	}
	return out
}

// want checks how many were started so far, and how many of them take connections.
func (r *rig) want(what string, started, takers int) {
	r.Helper()
	if n, k := len(r.all), len(r.takers()); n != started || k != takers {
		r.Fatalf("%s: %d workers were started and %d take connections, expected %d and %d", what, n, k, started, takers)
	}
}

// wantOnly checks that just these take connections.
func (r *rig) wantOnly(what string, fakes ...*fake) {
	r.Helper()
	if got := r.takers(); !slices.Equal(got, fakes) {
		r.Fatalf("%s: other workers take connections than should", what)
	}
}

// neverFewerThan has the test fail when a worker is told to drain while fewer than n others take connections.
func (r *rig) neverFewerThan(n int) {
	for _, f := range r.all {
		r.guard(f, n)
	}
	before := r.next
	r.next = func(f *fake) error {
		r.guard(f, n)
		return before(f)
	}
}

func (r *rig) guard(f *fake, n int) {
	f.onDrain = func() {
		if left := len(r.takers()) - 1; f.serving && left < n && !r.over {
			r.Errorf("worker %d is told to drain, which leaves %d", f.number, left)
		}
	}
}

// reloading begins a reload and returns where its end will be told.
func (r *rig) reloading(n int) <-chan error {
	result := make(chan error, 1)
	go func() { result <- r.Reload(n) }()
	r.settle()
	return result
}

// pending checks that nothing was told yet.
func (r *rig) pending(what string, result <-chan error) {
	r.Helper()
	select {
	case err := <-result:
		r.Fatalf("%s: the reload is over: %v", what, err)
	default:
	}
}

// settle waits until the pool has done all that is to be done now. What the test did before comes before that, for the race detector too.
func (r *rig) settle() {
	r.Workers()
	synctest.Wait()
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	r.settle()
	time.Sleep(d)
	synctest.Wait()
}

// ends waits for the end of the pool.
func (r *rig) ends() {
	r.Workers()
	<-r.ended
}

func (r *rig) stop(quick bool) {
	r.Stop(quick)
	r.settle()
}
