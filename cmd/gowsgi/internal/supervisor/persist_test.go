package supervisor

import (
	"testing"
	"time"
)

func TestAPoolThatPersistsTriesOnThoughNoneEverServed(t *testing.T) {
	run(t, Options{Workers: 1, Persist: true}, func(r *rig) {
		for range 2 * maxFailures {
			r.last().ready <- errImport
			r.pass(2 * lastBackoff)
		}
		r.up(r.last())
		r.wantOnly("in the end", r.last())
	})
}

func TestAReloadOfAPoolThatPersistsDoesNotWaitForOldCodeThatStarts(t *testing.T) {
	run(t, Options{Workers: 1, Persist: true}, func(r *rig) {
		old := r.last()
		result := r.reloading(1)
		r.settle()
		if r.last() == old || !isClosed(old.exited) {
			t.Fatal("the old one goes on")
		}
		r.up(r.last())
		if err := <-result; err != nil {
			t.Error(err)
		}
		r.pass(time.Hour)
		r.want("in the end", 2, 1)
	})
}
