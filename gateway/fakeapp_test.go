package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/pyhost"
)

var errFakeGone = errors.New("fake app: the client is gone")

// fakeApp runs func(*fakeRequest) in place of Python. It has one event goroutine as the host has, uses exchanges again, overwrites chunks
// that were given back, and counts what the contract of pyhost.Exchange forbids.
type fakeApp struct {
	run func(r *fakeRequest)

	mu       sync.Mutex
	events   []*fakeExchange
	wake     chan struct{}
	quit     chan struct{}
	free     []*fakeExchange
	live     int // exchanges that were made and not released
	requests int
	cancels  int
	broken   []string
	fds      map[uintptr]bool
}

func newFakeApp(t testing.TB, run func(r *fakeRequest)) *fakeApp {
	a := &fakeApp{run: run, wake: make(chan struct{}, 1), quit: make(chan struct{}), fds: map[uintptr]bool{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.eventLoop()
	}()
	t.Cleanup(func() {
		waitFor(t, "all exchanges released", func() bool { return a.count(&a.live) == 0 })
		close(a.quit)
		<-ended
		for _, b := range a.broken {
			t.Error(b)
		}
		if len(a.fds) > 0 {
			t.Errorf("descriptors owned at the end: %v", a.fds)
		}
	})
	return a
}

func (a *fakeApp) count(p *int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *p
}

func (a *fakeApp) breach(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = append(a.broken, fmt.Sprintf(format, args...))
}

func (a *fakeApp) eventLoop() {
	for {
		select {
		case <-a.quit:
			return
		case <-a.wake:
		}
		a.mu.Lock()
		events := a.events
		a.events = nil
		a.mu.Unlock()
		for _, x := range events {
			x.mu.Lock()
			sink := x.sink
			x.mu.Unlock()
			if sink != nil {
				start := time.Now()
				sink.ExchangeReady(x)
				sink.ExchangeReady(x) // as a late one
				if d := time.Since(start); d > 10*time.Second {
					a.breach("ExchangeReady took %v", d)
				}
			}
		}
	}
}

func (a *fakeApp) post(x *fakeExchange) {
	a.mu.Lock()
	a.events = append(a.events, x)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *fakeApp) NewExchange() pyhost.Exchange {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live++
	if n := len(a.free); n > 0 {
		x := a.free[n-1]
		a.free = a.free[:n-1]
		return x
	}
	x := &fakeExchange{app: a}
	x.cond.L = &x.mu
	return x
}

func (a *fakeApp) OwnFD(fd uintptr, own bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if own == a.fds[fd] {
		a.broken = append(a.broken, fmt.Sprintf("OwnFD(%d, %v) twice", fd, own))
	}
	if own {
		a.fds[fd] = true
	} else {
		delete(a.fds, fd)
	}
}

// fakeExchange implements pyhost.Exchange.
type fakeExchange struct {
	app *fakeApp

	mu        sync.Mutex
	cond      sync.Cond
	sink      pyhost.Sink
	submitted bool
	r         *fakeRequest
	room      []byte
	body      []byte
	bodyEnd   bool
	bodyErr   error
	want      bool
	cancelled bool

	status, headers                   []byte
	committed, complete, failed, done bool
	refused, timedOut, lost           bool
	doneTaken                         bool
	chunks                            []pyhost.Chunk // made, not taken
	lent                              []pyhost.Chunk // taken, not sent
	unsent                            int64
}

func (x *fakeExchange) BodyRoom(n int) ([]byte, error) {
	room := make([]byte, n)
	copy(room, x.room)
	for i := range x.room {
		x.room[i] = '?'
	}
	x.room = room
	return room, nil
}

func (x *fakeExchange) Submit(r *pyhost.Request, s pyhost.Sink) error {
	req := &fakeRequest{x: x, App: r.App, Record: slices.Clone(r.Environ), Environ: map[string]string{}, ContentLength: r.ContentLength, Stream: r.Stream}
	for rec := req.Record; ; {
		k, v, rest, ok := pyhost.NextPair(rec)
		if !ok {
			if len(rest) > 0 {
				x.app.breach("malformed environ record")
			}
			break
		}
		if _, twice := req.Environ[string(k)]; twice {
			x.app.breach("%s is in the environ twice", k)
		}
		req.Environ[string(k)] = string(v)
		rec = rest
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.submitted, x.sink, x.r = true, s, req
	x.body = slices.Clone(r.Body)
	x.bodyEnd = !r.Stream
	if r.BodyFile > 0 {
		req.File = os.NewFile(uintptr(dup(r.BodyFile)), "body")
		req.whole = io.NewSectionReader(req.File, 0, r.ContentLength)
	}
	x.app.mu.Lock()
	x.app.requests++
	x.app.mu.Unlock()
	go req.serve()
	return nil
}

func (x *fakeExchange) check(what string) {
	if !x.submitted {
		x.app.breach("%s on an exchange that is not in use", what)
	}
}

func (x *fakeExchange) PushBody(p []byte) (int64, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.check("PushBody")
	x.body = append(x.body, p...)
	x.cond.Broadcast()
	return int64(len(x.body)), nil
}

func (x *fakeExchange) EndBody(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.check("EndBody")
	x.bodyEnd, x.bodyErr = true, err
	x.cond.Broadcast()
}

func (x *fakeExchange) Take(out *pyhost.Output) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.check("Take")
	out.Committed, out.Complete, out.Failed, out.Done, out.WantBody = x.committed, x.complete, x.failed, x.done, x.want
	out.Refused, out.TimedOut, out.Lost = x.refused, x.timedOut, x.lost
	x.want = false
	x.doneTaken = x.done
	if x.committed {
		out.Status, out.Headers = x.status, x.headers
	}
	out.Chunks = append(out.Chunks, x.chunks...)
	x.lent = append(x.lent, x.chunks...)
	x.chunks = nil
}

func (x *fakeExchange) Sent(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n == 0 {
		return
	}
	x.check("Sent")
	if n > len(x.lent) {
		x.app.breach("Sent(%d) of %d chunks", n, len(x.lent))
		n = len(x.lent)
	}
	x.giveBack(n)
	x.cond.Broadcast()
}

// giveBack overwrites the chunks. x.mu is held.
func (x *fakeExchange) giveBack(n int) {
	for _, ch := range x.lent[:n] {
		x.unsent -= int64(len(ch.Data))
		for i := range ch.Data {
			ch.Data[i] = '!'
		}
	}
	x.lent = x.lent[n:]
}

// Times says of every request that thread 7 took it after 2 ms and is done in 3.
func (x *fakeExchange) Times() pyhost.Times {
	x.check("Times")
	return pyhost.Times{Queue: 2 * time.Millisecond, Python: 3 * time.Millisecond, Thread: 7}
}

func (x *fakeExchange) Cancel() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.check("Cancel")
	if !x.cancelled {
		x.app.mu.Lock()
		x.app.cancels++
		x.app.mu.Unlock()
	}
	x.cancelled = true
	x.cond.Broadcast()
}

