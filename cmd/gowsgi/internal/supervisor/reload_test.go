package supervisor

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAReloadExchangesOneAfterTheOther(t *testing.T) {
	withServing(t, 3, func(r *rig) {
		r.neverFewerThan(3)
		result := r.reloading(3)
		for i := range 3 {
			r.want("before the next serves", 4+i, 3)
			r.pending("with old workers", result)
			r.up(r.last())
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		r.wantOnly("in the end", r.since(3)...)
	})
}

func TestAReloadIsOverWhenNoOldWorkerTakesConnections(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		old := r.all[0]
		old.slow = true
		result := r.reloading(1)
		r.up(r.last())
		r.pending("before the old worker has closed", result)
		old.close()
		r.settle()
		if err := <-result; err != nil || isClosed(old.exited) {
			t.Errorf("%v; requests in hand need not be over", err)
		}
	})
}

func TestAReloadThatFailsLeavesTheRestAndTheNextExchangesAll(t *testing.T) {
	withServing(t, 3, func(r *rig) {
		r.neverFewerThan(3)
		result := r.reloading(3)
		r.up(r.last()) // the second new one fails
		r.last().ready <- errImport
		if err := <-result; !errors.Is(err, errImport) {
			t.Errorf("%v", err)
		}
		r.pass(time.Hour)
		r.want("after the failure", 5, 3)

		result = r.reloading(3)
		for range 3 {
			r.up(r.last())
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		r.wantOnly("after the next", r.since(5)...)
	})
}

func TestAReloadDoesNotWaitForTheBackoffOfWhatFailedBefore(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		r.next = func(f *fake) error { f.ready <- errImport; return nil }
		r.end(r.all[0], Exit{Code: -1})
		r.pass(2 * time.Minute)
		r.next = func(*fake) error { return nil }
		now, n := time.Now(), len(r.all)
		result := r.reloading(2)
		if len(r.all) == n || r.last().started != now {
			t.Fatal("nothing is started")
		}
		r.upAll()
		if err := <-result; err != nil || len(r.takers()) != 2 {
			t.Errorf("%v, %d serve", err, len(r.takers()))
		}
	})
}

func TestAReloadCanChangeHowManyThereAre(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		for _, n := range []int{4, 1, 3} {
			result := r.reloading(n)
			r.upAll()
			if err := <-result; err != nil || len(r.takers()) != n {
				t.Errorf("to %d: %v, %d serve", n, err, len(r.takers()))
			}
		}
		result := r.reloading(9)
		r.last().ready <- errImport
		<-result
		r.pass(time.Hour)
		r.upAll()
		if n := len(r.takers()); n != 3 {
			t.Errorf("after a reload that failed %d serve", n)
		}
	})
}

func TestAnOldWorkerThatDiesDuringAReloadIsReplacedByNewCode(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		result := r.reloading(2)
		r.end(r.all[0], Exit{Code: -1})
		r.want("after the death", 3, 1)
		r.upAll()
		if err := <-result; err != nil {
			t.Error(err)
		}
		r.wantOnly("in the end", r.since(2)...)
	})
}

func TestANewWorkerThatDiesAfterItServedDoesNotFailTheReload(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		result := r.reloading(2)
		f := r.last()
		r.up(f)
		r.end(f, Exit{Code: -1})
		r.upAll()
		if err := <-result; err != nil || len(r.takers()) != 2 {
			t.Errorf("%v, %d serve", err, len(r.takers()))
		}
	})
}

func TestANewWorkerThatDiesBeforeItServesFailsTheReload(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		result := r.reloading(2)
		r.end(r.last(), Exit{Code: -1, Text: "signal: segmentation fault"})
		if err := <-result; err == nil || len(r.takers()) != 2 {
			t.Errorf("%v, %d serve", err, len(r.takers()))
		}
	})
}

func TestAWorkerOfOldCodeThatDoesNotStartDoesNotFailTheReload(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		r.end(r.all[0], Exit{Code: -1})
		old := r.last() // it imports the old code when the reload begins
		result := r.reloading(2)
		old.ready <- errImport
		r.settle()
		r.pending("after the failure of the old code", result)
		r.pass(time.Second)
		r.upAll()
		if err := <-result; err != nil {
			t.Error(err)
		}
		if n := len(r.takers()); n != 2 || r.all[1].takes() {
			t.Errorf("%d serve, the old one: %v", n, r.all[1].takes())
		}
	})
}

func TestAWorkerThatServedItsTimeIsExchangedOnceByAReload(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		result := r.reloading(2)
		r.all[0].recycle <- "its age"
		r.settle()
		r.upAll()
		if err := <-result; err != nil {
			t.Error(err)
		}
		r.pass(time.Hour)
		r.want("in the end", 4, 2)
	})
}

func TestAReloadOfAPoolThatStopsIsRefused(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		r.all[0].slow = true
		result := r.reloading(1)
		r.stop(false)
		if err := <-result; !errors.Is(err, ErrStopping) {
			t.Errorf("one that was under way: %v", err)
		}
		if err := r.Reload(1); !errors.Is(err, ErrStopping) {
			t.Errorf("a new one: %v", err)
		}
		r.stop(true)
		r.ends()
		if err := r.Reload(1); !errors.Is(err, ErrStopping) {
			t.Errorf("one after the end: %v", err)
		}
	})
}

func TestAdoptedWorkersServeUntilTheNextReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, next: func(*fake) error { return nil }}
		r.Pool = New(Options{Workers: 2, Start: r.start, GracefulTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
		for n := range 3 {
			w, err := r.start(n + 1)
			if err != nil {
				t.Fatal(err)
			}
			f := r.last()
			if n < 2 {
				f.serving = true
			} else {
				f.slow = true
			}
			r.Adopt(n+1, w, !f.serving)
		}
		r.ended = make(chan struct{})
		go func() {
			r.code, r.err = r.Pool.Run()
			close(r.ended)
		}()
		r.settle()
		r.want("before the reload", 3, 2)
		draining := r.last()
		if !draining.told() {
			t.Error("one that may not have heard that it should drain is not told again")
		}
		r.neverFewerThan(2)
		result := r.reloading(2)
		r.upAll()
		if err := <-result; err != nil || isClosed(draining.exited) {
			t.Errorf("%v; the reload must not wait for what drains since before", err)
		}
		r.wantOnly("after it", r.since(3)...)
		r.over = true
		r.stop(false)
		r.ends()
	})
}

func TestQuiesceHandsOutAllAndHasWhatStartsDrain(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		r.all[0].slow = true
		r.all[0].recycle <- "its age"
		r.settle()
		r.up(r.last())
		r.all[0].close()
		r.end(r.all[1], Exit{Code: -1})
		starts := r.last()
		var got []Member
		r.Quiesce(func(m []Member) { got = m })
		r.settle()
		want := []Member{{r.all[0], r.all[0].number, true}, {r.all[2], r.all[2].number, false}, {starts, starts.number, true}}
		if !slices.Equal(got, want) || starts.killed.Load() || !starts.told() { // it may have requests already
			t.Errorf("%v, expected %v", got, want)
		}
		r.upAll()
		if n := len(r.takers()); n != 2 {
			t.Errorf("%d serve after it", n)
		}
	})
}
