//go:build cgo

package admission

import "testing"

func TestAPlaceWhoseThreadIsLostIsServedByItsNextThread(t *testing.T) {
	p, now := beside(t) // thread 0 runs a request, thread 1 asks, a request is queued
	p.setClock(0, 40*ms)
	p.lost(0)
	if p.inApp() != 0 {
		t.Errorf("%d requests in the app", p.inApp())
	}
	if v := p.got(1, now+1*us); v != serve {
		t.Fatalf("the other thread is told %d though nobody else is in the app", v)
	}
	p.took(1, now)
	p.finished(1, now, 1)
	p.rest(1, now)
	// Another thread takes the place. Its clock is its own.
	if !p.rest(0, now) || p.idle() != 2 {
		t.Errorf("%d threads are idle", p.idle())
	}
	if used := p.usedSinceMeasure(0); used != 0 {
		t.Errorf("the new thread has used %d ns", used)
	}
	if !p.requestQueued(now) {
		t.Error("no thread is woken")
	}
}

func TestARequestThatLeftTheQueueHasNoThreadWoken(t *testing.T) {
	p, now := beside(t)
	p.dropped()
	if p.needsTicks() {
		t.Error("ticks are wanted for an empty queue")
	}
	p.got(1, now+6*ms)
	p.rest(1, now+6*ms)
	if p.tick(now + 10*ms) {
		t.Error("a thread is woken for an empty queue")
	}
}
