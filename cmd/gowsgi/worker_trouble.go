package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
)

// stacksTimeout is how long the stacks of a worker may take.
const stacksTimeout = 10 * time.Second

// writeStacks writes the stack of every Python thread to the log.
func (w *worker) writeStacks() {
	host := w.host.Load()
	if host == nil {
		w.log.Warn("no stacks yet: the worker is starting")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stacksTimeout)
	defer cancel()
	text, err := host.Stacks(ctx)
	if err != nil {
		w.log.Error("the stacks of the Python threads can't be had", "error", err)
		return
	}
	w.log.Info("stacks of the Python threads\n" + text)
}

// onStuck asks for a successor when too many threads are lost.
func (w *worker) onStuck(lost int) {
	if w.s.MaxStuck > 0 && lost >= w.s.MaxStuck {
		w.askForSuccessor(fmt.Sprintf("%d of its threads did not come back from requests that timed out", lost))
	}
}

// onGILHeld asks for a successor: no request can run here, for as long as that lasts. Connections are left to other workers for a while; for
// good only if the successor comes.
func (w *worker) onGILHeld(d time.Duration) {
	w.held.Store(time.Now().Add(2 * w.s.GILTimeout).UnixNano())
	w.askForSuccessor(fmt.Sprintf("nobody could have the GIL for %v", d.Round(time.Millisecond)))
}

func (w *worker) isHeld() bool { return time.Now().UnixNano() < w.held.Load() }

func (w *worker) askForSuccessor(why string) {
	_ = w.control.Send(control.Message{Kind: control.Recycle, Text: why})
}
