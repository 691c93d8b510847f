package supervisor

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStopDrainsAllAndTheFirstExitCodeCounts(t *testing.T) {
	withServing(t, 3, func(r *rig) {
		r.all[1].code = 5
		r.stop(false)
		r.ends()
		for _, f := range r.all {
			if !slices.Equal(f.drains, []time.Duration{30 * time.Second}) || f.killed.Load() {
				t.Errorf("worker %d: told to drain within %v, killed %v", f.number, f.drains, f.killed.Load())
			}
		}
		r.want("after the end", 3, 0)
		if r.code != 5 || r.err != nil {
			t.Errorf("%d, %v", r.code, r.err)
		}
	})
}

func TestStopDrainsAlsoWorkersThatStart(t *testing.T) {
	run(t, Options{Workers: 2, GracefulTimeout: time.Second}, func(r *rig) {
		r.stop(false)
		r.ends()
		if !r.all[0].told() || r.code != 0 || r.err != nil {
			t.Errorf("told %v, %d, %v", r.all[0].told(), r.code, r.err)
		}
	})
}

func TestAWorkerThatDoesNotEndInTimeIsKilledThreeSecondsLater(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		stuck := r.all[0]
		stuck.slow = true
		r.stop(false)
		r.pass(32 * time.Second)
		if stuck.killed.Load() {
			t.Error("killed too early")
		}
		r.pass(2 * time.Second)
		if !stuck.killed.Load() || r.all[1].killed.Load() {
			t.Errorf("killed: %v, the other %v", stuck.killed.Load(), r.all[1].killed.Load())
		}
		r.ends()
		if !strings.Contains(r.log.String(), "a worker is killed") {
			t.Errorf("the log says %s", r.log.String())
		}
	})
}

func TestAStuckWorkerIsKilledAfterAReloadToo(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		stuck := r.all[0]
		stuck.slow = true
		_ = r.reloading(1)
		r.up(r.last())
		r.pass(34 * time.Second)
		if !stuck.killed.Load() || r.last().killed.Load() {
			t.Errorf("killed: %v, its successor %v", stuck.killed.Load(), r.last().killed.Load())
		}
	})
}

func TestAQuickStopGivesNoTimeToDrain(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		r.all[0].slow = true
		r.stop(true)
		if d := r.all[0].drains; !slices.Equal(d, []time.Duration{0}) {
			t.Errorf("told to drain within %v", d)
		}
		r.pass(4 * time.Second)
		if !r.all[0].killed.Load() {
			t.Error("it lives on")
		}
	})
}

func TestAQuickStopHurriesThoseThatDrainSinceBefore(t *testing.T) {
	withServing(t, 1, func(r *rig) {
		old := r.all[0]
		old.slow = true
		_ = r.reloading(1)
		r.up(r.last())
		r.stop(true)
		if d := old.drains; !slices.Equal(d, []time.Duration{30 * time.Second, 0}) {
			t.Errorf("told to drain within %v", d)
		}
	})
}

func TestASecondStopKills(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		for _, f := range r.all {
			f.slow = true
		}
		r.stop(false)
		r.stop(false)
		r.ends()
		if !r.all[0].killed.Load() || !r.all[1].killed.Load() || r.code != 1 {
			t.Errorf("killed %v and %v, exit code %d", r.all[0].killed.Load(), r.all[1].killed.Load(), r.code)
		}
	})
}

func TestNothingIsStartedWhileThePoolStops(t *testing.T) {
	withServing(t, 2, func(r *rig) {
		r.all[0].slow, r.all[1].slow = true, true
		r.stop(false)
		r.end(r.all[0], Exit{Code: -1})
		r.Resize(+3)
		r.pass(10 * time.Second)
		r.want("while it stops", 2, 1)
	})
}
