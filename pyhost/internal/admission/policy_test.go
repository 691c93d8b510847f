//go:build cgo

package admission

import (
	"math/rand/v2"
	"testing"
	"time"
)

var (
	// A view of 60 us with a hole in it: a stat(), a log line.
	fast  = []step{{withGIL, 30 * us}, {withoutGIL, 3 * us}, {withGIL, 30 * us}}
	sleep = []step{{withGIL, 20 * us}, {wait, 20 * ms}, {withGIL, 20 * us}}
	hog   = []step{{withGIL, 50 * ms}}
	// zlib of 64 KiB, pbkdf2 of 20 ms.
	zlib   = []step{{withGIL, 50 * us}, {withoutGIL, 1500 * us}, {withGIL, 50 * us}}
	pbkdf2 = []step{{withGIL, 50 * us}, {withoutGIL, 20 * ms}, {withGIL, 50 * us}}

	eightCores = config{cores: 8, threads: 16}
	noGIL      = config{cores: 8, threads: 16, noGIL: true}
)

// fastLimit is how many fast requests one thread can run in a second.
const fastLimit = 1e6 / 63

// result is what steady load gave.
type result struct {
	perSecond []int // of each group of clients
	forced    int
	cores     float64 // CPU seconds per second of the threads
	threads   int     // that ran requests
	most      int     // requests in the app at once
}

// steady puts the groups of clients on a new server, and measures half a second after the first.
func steady(t *testing.T, c config, load func(s *server) []*clients) result {
	t.Helper()
	s := newServer(c)
	defer s.close()
	groups := load(s)
	s.run(500 * ms)
	var r result
	cpu := time.Duration(0)
	for _, g := range groups {
		r.perSecond = append(r.perSecond, -g.done)
	}
	for i, p := range s.threads {
		cpu -= p.clock()
		s.served[i] = 0
	}
	s.mostInApp = s.inApp
	if s.gil != nil {
		r.forced = -s.gil.forced
	}
	s.run(1000 * ms)
	for i, g := range groups {
		r.perSecond[i] = 2 * (r.perSecond[i] + g.done)
	}
	for i, p := range s.threads {
		cpu += p.clock()
		if s.served[i] > 0 {
			r.threads++
		}
	}
	r.cores, r.most = 2*cpu.Seconds(), s.mostInApp
	if s.gil != nil {
		r.forced = 2 * (r.forced + s.gil.forced)
	}
	t.Logf("%+v", r)
	return r
}

func alone(t *testing.T, c config, connections int, steps []step) int {
	t.Helper()
	return steady(t, c, func(s *server) []*clients { return []*clients{s.clients(connections, steps...)} }).perSecond[0]
}

func atLeast(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want {
		t.Errorf("%s: %.4g, want at least %.4g", what, got, want)
	}
}

func atMost(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got > want {
		t.Errorf("%s: %.4g, want at most %.4g", what, got, want)
	}
}

func TestShortRequestsRunOnOneThread(t *testing.T) {
	for _, connections := range []int{1, 4, 32} {
		r := steady(t, eightCores, func(s *server) []*clients { return []*clients{s.clients(connections, fast...)} })
		atMost(t, "threads", float64(r.threads), 1)
		atMost(t, "forced switches per second", float64(r.forced), 5)
		if connections > 1 {
			atLeast(t, "requests per second", float64(r.perSecond[0]), 0.9*fastLimit)
		}
	}
}

func TestShortRequestsWithoutHolesRunOnOneThread(t *testing.T) {
	r := steady(t, eightCores, func(s *server) []*clients { return []*clients{s.clients(32, step{withGIL, 60 * us})} })
	atMost(t, "requests in the app at once", float64(r.most), 1)
	atMost(t, "forced switches per second", float64(r.forced), 20)
}

func TestWaitsReachTheThreadsLimit(t *testing.T) {
	r := steady(t, eightCores, func(s *server) []*clients { return []*clients{s.clients(32, sleep...)} })
	atLeast(t, "requests per second", float64(r.perSecond[0]), 0.95*16/0.02)
}

// The clients' own limit is 50 requests per second each, less the time in the queue behind the fast requests.
func TestWaitsAndShortRequestsLeaveEachOtherTheirRate(t *testing.T) {
	for _, c := range []struct{ fast, sleepers int }{{4, 1}, {4, 8}, {16, 8}} {
		r := steady(t, eightCores, func(s *server) []*clients {
			return []*clients{s.clients(c.fast, fast...), s.clients(c.sleepers, sleep...)}
		})
		queue := float64(c.fast+c.sleepers) * 63e-6
		atLeast(t, "fast requests per second", float64(r.perSecond[0]), 0.9*fastLimit)
		atLeast(t, "waits per second", float64(r.perSecond[1]), 0.85*float64(c.sleepers)/(0.02+queue))
	}
}

