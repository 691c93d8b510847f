package main

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gowsgi/gowsgi/gateway"
)

// loads is what each worker has to do, in memory that the master and all workers share: a connection goes to the worker that is best off,
// by its own insight. Index is the worker's number.
type loads []atomic.Uint64

// mostWorkers is how many numbers loads has.
const mostWorkers = 1024

// A load is 0 where no worker takes connections, else its requests that wait for a Python thread, plus one, and its connections.
func load(queued, connections int) uint64 { return uint64(queued+1)<<32 | uint64(uint32(connections)) }

// newLoads makes the memory, and a descriptor for the workers.
func newLoads() (loads, int, error) {
	fd, err := unix.MemfdCreate("gowsgi loads", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, -1, os.NewSyscallError("memfd_create", err)
	}
	if err := syscall.Ftruncate(fd, mostWorkers*8); err != nil {
		return nil, -1, os.NewSyscallError("ftruncate", err)
	}
	l, err := mapLoads(fd)
	return l, fd, err
}

func mapLoads(fd int) (loads, error) {
	b, err := syscall.Mmap(fd, 0, mostWorkers*8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(b))), mostWorkers), nil
}

// least is the least load of the other workers that take connections; ok is false where there are none.
func (l loads) least(me int) (queued, connections int, ok bool) {
	least := ^uint64(0)
	for i := range l {
		if v := l[i].Load(); i != me && v != 0 && v < least {
			least, ok = v, true
		}
	}
	return int(least>>32) - 1, int(uint32(least)), ok
}

// How long a worker leaves a connection to others: once where one has fewer connections, again and again where requests wait here and one has
// none that wait, up to longestYield.
const (
	yieldTime    = 300 * time.Microsecond
	longestYield = 100 * time.Millisecond
	publishTime  = 10 * time.Millisecond
	restAfter    = 100 // publishings without a request
)

// balancer is a worker's part in it.
type balancer struct {
	loads      loads
	me         int
	server     *gateway.Server
	full       func() bool // nothing should come here at all, if there is anybody else
	publishing atomic.Bool
	stopped    atomic.Bool
}

// gate waits while a connection that may be accepted had better go to another worker.
func (b *balancer) gate() {
	b.publish()
	if b.publishing.CompareAndSwap(false, true) {
		go b.keepPublishing()
	}
	for waited := time.Duration(0); waited < longestYield && !b.stopped.Load(); waited += yieldTime {
		queued, connections, others := b.loads.least(b.me)
		switch {
		case !others:
			return
		case b.full(), queued == 0 && b.server.Queued() > 0:
		case waited == 0 && b.server.Connections() > connections:
		default:
			return
		}
		time.Sleep(yieldTime)
	}
}

func (b *balancer) publish() {
	if !b.stopped.Load() {
		b.loads[b.me].Store(load(b.server.Queued(), b.server.Connections()))
		if b.stopped.Load() { // meanwhile
			b.loads[b.me].Store(0)
		}
	}
}

// keepPublishing tells the others of this worker's load while it has requests.
func (b *balancer) keepPublishing() {
	quiet := 0
	for last := b.server.Requests(); quiet < restAfter && !b.stopped.Load(); quiet++ {
		time.Sleep(publishTime)
		b.publish()
		if n := b.server.Requests(); n != last || b.server.Queued() > 0 {
			last, quiet = n, 0
		}
	}
	b.publishing.Store(false)
}

// stop takes the worker out: it accepts nothing more.
func (b *balancer) stop() {
	b.stopped.Store(true)
	b.loads[b.me].Store(0)
}
