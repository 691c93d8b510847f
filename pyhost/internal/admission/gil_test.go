//go:build cgo

package admission

import "time"

const (
	threadWake = 25 * time.Microsecond // until a thread that was woken runs
	wakeCost   = 4 * time.Microsecond  // of CPU
)

// gil is CPython's, by take_gil and drop_gil of Python/ceval_gil.c: who drops it wakes one that waits, but may have it back before that one
// runs; who waits for the interval, without any switch, asks the holder to let go, and the holder then waits until another has it.
type gil struct {
	w        *world
	interval time.Duration
	locked   bool
	last     *proc // to have held it
	switches int
	asked    bool // the holder is to let go
	waiters  []*gilWaiter
	off      *proc // was made to let go, waits until another has the GIL

	forced int           // switches
	held   time.Duration // in all
	since  time.Duration
}

type gilWaiter struct {
	p        *proc
	woken    bool
	timedOut bool
}

func (g *gil) take(p *proc) {
	for g.locked {
		switches := g.switches
		me := &gilWaiter{p: p}
		g.waiters = append(g.waiters, me)
		g.w.after(g.interval, func() {
			if !me.woken {
				me.woken, me.timedOut = true, true
				g.remove(me)
				p.resume()
			}
		})
		p.park()
		p.used += wakeCost
		if me.timedOut && g.locked && g.switches == switches {
			g.asked = true
		}
	}
	g.locked, g.asked, g.since = true, false, g.w.now
	if g.last != p {
		g.last = p
		g.switches++
		if off := g.off; off != nil {
			g.off = nil
			g.w.after(threadWake, off.resume)
		}
	}
}

func (g *gil) remove(w *gilWaiter) {
	for i, o := range g.waiters {
		if o == w {
			g.waiters = append(g.waiters[:i], g.waiters[i+1:]...)
			return
		}
	}
}

func (g *gil) drop(p *proc) {
	g.held += g.w.now - g.since
	g.locked = false
	if len(g.waiters) > 0 {
		first := g.waiters[0]
		g.waiters = g.waiters[1:]
		first.woken = true
		g.w.after(threadWake, first.p.resume)
	}
	if g.asked {
		g.asked = false
		g.off = p
		p.park()
	}
}

// run computes for d with the GIL held, but for forced switches.
func (g *gil) run(p *proc, d time.Duration) {
	p.compute(d, 200*time.Microsecond, func() {
		if g.asked {
			g.forced++
			g.drop(p)
			g.take(p)
		}
	})
}
