//go:build cgo

package admission

import (
	"testing"
	"time"
)

// beside returns a policy in which thread 0 runs a request, another is queued, and thread 1 asks for the GIL, at the time that is returned.
func beside(t *testing.T) (*policy, time.Duration) {
	t.Helper()
	p := newPolicy(2, 5*ms, true, 8)
	t.Cleanup(p.free)
	p.rest(0, 0)
	p.rest(1, 0)
	if !p.requestQueued(1 * ms) {
		t.Fatal("no thread is woken for the first request")
	}
	p.woken(0)
	p.ask(0, 1*ms, true)
	if v := p.got(0, 1*ms); v != serve {
		t.Fatalf("the first thread is told %d", v)
	}
	p.took(0, 1*ms)
	if p.requestQueued(1 * ms) {
		t.Fatal("a second thread is woken before there is a reason")
	}
	if p.tick(2*ms) || !p.tick(3*ms) {
		t.Fatal("a thread is not woken by the first tick in which no request was taken")
	}
	p.woken(1)
	p.ask(1, 3*ms, true)
	return p, 3 * ms
}

func TestAGILThatIsFreeAtOnceIsServed(t *testing.T) {
	p, now := beside(t)
	if v := p.got(1, now+1*us); v != serve {
		t.Errorf("told %d", v)
	}
	p.took(1, now)
	if !p.requestQueued(now) && p.idle() > 0 {
		t.Error("the next request is not looked after at once")
	}
}

func TestAGILThatWasHandedOverIsLookedAtAgain(t *testing.T) {
	p, now := beside(t)
	if v := p.got(1, now+1*ms); v != pauseAsk {
		t.Fatalf("told %d", v)
	}
	p.ask(1, now+2*ms, false)
	if v := p.got(1, now+2*ms+1*us); v != serve {
		t.Errorf("told %d where it is free", v)
	}
}

func TestAfterALookInVainTheGILMustBeFreeInFourLooks(t *testing.T) {
	p, now := beside(t)
	p.got(1, now+1*ms)
	p.ask(1, now+2*ms, false)
	p.got(1, now+3*ms)
	p.rest(1, now+3*ms)
	p.woken(1)
	p.ask(1, now+9*ms, true)
	for range 3 {
		if v := p.got(1, now+9*ms+1*us); v != pauseAsk {
			t.Fatalf("told %d", v)
		}
		p.ask(1, now+9*ms, false)
	}
	if v := p.got(1, now+9*ms+1*us); v != serve {
		t.Errorf("at last told %d", v)
	}
}

func TestAGILThatIsTakenBackIsLeftToItsHolder(t *testing.T) {
	p, now := beside(t)
	p.got(1, now+1*ms)
	p.ask(1, now+2*ms, false)
	if v := p.got(1, now+3*ms); v != rest {
		t.Errorf("told %d", v)
	}
	if !p.rest(1, now+3*ms) {
		t.Error("asks again, though the holder goes on")
	}
}

func TestThreeLooksInVainEndTheTimeForWhichAdmissionIsOpen(t *testing.T) {
	p, now := beside(t)
	p.got(1, now+1*us) // found free: open for a while
	p.took(1, now)
	p.finished(1, now, 1)
	for look := 1; look <= 3; look++ {
		p.requestQueued(now)
		p.ask(1, now, true)
		first := p.got(1, now+1*ms)
		now += 1 * ms
		if first != pauseAsk {
			t.Fatalf("look %d: told %d", look, first)
		}
		p.ask(1, now, false)
		want := ask
		if look == 3 {
			want = rest
		}
		if v := p.got(1, now+1*ms); v != want {
			t.Errorf("look %d in vain: told %d, want %d", look, v, want)
		}
		now += 1 * ms
	}
}

func TestAfterLooksInVainAQueueThatStandsStillIsLookedAfterWithinFiveTicks(t *testing.T) {
	p, now := beside(t)
	for range 6 {
		p.got(1, now+1*ms)
		p.ask(1, now+1*ms, false)
		p.got(1, now+2*ms)
		p.rest(1, now+2*ms)
		p.woken(1)
		p.ask(1, now+2*ms, true)
		now += 2 * ms
	}
	p.rest(1, now)
	woken := 0
	for i := range 5 {
		if p.tick(now + time.Duration(i)*ms) {
			woken = i + 1
			break
		}
	}
	if woken < 3 || woken > 5 {
		t.Errorf("woken at tick %d", woken)
	}
}

func TestAWaitOfTheSwitchIntervalMeansThatTheHolderIsLong(t *testing.T) {
	for _, interval := range []time.Duration{5 * ms, 50 * ms} {
		p, now := beside(t)
		p.setInterval(interval)
		if v := p.got(1, now+interval*9/10); v != pauseAsk {
			t.Errorf("after less than %v told %d", interval, v)
		}
		p, now = beside(t)
		p.setInterval(interval)
		if v := p.got(1, now+interval); v != serve {
			t.Errorf("after %v told %d", interval, v)
		}
	}
}

func TestRepliesAreToldOfInGroupsThatFollowTheQueue(t *testing.T) {
	for _, c := range []struct {
		queued, untold int
		told           bool
	}{{100, 7, false}, {100, 8, true}, {9, 2, false}, {9, 3, true}, {1, 1, true}} {
		p := newPolicy(1, 5*ms, true, 8)
		p.rest(0, 0)
		for range c.queued + 1 {
			p.requestQueued(0)
		}
		p.woken(0)
		p.ask(0, 0, true)
		p.got(0, 0)
		p.took(0, 0)
		if told := p.finished(0, 60*us, c.untold)&tell != 0; told != c.told {
			t.Errorf("%+v: told %v", c, told)
		}
		p.free()
	}
}

func TestThreadsThatTakeLongBecauseTheyShareTheGILStopAfterTheirRequest(t *testing.T) {
	p := newPolicy(4, 5*ms, true, 8)
	t.Cleanup(p.free)
	for range 6 {
		p.requestQueued(0)
	}
	p.took(0, 0)
	p.finished(0, 100*us, 1) // there are short requests
	for me := range 4 {
		p.took(me, 1*ms)
	}
	for tick := range 10 {
		for me := range 4 {
			p.setClock(me, time.Duration(tick+1)*240*us) // a core's worth together
		}
		p.tick(time.Duration(tick+1) * ms)
	}
	for me := range 3 {
		if p.finished(me, 11*ms, 1)&stop == 0 {
			t.Errorf("thread %d goes on", me)
		}
	}
	if p.finished(3, 11*ms, 1)&stop != 0 {
		t.Error("the last one stops too")
	}
}
