package supervisor

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errImport = errors.New("ImportError: no")

// withServing starts a pool whose n workers serve.
func withServing(t *testing.T, n int, test func(r *rig)) {
	t.Helper()
	run(t, Options{Workers: n, StartTimeout: time.Minute, GracefulTimeout: 30 * time.Second}, func(r *rig) {
		r.upAll()
		r.want("at the start", n, n)
		test(r)
	})
}

func TestTheOtherWorkersStartOnceTheFirstServes(t *testing.T) {
	run(t, Options{Workers: 3}, func(r *rig) {
		r.want("before the first serves", 1, 0)
		r.up(r.all[0])
		r.want("when it serves", 3, 1)
		if n := r.Workers(); n != 3 {
			t.Errorf("%d serve or start", n)
		}
		r.upAll()
		r.want("in the end", 3, 3)
		numbers := map[int]bool{}
		for _, f := range r.all {
			numbers[f.number] = true
		}
		if !numbers[1] || !numbers[2] || !numbers[3] {
			t.Errorf("numbers %v", numbers)
		}
	})
}

func TestAFirstWorkerThatDoesNotStartEndsThePoolAtOnce(t *testing.T) {
	for name, fails := range map[string]func(*rig){
		"it says why":          func(r *rig) { r.all[0].ready <- errImport },
		"it dies":              func(r *rig) { r.all[0].end(Exit{Code: 3, Text: "exit status 3"}) },
		"it says why and ends": func(r *rig) { r.all[0].ready <- errImport; r.all[0].end(Exit{Code: 4}) },
		"it takes too long":    func(*rig) { time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Options{Workers: 4, StartTimeout: time.Minute}, func(r *rig) {
				fails(r)
				r.ends()
				var e *StartError
				if !errors.As(r.err, &e) || len(r.all) != 1 {
					t.Errorf("%d starts, %v", len(r.all), r.err)
				}
				if strings.HasPrefix(name, "it says") && !errors.Is(r.err, errImport) {
					t.Errorf("the reason is lost: %v", r.err)
				}
			})
		})
	}
}

func TestAProcessThatCannotBeStartedEndsThePoolToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Workers: 1, Start: func(int) (Process, error) { return nil, errImport }})
		if _, err := p.Run(); !errors.Is(err, errImport) {
			t.Errorf("%v", err)
		}
	})
}

func TestAWorkerThatDiesIsReplacedAtOnceUnderItsNumber(t *testing.T) {
	withServing(t, 3, func(r *rig) {
		died := time.Now()
		dead := r.all[1]
		r.end(dead, Exit{Code: -1, Text: "signal: killed"})
		r.want("after a death", 4, 2)
		if f := r.last(); f.number != dead.number || f.started != died {
			t.Errorf("worker %d started after %v", f.number, f.started.Sub(died))
		}
		r.up(r.last())
		r.want("in the end", 4, 3)
		if !strings.Contains(r.log.String(), "a worker ended by itself; another takes its place") || !strings.Contains(r.log.String(), "signal: killed") {
			t.Errorf("the log says %s", r.log.String())
		}
	})
}

func TestAllThatDieAtOnceAreReplacedAtOnce(t *testing.T) {
	withServing(t, 3, func(r *rig) {
		for _, f := range r.all {
			f.end(Exit{Code: -1})
		}
		r.settle()
		r.want("after three deaths", 6, 0)
	})
}

func TestWorkersThatEndAsSoonAsTheyServeAreReplacedEverMoreSlowly(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		began := time.Now()
		for time.Since(began) < time.Minute {
			for _, f := range r.all {
				if !isClosed(f.exited) {
					r.up(f)
					f.end(Exit{Code: 1})
				}
			}
			r.pass(10 * time.Millisecond)
		}
		if n := len(r.all); n < 60 || n > 140 {
			t.Errorf("%d starts in a minute", n)
		}
		r.pass(2 * longestPause)
		r.settle()
		for _, f := range r.all[len(r.all)-2:] {
			r.up(f)
		}
		r.pass(2 * shortLife)
		before := len(r.all)
		r.end(r.last(), Exit{Code: 1})
		if len(r.all) != before+1 {
			t.Error("one that served for longer is not replaced at once")
		}
	})
}