func TestManyWaitsBesideFewShortRequests(t *testing.T) {
	r := steady(t, eightCores, func(s *server) []*clients {
		return []*clients{s.clients(2, fast...), s.clients(24, sleep...)}
	})
	atLeast(t, "requests per second", float64(r.perSecond[0]+r.perSecond[1]), 0.95*(16/0.02+2/0.02))
}

func TestAShortRequestBesideAHogIsServedWithinOneSwitchIntervalAndOneTick(t *testing.T) {
	s := newServer(eightCores)
	defer s.close()
	done := time.Duration(0)
	s.after(100*ms, func() { s.submit(&request{steps: hog, done: func() {}}) })
	s.after(101*ms, func() { s.submit(&request{steps: []step{{withGIL, 60 * us}}, done: func() { done = s.now }}) })
	s.run(200 * ms)
	atMost(t, "milliseconds until the short request is done", float64(done-101*ms)/float64(ms), 5+1+0.5)
	atLeast(t, "milliseconds until the short request is done", float64(done-101*ms)/float64(ms), 0.001)
}

func TestAHogLeavesShortRequestsAShare(t *testing.T) {
	r := steady(t, eightCores, func(s *server) []*clients {
		return []*clients{s.clients(1, hog...), s.clients(4, fast...)}
	})
	atLeast(t, "hogs per second", float64(r.perSecond[0]), 5)
	atLeast(t, "fast requests per second", float64(r.perSecond[1]), 3000)
}

func TestHogsAloneAreNotMultiplied(t *testing.T) {
	r := steady(t, eightCores, func(s *server) []*clients { return []*clients{s.clients(16, hog...)} })
	atMost(t, "hogs at once", float64(r.most), 3)
	atLeast(t, "hogs per second", float64(r.perSecond[0]), 17)
}

func TestHogsThatWereMultipliedForShortRequestsGoBackToAFew(t *testing.T) {
	s := newServer(eightCores)
	defer s.close()
	s.clients(16, hog...)
	for i := range 100 {
		s.after(time.Duration(i)*5*ms, func() { s.submit(&request{steps: []step{{withGIL, 60 * us}}, done: func() {}}) })
	}
	s.run(500 * ms)
	atLeast(t, "requests in the app at once", float64(s.mostInApp), 8)
	s.run(4 * time.Second)
	s.mostInApp = s.inApp
	s.run(5 * time.Second)
	atMost(t, "hogs at once", float64(s.mostInApp), 4)
}

func TestWorkWithoutTheGILUsesTheCores(t *testing.T) {
	for _, steps := range [][]step{zlib, {{withGIL, 30 * us}, {withoutGIL, 300 * us}}} {
		r := steady(t, eightCores, func(s *server) []*clients { return []*clients{s.clients(32, steps...)} })
		atLeast(t, "cores used", r.cores, 6)
	}
}

// A hole is used by nobody: what had the GIL wants it back before another thread could make use of it.
func TestAnAppThatLetsTheGILGoInHolesKeepsOneThread(t *testing.T) {
	var steps []step
	for range 10 {
		steps = append(steps, step{withGIL, 60 * us}, step{wait, 30 * us})
	}
	r := steady(t, eightCores, func(s *server) []*clients { return []*clients{s.clients(32, steps...)} })
	atMost(t, "requests in the app at once", float64(r.most), 2)
	atLeast(t, "requests per second", float64(r.perSecond[0]), 0.9*1e6/900)
}

func TestWorkWithoutTheGILDoesNotThrashOneCore(t *testing.T) {
	one := eightCores
	one.cores = 1
	atLeast(t, "requests per second", float64(alone(t, one, 32, zlib)), 0.95*1e6/1600)
}

func TestPBKDF2BesideShortRequestsUsesOtherCores(t *testing.T) {
	r := steady(t, eightCores, func(s *server) []*clients {
		return []*clients{s.clients(8, fast...), s.clients(4, pbkdf2...)}
	})
	atLeast(t, "fast requests per second", float64(r.perSecond[0]), 0.9*fastLimit)
	atLeast(t, "pbkdf2 per second", float64(r.perSecond[1]), 0.6*4/0.02)
}

func TestARequestThatBlocksForEverCostsOneThread(t *testing.T) {
	r := steady(t, eightCores, func(s *server) []*clients {
		return []*clients{s.clients(32, fast...), s.clients(3, step{block, 0})}
	})
	atLeast(t, "fast requests per second", float64(r.perSecond[0]), 0.9*fastLimit)
	atMost(t, "requests in the app at once", float64(r.most), 3+2)
}

func TestASlowDeliveryLetsAnotherThreadIn(t *testing.T) {
	c := eightCores
	c.deliver = 500 * ms
	s := newServer(c)
	defer s.close()
	for i := range 5 {
		s.after(time.Duration(10+20*i)*ms, func() { s.submit(&request{steps: fast, done: func() {}}) })
	}
	s.run(200 * ms)
	atMost(t, "milliseconds in the queue", float64(s.longestWait)/float64(ms), 3)
}

