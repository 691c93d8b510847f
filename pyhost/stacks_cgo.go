//go:build cgo

package pyhost

/*
#include "pyhost.h"
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
	"unsafe"
)

// Stacks is the Python stack of each thread as text, with its name and its request if any. It asks the interpreter for a second, and else has
// the threads read from outside. On a free-threaded build stacks of running threads can't be read, and names must do. Any goroutine. An
// error is [ErrState], before Start, or ctx's.
func (h *Host) Stacks(ctx context.Context) (string, error) {
	h.mu.Lock()
	state := h.state
	h.mu.Unlock()
	if state == stateOpen {
		return "", ErrState
	}
	done := make(chan string, 1)
	go func() {
		text := C.ph_stacks()
		defer C.free(unsafe.Pointer(text))
		done <- C.GoString(text)
	}()
	select {
	case text := <-done:
		if text == "" {
			return "", errors.New("pyhost: out of memory for the stacks")
		}
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Queued is how many requests wait for a Python thread. It is cheap: no lock.
func (h *Host) Queued() int {
	return int(atomic.LoadUint32((*uint32)(unsafe.Pointer(&C.ph_queued))))
}

// passOnNotices calls Options.OnStuck and Options.OnGILHeld.
func (h *Host) passOnNotices() {
	var last C.ph_notices
	for range h.events.notices {
		now := C.ph_notices_take()
		if now.losses != last.losses && h.options.OnStuck != nil {
			h.options.OnStuck(int(now.lost))
		}
		if now.holds != last.holds && h.options.OnGILHeld != nil {
			h.options.OnGILHeld(time.Duration(now.held))
		}
		last = now
	}
}