func (x *fakeExchange) Release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.submitted && !x.doneTaken {
		x.app.breach("Release before Done was taken")
	}
	if len(x.chunks) > 0 {
		x.app.breach("Release with %d chunks not taken", len(x.chunks))
	}
	x.giveBack(len(x.lent))
	a := x.app
	x.room = nil
	x.sink, x.submitted, x.r, x.body, x.bodyEnd, x.bodyErr, x.want, x.cancelled = nil, false, nil, nil, false, nil, false, false
	x.status, x.headers, x.chunks, x.lent, x.unsent = nil, nil, nil, nil, 0
	x.committed, x.complete, x.failed, x.done, x.doneTaken = false, false, false, false, false
	x.refused, x.timedOut, x.lost = false, false, false
	a.mu.Lock()
	a.live--
	a.free = append(a.free, x)
	a.mu.Unlock()
}

// fakeRequest is what the app's side sees. Its methods are called by the app's goroutine.
type fakeRequest struct {
	x             *fakeExchange
	App           int
	Record        []byte
	Environ       map[string]string
	ContentLength int64
	Stream        bool
	File          *os.File // the spooled body
	whole         io.Reader
}

func (r *fakeRequest) serve() {
	r.x.app.run(r)
	if r.File != nil {
		_ = r.File.Close()
	}
	r.update(func(x *fakeExchange) {
		x.done = true
		if !x.complete {
			x.failed = true
		}
	})
}

