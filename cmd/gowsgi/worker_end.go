package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/cmd/gowsgi/internal/control"
	"github.com/gowsgi/gowsgi/pyhost"
)

// leastEnd is how long Python's end (non-daemon threads, atexit handlers, flushing) may take though the requests used up the graceful timeout.
const leastEnd = time.Second

// cutStacksTimeout is how long the stacks of requests that are cut off may take.
const cutStacksTimeout = 2 * time.Second

// mostSay is how long a line of the log may take to be written while the server ends.
const mostSay = time.Second

func takeSignals() <-chan os.Signal {
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	return c
}

// unlessStopped runs f and returns its error, or ends the program where it is told to end first: an import can take long, and there is
// nothing to drain yet.
func (w *worker) unlessStopped(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	for {
		select {
		case err := <-done:
			return err
		case m, alive := <-w.orders:
			if !alive || m.Kind == control.Drain {
				return &codeError{code: exitFine}
			}
		case <-w.signals:
			return &codeError{code: exitFine}
		}
	}
}

// say logs, but does not wait longer than mostSay for a log that can't be written (a pipe whose reader sleeps): the server ends all the same.
func say(log *slog.Logger, level slog.Level, text string, args ...any) {
	said := make(chan struct{})
	go func() {
		log.Log(context.Background(), level, text, args...)
		close(said)
	}()
	select {
	case <-said:
	case <-time.After(mostSay):
	}
}

// wait returns when the worker has ended.
func (w *worker) wait() error {
	for {
		select {
		case m, alive := <-w.orders:
			switch {
			case !alive:
				say(w.log, slog.LevelWarn, "draining: the master is gone")
				w.keep.Store(true)
				return w.drain(w.s.GracefulTimeout, exitFine)
			case m.Kind == control.Drain:
				if m.Signal != 0 {
					w.keep.Store(true)
					w.host.Load().HandleSignal(syscall.Signal(m.Signal))
				}
				return w.drain(m.Timeout, exitFine)
			}
		case sig := <-w.signals:
			say(w.log, slog.LevelInfo, "draining: a signal came to this worker alone", "signal", sig.String())
			if sig, ok := sig.(syscall.Signal); ok {
				w.host.Load().HandleSignal(sig)
			}
			return w.drain(w.s.GracefulTimeout, exitFine)
		case code := <-w.host.Load().ExitRequested():
			say(w.log, slog.LevelInfo, "draining: the app asked to exit", "code", code)
			return w.drain(w.s.GracefulTimeout, code)
		case err := <-w.failed:
			say(w.log, slog.LevelError, "draining: a listener failed", "error", err)
			_ = w.drain(w.s.GracefulTimeout, exitOther)
			return err
		}
	}
}

// drain stops accepting, lets the requests in hand finish within the time, and ends Python. The code is the app's where its own signal
// handler raised SystemExit.
func (w *worker) drain(timeout time.Duration, code int) error {
	deadline := time.Now().Add(timeout)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go w.hurry(cancel)
	go w.cutOff(ctx, timeout, cancel)
	w.handover.stop()
	w.balancer.stop()
	go w.tellClosed()
	_ = w.server.Shutdown(ctx) // its only error is that of ctx
	end, cancelEnd := context.WithTimeout(context.Background(), w.dev.endTime(max(time.Until(deadline), leastEnd)))
	defer cancelEnd()
	if err := w.host.Load().Shutdown(end); err != nil && !errors.Is(err, pyhost.ErrState) && w.dev == nil {
		say(w.log, slog.LevelError, "Python did not end well", "error", err)
	}
	// A handler that Shutdown waited for may have raised SystemExit just now; its code comes through a pipe.
	select {
	case code = <-w.host.Load().ExitRequested():
	case <-time.After(50 * time.Millisecond):
	}
	w.access.Load().end(w.log)
	return &codeError{code: code}
}

// tellClosed tells the master when no listener accepts any more.
func (w *worker) tellClosed() {
	for range cap(w.failed) {
		<-w.failed
	}
	_ = w.control.Send(control.Message{Kind: control.Closed})
}

// cutOff cuts the requests that are still in hand when the time is over, and says which these are and where they hang.
func (w *worker) cutOff(ctx context.Context, timeout time.Duration, cut func()) {
	select {
	case <-time.After(timeout):
	case <-ctx.Done():
		return
	}
	defer cut()
	if timeout == 0 || w.dev != nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, cutStacksTimeout)
	defer cancel()
	stacks, err := w.host.Load().Stacks(limited)
	if err != nil {
		stacks = err.Error()
	}
	say(w.log, slog.LevelError, "requests in hand are cut off at the graceful timeout; what they do:\n"+stacks, "timeout", timeout)
}

// hurry cuts the requests in hand where the master, or a second signal, says that there is no more time.
func (w *worker) hurry(cut func()) {
	for {
		select {
		case m, alive := <-w.orders:
			if !alive {
				return
			}
			if m.Kind == control.Drain && m.Timeout == 0 {
				cut()
			}
		case <-w.signals:
			cut()
		}
	}
}
