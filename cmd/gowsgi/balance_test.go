package main

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/gowsgi/gowsgi/gateway"
)

func balancerOf(full bool, other uint64) *balancer {
	b := &balancer{loads: make(loads, mostWorkers), me: 1, server: &gateway.Server{}, full: func() bool { return full }}
	b.publishing.Store(true) // nobody has to
	b.loads[2].Store(other)
	return b
}

func TestAWorkerThatIsFullLeavesConnectionsToOthersForAsLongAsItMay(t *testing.T) {
	for what, other := range map[string]uint64{"idle": load(0, 3), "with a queue": load(5, 3)} {
		began := time.Now()
		balancerOf(true, other).gate()
		if waited := time.Since(began); waited < longestYield {
			t.Errorf("beside one that is %s it waited %v", what, waited)
		}
	}
}

func TestAWorkerThatStopsAcceptsNothingMore(t *testing.T) {
	b := balancerOf(false, 0)
	var stopping atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stopping.Load() {
			b.publish()
		}
	}()
	for b.loads[b.me].Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	b.stop()
	stopping.Store(true)
	<-done
	if v := b.loads[b.me].Load(); v != 0 {
		t.Errorf("its load is %x", v)
	}
}

func TestThereAreNoMoreWorkersThanNumbers(t *testing.T) {
	if w, err := new(master).spawn(mostWorkers); err == nil {
		t.Errorf("%v", w)
	}
}
