//go:build cgo

package admission

import (
	"math/rand/v2"
	"time"
)

const (
	us = time.Microsecond
	ms = time.Millisecond
)

// step is a part of a request.
type step struct {
	kind stepKind
	d    time.Duration
}

type stepKind int

const (
	withGIL    stepKind = iota // computes
	withoutGIL                 // computes with the GIL let go, as zlib does
	wait                       // I/O
	block                      // for ever
)

type request struct {
	steps  []step
	queued time.Duration
	done   func()
}

// server is dispatch.c in the simulation, around the real policy.
type server struct {
	*world
	policy   *policy
	gil      *gil // nil: there is none
	threads  []*proc
	idle     []int // last in, first out
	queue    []*request
	finished []*request // not told
	deliver  time.Duration
	jitter   *rand.Rand // where not nil, wake-ups take longer at times

	longestWait time.Duration // in the queue
	served      []int         // requests per thread
	inApp       int
	mostInApp   int
}

type config struct {
	cores, threads int
	noGIL          bool
	deliver        time.Duration // how long delivering a group of replies takes
	jitter         *rand.Rand
}

func newServer(c config) *server {
	s := &server{world: newWorld(c.cores), deliver: max(c.deliver, 5*us), jitter: c.jitter}
	s.policy = newPolicy(c.threads, 5*ms, !c.noGIL, c.cores)
	if !c.noGIL {
		s.gil = &gil{w: s.world, interval: 5 * ms}
	}
	s.served = make([]int, c.threads)
	for i := range c.threads {
		s.threads = append(s.threads, s.spawn(func(p *proc) { s.loop(p, i) }))
	}
	s.spawn(func(p *proc) {
		for quiet := 0; ; {
			p.sleep(tickInterval())
			if quiet++; s.policy.needsTicks() || len(s.finished) > 0 {
				quiet = 0
			}
			if quiet <= 10 {
				s.tell()
				s.tick()
			}
		}
	})
	return s
}

func (s *server) close() {
	s.end()
	s.policy.free()
}

func (s *server) take(p *proc) {
	if s.gil != nil {
		s.gil.take(p)
	}
}

func (s *server) drop(p *proc) {
	if s.gil != nil {
		s.gil.drop(p)
	}
}

func (s *server) wakeOne() {
	me := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	s.policy.woken(me)
	d := threadWake
	if s.jitter != nil && s.jitter.IntN(4) == 0 {
		d += time.Duration(s.jitter.Int64N(int64(3 * ms)))
	}
	s.after(d, s.threads[me].resume)
}

func (s *server) submit(r *request) {
	r.queued = s.now
	s.queue = append(s.queue, r)
	if s.policy.requestQueued(s.now) {
		s.wakeOne()
	}
}

func (s *server) tick() {
	if s.policy.wantsClocks(s.now) {
		for i, p := range s.threads {
			s.policy.setClock(i, p.clock())
		}
	}
	if s.policy.tick(s.now) {
		s.wakeOne()
	}
}

// tell lets the clients have the replies.
func (s *server) tell() {
	told := s.finished
	s.finished = nil
	for _, r := range told {
		r.done()
	}
}

func (s *server) loop(p *proc, me int) {
	for {
		if s.policy.rest(me, s.now) {
			s.idle = append(s.idle, me)
			p.park()
		}
		if s.ask(p, me, true) {
			s.serve(p, me)
		}
	}
}

func (s *server) ask(p *proc, me int, first bool) bool {
	for {
		s.policy.ask(me, s.now, first)
		s.take(p)
		verdict := s.policy.got(me, s.now)
		if verdict == serve {
			return true
		}
		s.drop(p)
		switch verdict {
		case rest:
			return false
		case pauseAsk:
			p.compute(gap(), ms, nil)
		}
		first = false
	}
}

func (s *server) serve(p *proc, me int) {
	untold := 0
	for len(s.queue) > 0 {
		r := s.queue[0]
		s.queue = s.queue[1:]
		s.longestWait = max(s.longestWait, s.now-r.queued)
		if s.policy.took(me, s.now) {
			s.wakeOne()
		}
		s.inApp++
		s.mostInApp = max(s.mostInApp, s.inApp)
		s.request(p, r)
		s.inApp--
		s.served[me]++
		s.finished = append(s.finished, r)
		untold++
		todo := s.policy.finished(me, s.now, untold)
		if todo&tell != 0 {
			untold = 0
			s.tell()
		}
		if todo&stop != 0 {
			break
		}
		if todo&yield != 0 {
			s.drop(p)
			p.compute(yieldTime(), ms, nil)
			if !s.ask(p, me, false) {
				return
			}
		}
	}
	if untold > 0 {
		s.policy.deliver(me, s.now)
	}
	s.drop(p)
	if untold > 0 {
		p.sleep(s.deliver)
		s.tell()
	}
}

func (s *server) request(p *proc, r *request) {
	for _, st := range r.steps {
		if st.kind == withGIL && s.gil != nil {
			s.gil.run(p, st.d)
			continue
		}
		s.drop(p)
		switch st.kind {
		case wait:
			p.sleep(st.d)
			p.used += wakeCost
		case block:
			p.park()
		default:
			p.compute(st.d, ms, nil)
		}
		s.take(p)
	}
}

// clients sends requests of a kind over so many connections, each as soon as the one before was answered.
type clients struct {
	done    int
	longest time.Duration
}

func (s *server) clients(connections int, steps ...step) *clients {
	c := &clients{}
	const network = 30 * us // and the Go side: from the reply to the next request
	for i := range connections {
		var send func()
		send = func() {
			sent := s.now
			s.submit(&request{steps: steps, done: func() {
				c.done++
				c.longest = max(c.longest, s.now-sent)
				s.after(network, send)
			}})
		}
		s.after(time.Duration(i)*7*us, send)
	}
	return c
}
