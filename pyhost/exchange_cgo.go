//go:build cgo

package pyhost

/*
#include <stdlib.h>
#include "pyhost.h"
#cgo noescape ph_take
#cgo nocallback ph_take
#cgo noescape ph_release
#cgo nocallback ph_release
#cgo noescape ph_sent
#cgo nocallback ph_sent
#cgo noescape ph_slot_reserve
#cgo nocallback ph_slot_reserve
#cgo noescape ph_now
#cgo nocallback ph_now
#cgo noescape ph_submit
#cgo nocallback ph_submit
#cgo noescape ph_body_set
#cgo nocallback ph_body_set
#cgo noescape ph_body_room
#cgo nocallback ph_body_room
#cgo noescape ph_body_filled
#cgo nocallback ph_body_filled
#cgo noescape ph_body_push
#cgo nocallback ph_body_push
*/
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const maxRecord = 1 << 30 // bytes

var errNoMemory = errors.New("pyhost: out of memory for a request")

// exchange is the Go half of a slot. The C half is never freed, so that an event that comes late finds memory.
type exchange struct {
	slot        *C.ph_slot
	table       *exchangeTable
	first, last *C.ph_chunk // taken and not given back by Sent
	room        []byte      // of BodyRoom: C's memory
	mu          sync.Mutex  // guards sink, which who collects events reads
	sink        Sink
}

// exchangeTable holds all exchanges that were ever made; free ones are used again, the last one first.
type exchangeTable struct {
	all  atomic.Pointer[[]*exchange] // by slot id
	mu   sync.Mutex
	free []*exchange
}

// NewExchange returns an exchange for one request. Any goroutine may call it.
func (h *Host) NewExchange() Exchange { return h.exchanges.get() }

func (t *exchangeTable) get() *exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		x := t.free[n-1]
		t.free = t.free[:n-1]
		return x
	}
	var all []*exchange
	if p := t.all.Load(); p != nil {
		all = *p
	}
	x := &exchange{slot: C.ph_slot_new(C.uint32_t(len(all))), table: t}
	if x.slot == nil {
		panic(errNoMemory) // as for any allocation of Go's
	}
	grown := make([]*exchange, len(all)+1)
	copy(grown, all)
	grown[len(all)] = x
	t.all.Store(&grown)
	return x
}

func (x *exchange) Submit(r *Request, s Sink) error {
	if len(r.Environ) > maxRecord {
		return fmt.Errorf("pyhost: an environ record of %d bytes is over the limit of %d", len(r.Environ), maxRecord)
	}
	c := x.slot
	if len(r.Environ) > int(c.rec_cap) && C.ph_slot_reserve(c, C.uint32_t(len(r.Environ))) != 0 {
		return errNoMemory
	}
	c.rec_len = C.uint32_t(copy(unsafe.Slice((*byte)(unsafe.Pointer(c.rec)), int(c.rec_cap)), r.Environ))
	c.app = C.uint32_t(r.App)
	c.content_length = C.int64_t(r.ContentLength)
	c.body_fd = -1
	if r.BodyFile > 0 {
		c.body_fd = C.int(r.BodyFile)
	}
	c.timeout, c.queue_timeout, c.backlog = C.int64_t(r.Timeout), C.int64_t(r.QueueTimeout), C.uint32_t(r.Backlog)
	c.body_stream, c.timed = 0, 0
	if r.Timed {
		c.timed = 1
	}
	if r.Stream {
		c.body_stream = 1
		if len(r.Body) > 0 {
			if _, err := x.PushBody(r.Body); err != nil {
				return err
			}
		}
	} else if len(r.Body) > 0 && len(x.room) > 0 && &r.Body[0] == &x.room[0] {
		C.ph_body_filled(c, C.uint64_t(len(r.Body)))
	} else if len(r.Body) > 0 {
		if C.ph_body_set(c, unsafe.Pointer(unsafe.SliceData(r.Body)), C.uint64_t(len(r.Body))) != 0 {
			return errNoMemory
		}
	}
	x.room = nil
	x.mu.Lock()
	x.sink = s
	x.mu.Unlock()
	C.ph_submit(c)
	return nil
}

