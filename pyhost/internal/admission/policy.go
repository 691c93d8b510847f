//go:build cgo

package admission

/*
#cgo CFLAGS: -O2 -Wall -Wextra -std=gnu11
#include "admission.h"
#include <stdlib.h>
*/
import "C"

import (
	"time"
	"unsafe"
)

// policy is the state machine, for this package's tests.
type policy struct {
	c       *C.admission
	threads *C.adm_thread
}

func newPolicy(threads int, interval time.Duration, gil bool, cores int) *policy {
	p := &policy{
		c:       (*C.admission)(C.calloc(1, C.sizeof_admission)),
		threads: (*C.adm_thread)(C.calloc(C.size_t(threads), C.sizeof_adm_thread)),
	}
	C.adm_init(p.c, p.threads, C.int(threads), C.uint64_t(interval), C.bool(gil), C.int(cores))
	return p
}

func (p *policy) free() {
	C.free(unsafe.Pointer(p.threads))
	C.free(unsafe.Pointer(p.c))
}

const (
	serve    = C.ADM_SERVE
	ask      = C.ADM_ASK
	pauseAsk = C.ADM_PAUSE_ASK
	rest     = C.ADM_REST

	tell  = C.ADM_TELL
	stop  = C.ADM_STOP
	yield = C.ADM_YIELD
)

func gap() time.Duration          { return time.Duration(C.ADM_GAP) }
func yieldTime() time.Duration    { return time.Duration(C.ADM_YIELD_TIME) }
func tickInterval() time.Duration { return time.Duration(C.ADM_TICK) }

func at(t time.Duration) C.uint64_t { return C.uint64_t(t) }

func (p *policy) requestQueued(t time.Duration) bool { return bool(C.adm_queued(p.c, at(t))) }
func (p *policy) woken(me int)                       { C.adm_woken(p.c, C.int(me)) }
func (p *policy) rest(me int, t time.Duration) bool  { return bool(C.adm_rest(p.c, C.int(me), at(t))) }
func (p *policy) took(me int, t time.Duration) bool  { return bool(C.adm_took(p.c, C.int(me), at(t))) }
func (p *policy) deliver(me int, t time.Duration)    { C.adm_deliver(p.c, C.int(me), at(t)) }
func (p *policy) tick(t time.Duration) bool          { return bool(C.adm_tick(p.c, at(t))) }

func (p *policy) ask(me int, t time.Duration, first bool) {
	C.adm_ask(p.c, C.int(me), at(t), C.bool(first))
}

func (p *policy) got(me int, t time.Duration) int { return int(C.adm_got(p.c, C.int(me), at(t))) }

func (p *policy) finished(me int, t time.Duration, untold int) int {
	return int(C.adm_finished(p.c, C.int(me), at(t), C.int(untold)))
}

func (p *policy) dropped()    { C.adm_dropped(p.c) }
func (p *policy) lost(me int) { C.adm_lost(p.c, C.int(me)) }
func (p *policy) inApp() int  { return int(p.c.in_app) }
func (p *policy) usedSinceMeasure(me int) int {
	t := unsafe.Slice(p.threads, int(p.c.n))[me]
	return int(t.cpu - t.cpu_measured)
}

func (p *policy) needsTicks() bool { return bool(C.adm_needs_ticks(p.c)) }

func (p *policy) wantsClocks(t time.Duration) bool {
	var all C.bool
	return bool(C.adm_wants_clocks(p.c, at(t), &all))
}

func (p *policy) setClock(me int, cpu time.Duration) {
	unsafe.Slice(p.threads, int(p.c.n))[me].cpu = C.uint64_t(cpu)
}

func (p *policy) setInterval(d time.Duration) { C.adm_set_interval(p.c, C.uint64_t(d)) }
func (p *policy) idle() int                   { return int(p.c.idle) }
