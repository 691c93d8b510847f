//go:build cgo

package admission

import (
	"container/heap"
	"iter"
	"time"
)

// world is a discrete-event simulation: processes that wait in virtual time, on so many cores. One of them runs at a time, in an order that
// the events alone decide, so that every run is the same.
type world struct {
	now    time.Duration
	events events
	seq    int
	procs  []*proc

	free    int // cores
	waiting []*proc
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newWorld(cores int) *world { return &world{free: cores} }

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now + d, w.seq, do})
}

func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

// end ends all processes.
func (w *world) end() {
	for _, p := range w.procs {
		p.stop()
	}
}

// proc is a process of the simulation: a thread, with its CPU clock.
type proc struct {
	w       *world
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	used    time.Duration
	running bool // on a core, since
	since   time.Duration
}

type ended struct{}

func (w *world) spawn(body func(*proc)) *proc {
	p := &proc{w: w}
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != (ended{}) {
				panic(r)
			}
		}()
		p.yield = yield
		body(p)
	})
	w.procs = append(w.procs, p)
	w.after(0, p.resume)
	return p
}

func (p *proc) resume() { p.next() }

// park waits until resume is called.
func (p *proc) park() {
	if !p.yield(struct{}{}) {
		panic(ended{})
	}
}

func (p *proc) sleep(d time.Duration) {
	p.w.after(d, p.resume)
	p.park()
}

// clock is the CPU time that the process has used.
func (p *proc) clock() time.Duration {
	if p.running {
		return p.used + p.w.now - p.since
	}
	return p.used
}

// compute uses a core for d, together: in slices of at most quantum, after each of which others have their turn and preempted is called.
func (p *proc) compute(d, quantum time.Duration, preempted func()) {
	for d > 0 {
		if p.w.free == 0 {
			p.w.waiting = append(p.w.waiting, p)
			p.park()
		} else {
			p.w.free--
		}
		slice := min(d, quantum)
		p.running, p.since = true, p.w.now
		p.sleep(slice)
		p.running = false
		p.used += slice
		d -= slice
		if len(p.w.waiting) > 0 { // the core goes to who waits longest
			first := p.w.waiting[0]
			p.w.waiting = p.w.waiting[1:]
			p.w.after(0, first.resume)
		} else {
			p.w.free++
		}
		if preempted != nil {
			preempted()
		}
	}
}