func (x *exchange) BodyRoom(n int) ([]byte, error) {
	p := C.ph_body_room(x.slot, C.uint64_t(n))
	if p == nil {
		return nil, errNoMemory
	}
	x.room = unsafe.Slice((*byte)(p), n)
	return x.room, nil
}

func (x *exchange) PushBody(p []byte) (int64, error) {
	n := C.ph_body_push(x.slot, unsafe.Pointer(unsafe.SliceData(p)), C.uint32_t(len(p)))
	if n < 0 {
		return 0, errNoMemory
	}
	return int64(n), nil
}

func (x *exchange) EndBody(err error) {
	failed := C.int(0)
	if err != nil {
		failed = 1
	}
	C.ph_body_end(x.slot, failed)
}

func (x *exchange) Take(out *Output) {
	c := x.slot
	C.ph_take(c)
	out.Committed = c.state&C.PH_COMMITTED != 0
	out.Complete = c.state&C.PH_COMPLETE != 0
	out.Failed = c.state&C.PH_FAILED != 0
	out.Done = c.state&C.PH_DONE != 0
	out.Refused = c.state&C.PH_REFUSED != 0
	out.TimedOut = c.state&C.PH_TIMED_OUT != 0
	out.Lost = c.state&C.PH_LOST != 0
	out.WantBody = c.state&C.PH_WANT_BODY != 0
	out.Status, out.Headers = nil, nil
	if out.Committed {
		out.Status = bytesOf(c.status, int(c.status_len))
		out.Headers = bytesOf(c.headers, int(c.headers_len))
	}
	if c.chunks == nil {
		return
	}
	if x.last != nil {
		x.last.next = c.chunks
	} else {
		x.first = c.chunks
	}
	for k := c.chunks; k != nil; k = k.next {
		x.last = k
		ch := Chunk{File: int(k.fd), Offset: int64(k.offset), Size: int64(k.size)}
		if k.data != nil {
			ch.Data = bytesOf(k.data, int(k.size))
		}
		out.Chunks = append(out.Chunks, ch)
	}
}

func bytesOf(p *C.char, n int) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), n) }

func (x *exchange) Sent(n int) {
	if n <= 0 || x.first == nil {
		return
	}
	first, last := x.first, x.first
	for ; n > 1 && last.next != nil; n-- {
		last = last.next
	}
	x.first = last.next
	if x.first == nil {
		x.last = nil
	}
	C.ph_sent(x.slot, first, last)
}

func (x *exchange) Times() (t Times) {
	c := x.slot
	t.Thread = int(atomic.LoadUint32((*uint32)(unsafe.Pointer(&c.thread)))) // first: the rest was written before it
	queued, taken := atomicTime(&c.queued_at), atomicTime(&c.taken_at)
	if t.Thread == 0 {
		if queued != 0 {
			t.Queue = time.Duration(uint64(C.ph_now()) - queued)
		}
		return t
	}
	t.Queue, t.Python = time.Duration(taken-queued), time.Duration(atomicTime(&c.ran))
	if t.Python == 0 {
		t.Python = time.Duration(uint64(C.ph_now()) - taken)
	}
	return t
}

func atomicTime(p *C.uint64_t) uint64 { return atomic.LoadUint64((*uint64)(unsafe.Pointer(p))) }

func (x *exchange) Cancel() { C.ph_cancel(x.slot) }

func (x *exchange) Release() {
	x.mu.Lock()
	x.sink = nil
	x.mu.Unlock()
	C.ph_release(x.slot, x.first, x.last)
	x.first, x.last, x.room = nil, nil, nil
	t := x.table
	t.mu.Lock()
	t.free = append(t.free, x)
	t.mu.Unlock()
}