func TestADeliveryIsNotTakenForAThreadThatIsBusy(t *testing.T) {
	s := newServer(eightCores)
	defer s.close()
	s.clients(1, fast...)
	s.run(500 * ms)
	used := 0
	for _, n := range s.served {
		used += min(n, 1)
	}
	atMost(t, "threads used", float64(used), 1)
}

func TestTheSwitchIntervalIsTheAppsToChange(t *testing.T) {
	s := newServer(eightCores)
	defer s.close()
	s.gil.interval = 50 * ms
	s.policy.setInterval(50 * ms)
	c := s.clients(16, fast...)
	slow := s.clients(2, step{withGIL, 8 * ms})
	s.run(1 * time.Second)
	atMost(t, "requests in the app at once", float64(s.mostInApp), 2)
	atLeast(t, "fast requests per second", float64(c.done), 500)
	atLeast(t, "slow requests per second", float64(slow.done), 60)
}

func TestFreeThreadedComputingUsesTheCores(t *testing.T) {
	for _, steps := range [][]step{fast, hog} {
		r := steady(t, noGIL, func(s *server) []*clients { return []*clients{s.clients(32, steps...)} })
		atLeast(t, "cores used", r.cores, 7)
		atMost(t, "requests in the app at once", float64(r.most), 9)
	}
}

func TestFreeThreadedWaitsUseAllThreads(t *testing.T) {
	atLeast(t, "requests per second", float64(alone(t, noGIL, 32, sleep)), 0.95*16/0.02)
}

func TestFreeThreadedWaitsDoNotHoldCores(t *testing.T) {
	r := steady(t, noGIL, func(s *server) []*clients {
		return []*clients{s.clients(32, fast...), s.clients(8, sleep...)}
	})
	atLeast(t, "cores used", r.cores, 7)
	atLeast(t, "waits per second", float64(r.perSecond[1]), 0.9*8/0.02)
}

// With wake-ups that are late at random, all kinds of requests at random times, and fewer threads than block in turn.
func TestNoRequestWaitsForEverWhileAThreadIsIdle(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 1))
		c := config{cores: 1 + random.IntN(8), threads: 1 + random.IntN(16), noGIL: seed%4 == 3, jitter: random}
		c.deliver = time.Duration(random.Int64N(int64(5 * ms)))
		s := newServer(c)
		kinds := [][]step{fast, sleep, hog, zlib, pbkdf2, {{wait, 3 * ms}}, {{withGIL, 2 * ms}}}
		sent, done := 0, 0
		for at := time.Duration(0); at < time.Second; at += time.Duration(random.Int64N(int64(10 * ms))) {
			steps := kinds[random.IntN(len(kinds))]
			sent++
			s.after(at, func() { s.submit(&request{steps: steps, done: func() { done++ }}) })
		}
		for i := range c.threads - 1 { // and only one thread is left
			s.after(time.Duration(random.Int64N(int64(time.Second))), func() {
				s.submit(&request{steps: []step{{wait, time.Duration(i) * 10 * ms}, {block, 0}}, done: func() {}})
			})
		}
		stood, longest, before := time.Duration(0), time.Duration(0), 0
		s.spawn(func(p *proc) {
			for {
				p.sleep(ms)
				taken := 0
				for _, n := range s.served {
					taken += n
				}
				if len(s.queue) > 0 && len(s.idle) > 0 && taken == before {
					stood += ms
				} else {
					stood = 0
				}
				before = taken
				longest = max(longest, stood)
			}
		})
		s.run(20 * time.Second)
		if done != sent {
			t.Errorf("seed %d, %+v: %d of %d requests were served", seed, c, done, sent)
		}
		atMost(t, "milliseconds that the queue stood still beside an idle thread", float64(longest)/float64(ms), 300)
		s.close()
	}
}

// A page takes long for everybody while many threads share the GIL; that makes none of them one that computes for long.
func TestShortRequestsGoBackToOneThreadWhenTheWaitsBesideThemEnd(t *testing.T) {
	page := step{withGIL, 500 * us}
	s := newServer(eightCores)
	defer s.close()
	s.clients(32, page)
	for i := range 120 {
		s.after(time.Duration(i)*2500*us, func() { s.submit(&request{steps: sleep, done: func() {}}) })
	}
	s.run(300 * ms)
	atLeast(t, "requests in the app at once", float64(s.mostInApp), 4)
	s.run(400 * ms)
	s.mostInApp = s.inApp
	forced := s.gil.forced
	s.run(900 * ms)
	atMost(t, "requests in the app at once", float64(s.mostInApp), 2)
	atMost(t, "forced switches", float64(s.gil.forced-forced), 20)
}