func (r *fakeRequest) update(f func(x *fakeExchange)) {
	r.x.mu.Lock()
	f(r.x)
	r.x.mu.Unlock()
	r.x.app.post(r.x)
}

// Read reads the body; it blocks until some of it is there.
func (r *fakeRequest) Read(p []byte) (int, error) {
	if r.File != nil {
		return r.whole.Read(p)
	}
	x := r.x
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.body) == 0 && !x.bodyEnd && !x.cancelled {
		if !x.want {
			x.want = true
			x.app.post(x)
		}
		x.cond.Wait()
	}
	if x.cancelled {
		return 0, errFakeGone
	}
	if len(x.body) == 0 {
		if x.bodyErr != nil {
			return 0, x.bodyErr
		}
		return 0, io.EOF
	}
	n := copy(p, x.body)
	x.body = x.body[n:]
	return n, nil
}

func record(headers ...string) (rec []byte) {
	for i := 0; i < len(headers); i += 2 {
		rec = pyhost.AppendPair(rec, headers[i], headers[i+1])
	}
	return rec
}

// Reply gives a list: everything at once.
func (r *fakeRequest) Reply(status string, headers []string, chunks ...string) {
	r.update(func(x *fakeExchange) {
		x.status, x.headers = []byte(status), record(headers...)
		x.committed, x.complete = true, true
		for _, c := range chunks {
			x.chunks = append(x.chunks, pyhost.Chunk{Data: []byte(c), File: -1})
			x.unsent += int64(len(c))
		}
	})
}

// Start is start_response; the first Yield commits it.
func (r *fakeRequest) Start(status string, headers ...string) {
	r.x.mu.Lock()
	defer r.x.mu.Unlock()
	r.x.status, r.x.headers = []byte(status), record(headers...)
}

// Yield gives one chunk. It waits while 256 KiB are not sent, and fails once the client is gone.
func (r *fakeRequest) Yield(data string) error {
	x := r.x
	x.mu.Lock()
	for x.unsent >= 256<<10 && !x.cancelled {
		x.cond.Wait()
	}
	cancelled := x.cancelled
	x.mu.Unlock()
	if cancelled {
		return errFakeGone
	}
	r.update(func(x *fakeExchange) {
		x.committed = true
		x.chunks = append(x.chunks, pyhost.Chunk{Data: []byte(data), File: -1})
		x.unsent += int64(len(data))
	})
	return nil
}

// AwaitSent waits until all chunks were given back.
func (r *fakeRequest) AwaitSent() {
	x := r.x
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.chunks)+len(x.lent) > 0 {
		x.cond.Wait()
	}
}

// SendFile gives a stretch of a file.
func (r *fakeRequest) SendFile(f *os.File, offset, size int64) {
	r.update(func(x *fakeExchange) {
		x.committed = true
		x.chunks = append(x.chunks, pyhost.Chunk{File: int(f.Fd()), Offset: offset, Size: size})
	})
}

func (r *fakeRequest) Complete() {
	r.update(func(x *fakeExchange) { x.committed, x.complete = true, true })
}

func (r *fakeRequest) Fail() {
	r.update(func(x *fakeExchange) { x.failed = true })
}

// Refuse ends a request that no thread took.
func (r *fakeRequest) Refuse() {
	r.update(func(x *fakeExchange) { x.refused = true })
}

// TimeOut is the deadline that passes.
func (r *fakeRequest) TimeOut() {
	r.update(func(x *fakeExchange) { x.timedOut = true })
}

// Lose is the thread that does not come back.
func (r *fakeRequest) Lose() {
	r.update(func(x *fakeExchange) { x.lost = true })
}

// AwaitCancel waits until the client is gone.
func (r *fakeRequest) AwaitCancel() bool {
	x := r.x
	timer := time.AfterFunc(10*time.Second, func() { x.mu.Lock(); x.cond.Broadcast(); x.mu.Unlock() })
	defer timer.Stop()
	deadline := time.Now().Add(10 * time.Second)
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.cancelled && time.Now().Before(deadline) {
		x.cond.Wait()
	}
	return x.cancelled
}
