package supervisor

import (
	"errors"
	"testing"
	"time"
)

func TestNothingWaitsForASlowStart(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		fork := make(chan struct{})
		r.next = func(*fake) error { <-fork; return nil }
		r.end(r.all[0], Exit{Code: -1})
		began := time.Now()
		if n := r.Workers(); n != 1 {
			t.Errorf("%d workers", n)
		}
		if n := r.Resize(+1); n != 3 {
			t.Errorf("%d are wanted", n)
		}
		r.Each(func(Process) {})
		r.stop(false)
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		select {
		case <-r.ended:
			t.Error("the pool has ended before what it started was there")
		default:
		}
		close(fork)
		r.ends()
		for _, f := range r.all {
			if !isClosed(f.exited) {
				t.Errorf("worker %d is left", f.number)
			}
		}
	})
}

func TestQuiesceWaitsForASlowStartAndBeginsNoOther(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		fork := make(chan struct{})
		r.next = func(*fake) error { <-fork; return nil }
		r.end(r.all[0], Exit{Code: -1})
		handed := make(chan int, 1)
		go r.Quiesce(func(m []Member) { handed <- len(m) })
		r.pass(time.Second)
		r.end(r.all[1], Exit{Code: -1})
		select {
		case <-handed:
			t.Fatal("it did not wait")
		default:
		}
		if n := len(r.all); n != 3 {
			t.Errorf("%d were started", n)
		}
		close(fork)
		if n := <-handed; n != 1 {
			t.Errorf("%d are handed out", n)
		}
		r.settle()
		r.upAll()
		r.want("after it", 5, 2)
	})
}

func TestAStartThatIsNotPossibleJustNowIsTriedAgainWithoutAWord(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		tries := 0
		r.next = func(*fake) error {
			if tries++; tries <= 50 { // far more than what ends the pool
				return ErrNotNow
			}
			return nil
		}
		r.end(r.all[0], Exit{Code: 0})
		logged := r.log.Len()
		r.pass(51 * firstBackoff)
		r.up(r.last())
		if n := len(r.takers()); n != 1 {
			t.Errorf("%d serve", n)
		}
		if more := r.log.String()[logged:]; more != "" {
			t.Error(more)
		}
	})
}

func TestWhatAFailedReloadBeganIsGivenUp(t *testing.T) {
	for _, slow := range []bool{false, true} {
		withServing(t, 1, func(r *rig) {
			fork := make(chan struct{})
			r.next = func(f *fake) error {
				if slow && f.pid == 103 { // the last of the three
					<-fork
				}
				return nil
			}
			result := r.reloading(4) // three start together
			r.up(r.all[1])
			r.want("of the new code", 4, 2)
			r.all[2].ready <- errImport
			if err := <-result; !errors.Is(err, errImport) {
				t.Error(err)
			}
			close(fork)
			r.settle()
			r.wantOnly("the old code", r.all[0])
			for _, f := range r.all[3:] {
				if !isClosed(f.exited) || f.killed.Load() != slow { // what may serve already has requests
					t.Errorf("worker %d: ended %t, killed %t", f.number, isClosed(f.exited), f.killed.Load())
				}
			}
			// It counts for nothing: another takes the place at once.
			r.end(r.all[0], Exit{Code: -1})
			r.pass(2 * firstBackoff)
			r.up(r.last())
			if n := len(r.takers()); n != 1 {
				t.Errorf("%d serve", n)
			}
		})
	}
}

func TestAResizeDuringAReloadThatFailsHolds(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		result := r.reloading(2)
		r.Resize(+1)
		r.settle()
		r.last().ready <- errImport
		<-result
		r.pass(time.Second)
		if n := r.Resize(0); n != 3 {
			t.Errorf("%d are wanted", n)
		}
	})
}
