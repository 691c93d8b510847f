package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/gateway"
	"github.com/gowsgi/gowsgi/pyhost"
)

// leastEnd is how long Python's end (non-daemon threads, atexit handlers, flushing) may take though the requests used up the graceful timeout.
const leastEnd = time.Second

// mostSay is how long a line of the log may take to be written while the server ends.
const mostSay = time.Second

// serving is a running server and what can end it.
type serving struct {
	log      *slog.Logger
	graceful time.Duration
	signals  <-chan os.Signal
	failed   chan error // what Serve of each listener returned
	host     *pyhost.Host
	server   *gateway.Server
}

func takeSignals() <-chan os.Signal {
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	return c
}

// unlessStopped runs f and returns its error, or ends the program where a signal comes first: an import can take long, and there is nothing
// to drain yet.
func (s *serving) unlessStopped(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case sig := <-s.signals:
		s.log.Info("stopped before the app was loaded", "signal", sig.String())
		return &codeError{code: exitFine}
	}
}

// say logs, but does not wait longer than mostSay for a log that can't be written (a pipe whose reader sleeps): the server ends all the same.
func (s *serving) say(level slog.Level, text string, args ...any) {
	said := make(chan struct{})
	go func() {
		s.log.Log(context.Background(), level, text, args...)
		close(said)
	}()
	select {
	case <-said:
	case <-time.After(mostSay):
	}
}

// wait returns when the server has ended.
func (s *serving) wait() error {
	select {
	case sig := <-s.signals:
		s.say(slog.LevelInfo, "draining: requests in hand may finish; a second signal ends the server at once", "signal", sig.String(), "timeout", s.graceful)
		if sig, ok := sig.(syscall.Signal); ok {
			s.host.HandleSignal(sig)
		}
		return s.drain(exitFine)
	case code := <-s.host.ExitRequested():
		s.say(slog.LevelInfo, "draining: the app asked to exit", "code", code)
		return s.drain(code)
	case err := <-s.failed:
		s.say(slog.LevelError, "draining: a listener failed", "error", err)
		_ = s.drain(exitOther)
		return err
	}
}

// drain stops accepting, lets the requests in hand finish, and ends Python. The code is the app's where its own signal handler raised
// SystemExit.
func (s *serving) drain(code int) error {
	go func() {
		sig := <-s.signals
		s.say(slog.LevelError, "ended at once by a second signal; requests in hand are lost", "signal", sig.String())
		os.Exit(exitOther)
	}()
	deadline := time.Now().Add(s.graceful)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.say(slog.LevelError, "requests in hand were cut off at the graceful timeout", "timeout", s.graceful, "error", err)
	}
	end, cancelEnd := context.WithTimeout(context.Background(), max(time.Until(deadline), leastEnd))
	defer cancelEnd()
	if err := s.host.Shutdown(end); err != nil && !errors.Is(err, pyhost.ErrState) {
		s.say(slog.LevelError, "Python did not end well", "error", err)
	}
	// A handler that Shutdown waited for may have raised SystemExit just now; its code comes through a pipe.
	select {
	case code = <-s.host.ExitRequested():
	case <-time.After(50 * time.Millisecond):
	}
	return &codeError{code: code}
}
