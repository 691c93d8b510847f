//go:build cgo

package pyhost

/*
#include "pyhost.h"
#cgo noescape ph_events
#cgo nocallback ph_events
#cgo noescape ph_log_waiting
#cgo nocallback ph_log_waiting
#cgo noescape ph_event_switch
#cgo nocallback ph_event_switch
*/
import "C"

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

const eventBatch = 256

// events is how Go hears from C: of slots with news and of log lines.
type events struct {
	h     *Host
	fd    C.int         // eventfd of the host's own goroutine
	lines chan struct{} // there are lines to log; holds one

	notices chan struct{} // something befell the Python threads; holds one

	collecting sync.Mutex // one collects at a time; guards ids and noticed
	ids        [eventBatch]C.uint32_t
	noticed    uint32

	lending sync.Mutex // guards what follows
	lent    bool
	lentFD  C.int // eventfd for a borrower, 0 before the first; never closed: C may be about to write it
}

// current is the events of this process's only host, for the Python threads.
var current atomic.Pointer[events]

var errEventFD = errors.New("pyhost: no descriptor is left for the host's events; raise the limit (ulimit -n)")

// startEvents runs the goroutine that collects events where nobody borrowed that, and another that writes the log.
func (h *Host) startEvents() error {
	e := &events{h: h, fd: C.ph_event_open(), lines: make(chan struct{}, 1), notices: make(chan struct{}, 1)}
	if e.fd < 0 {
		return errEventFD
	}
	h.events = e
	current.Store(e)
	C.ph_event_switch(e.fd)
	go func() { // a log that can't be written (a pipe whose reader sleeps) must not hold up responses
		for range e.lines {
			h.writeLog()
		}
	}()
	go h.passOnNotices()
	f := os.NewFile(uintptr(e.fd), "events from Python")
	go func() {
		var counter [8]byte
		for {
			if _, err := f.Read(counter[:]); err != nil {
				return
			}
			e.collecting.Lock()
			e.collect()
			e.collecting.Unlock()
		}
	}()
	return nil
}

// EventLoan is the collecting of a host's events by somebody else's poll loop.
type EventLoan struct{ e *events }

// LendEvents lets a poll loop of the caller's do what a goroutine of the host does otherwise, which saves the switches between them. Nil
// where another loop has it, or no descriptor is left. Any goroutine.
func (h *Host) LendEvents() *EventLoan {
	e := h.events
	e.lending.Lock()
	defer e.lending.Unlock()
	if e.lent {
		return nil
	}
	if e.lentFD == 0 {
		fd := C.ph_event_open()
		if fd < 0 {
			return nil
		}
		e.lentFD = fd
	}
	e.lent = true
	C.ph_event_switch(e.lentFD)
	return &EventLoan{e}
}

// FD is the descriptor that becomes readable each time there is news: edge-triggered, nobody reads it. It stays the host's.
func (l *EventLoan) FD() int { return int(l.e.lentFD) }

// Collect calls the sinks of the exchanges with news. It does not wait. Any goroutine.
func (l *EventLoan) Collect() {
	l.e.collecting.Lock()
	defer l.e.collecting.Unlock()
	l.e.collect()
}

// Asleep tells the host that the loop is about to wait, or no longer does. While it waits, a Python thread that has nothing else to do
// calls the sinks itself rather than wake the loop. The loop must not rely on it: FD becomes readable all the same where no thread could.
func (l *EventLoan) Asleep(asleep bool) {
	var n uint32
	if asleep {
		n = 1
	}
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&C.ph_listener_asleep)), n)
}

// Return ends the loan.
func (l *EventLoan) Return() {
	l.Asleep(false)
	l.e.lending.Lock()
	defer l.e.lending.Unlock()
	l.e.lent = false
	C.ph_event_switch(l.e.fd)
}

// gowsgi_deliver collects on a Python thread, which has let the GIL go. 0: another collects just now and may have missed the newest.
//
//export gowsgi_deliver
func gowsgi_deliver() C.int {
	e := current.Load()
	if !e.collecting.TryLock() {
		return 0
	}
	defer e.collecting.Unlock()
	e.collect()
	return 1
}

// collect tells the sinks of all that is new. e.collecting is held.
func (e *events) collect() {
	for {
		n := int(C.ph_events(&e.ids[0], eventBatch))
		// After ph_events: a line that came before it may have been left untold.
		if C.ph_log_waiting() > 0 {
			signalNews(e.lines)
		}
		if count := atomic.LoadUint32((*uint32)(unsafe.Pointer(&C.ph_notice_count))); count != e.noticed {
			e.noticed = count
			signalNews(e.notices)
		}
		if n == 0 {
			return
		}
		all := *e.h.exchanges.all.Load()
		for _, id := range e.ids[:n] {
			x := all[id]
			x.mu.Lock()
			s := x.sink
			x.mu.Unlock()
			if s != nil {
				s.ExchangeReady(x)
			}
		}
	}
}

// signalNews puts news in a channel that holds one.
func signalNews(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// writeLog writes the lines that came up to now; when it returns they are written.
func (h *Host) writeLog() {
	h.logging.Lock()
	defer h.logging.Unlock()
	for l := C.ph_log_take(); l != nil; {
		text := C.GoStringN((*C.char)(unsafe.Pointer(uintptr(unsafe.Pointer(l))+unsafe.Offsetof(l.len)+unsafe.Sizeof(l.len))), C.int(l.len))
		h.log.Log(context.Background(), slog.Level(l.level), strings.TrimRight(text, "\n"))
		next := l.next
		C.ph_log_free(l)
		l = next
	}
}