func TestWorkersThatDoNotStartAreTriedAgainEverMoreSlowlyWhileOthersServe(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		r.next = func(f *fake) error { f.ready <- errImport; return nil }
		r.end(r.all[0], Exit{Code: -1})
		r.pass(2 * time.Minute)
		tries := r.since(2)
		for i := 1; i < len(tries); i++ {
			least := min(100*time.Millisecond<<(i-1), 30*time.Second)
			if gap := tries[i].started.Sub(tries[i-1].started); gap < least || gap > least*5/4 {
				t.Errorf("try %d comes after %v, expected %v and a quarter at most", i+1, gap, least)
			}
		}
		if len(tries) < 10 || len(tries) > 15 {
			t.Errorf("%d tries in two minutes", len(tries))
		}
		for _, f := range tries {
			if !f.killed.Load() {
				t.Error("one that failed was not killed")
			}
		}
		r.wantOnly("meanwhile", r.all[1])

		r.next = func(*fake) error { return nil }
		r.pass(40 * time.Second)
		r.up(r.last())
		r.want("when the code is well again", len(r.all), 2)
		r.end(r.last(), Exit{Code: -1})
		if n := r.last(); n.started != time.Now() {
			t.Error("the next death waits for what failed before")
		}
	})
}

func TestFiveFailuresWhileNoneServesEndThePool(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		r.next = func(f *fake) error { f.ready <- errImport; return nil }
		r.end(r.all[0], Exit{Code: -1})
		r.ends()
		var e *StartError
		if !errors.As(r.err, &e) || !errors.Is(r.err, errImport) || len(r.all) != 1+5 {
			t.Errorf("%d tries, %v", len(r.all)-1, r.err)
		}
	})
}

func TestAWorkerThatServesInTimeIsNotKilledLater(t *testing.T) {
	run(t, Options{Workers: 1, StartTimeout: time.Minute}, func(r *rig) {
		r.pass(59 * time.Second)
		r.up(r.all[0])
		r.pass(time.Hour)
		r.want("an hour later", 1, 1)
	})
}

func TestAWorkerThatDrainsByItselfIsReplacedAtOnce(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		f := r.all[0]
		f.close()
		r.settle()
		r.want("while it drains", 3, 1)
		if f.told() {
			t.Error("it is told to drain")
		}
		r.up(r.last())
		r.end(f, Exit{Code: 5, Text: "exit status 5"})
		r.want("after its end", 3, 2)
		r.stop(false)
		r.ends()
		if r.code != 0 {
			t.Errorf("the server's exit code is %d, which is the worker's own", r.code)
		}
	})
}

func TestAWorkerThatDrainsByItselfWithoutEndIsKilled(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		r.all[0].close()
		r.pass(34 * time.Second)
		if !r.all[0].killed.Load() {
			t.Error("it lives on")
		}
	})
}

func TestResizeStartsAndDrains(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		if n := r.Resize(+1); n != 2 {
			t.Errorf("%d are wanted", n)
		}
		r.settle()
		r.upAll()
		r.want("one more", 2, 2)
		if n := r.Resize(-1); n != 1 {
			t.Errorf("%d are wanted", n)
		}
		r.settle()
		r.wantOnly("one less: the oldest goes", r.all[1])
		if n := r.Resize(-1); n != 1 {
			t.Errorf("%d are wanted: one must stay", n)
		}
		r.settle()
		r.want("none less", 2, 1)
	})
}

func TestWorkersThatServedTheirTimeAreExchangedOneAfterTheOther(t *testing.T) {
	withServing(t, 3, func(r *rig) {
		r.neverFewerThan(3)
		old := r.since(0)[:3]
		for _, f := range old {
			f.recycle <- "its age"
		}
		r.settle()
		for i := range 3 {
			r.want("before the successor serves", 4+i, 3)
			r.up(r.last())
		}
		r.pass(time.Hour)
		r.wantOnly("in the end", r.since(3)...)
		if n := strings.Count(r.log.String(), "its age"); n != 3 {
			t.Errorf("the reason is in the log %d times", n)
		}
	})
}

func TestASuccessorThatDoesNotStartLeavesTheWorkerThatServedItsTime(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		r.next = func(f *fake) error { f.ready <- errImport; return nil }
		r.all[0].recycle <- "its age"
		r.pass(10 * time.Minute)
		r.wantOnly("meanwhile", r.all[0])
		r.next = func(*fake) error { return nil }
		r.pass(40 * time.Second)
		r.up(r.last())
		r.wantOnly("in the end", r.last())
	})
}
