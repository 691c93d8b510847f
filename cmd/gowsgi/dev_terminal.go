package main

import (
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// signals are those that the master knows. In a terminal the job control of the shell stops and continues all processes of a development
// server, and one that nohup started outlives its window. A nil devMaster is no development server.
func (d *devMaster) signals() []os.Signal {
	if d == nil {
		return masterSignals
	}
	return slices.DeleteFunc(slices.Clone(masterSignals), func(sig os.Signal) bool {
		return sig == syscall.SIGTTIN || sig == syscall.SIGTTOU || sig == syscall.SIGHUP && signal.Ignored(sig)
	})
}

// keepTerminal returns what gives the terminal on standard input back as it is now: a process that is ended while somebody types a line there
// leaves it without echo.
func keepTerminal() (restore func()) {
	const stdin = 0
	before, err := unix.IoctlGetTermios(stdin, unix.TCGETS)
	if err != nil {
		return func() {} // it is none
	}
	return func() {
		// In the background it is somebody else's.
		if group, err := unix.IoctlGetInt(stdin, unix.TIOCGPGRP); err == nil && group == unix.Getpgrp() {
			_ = unix.IoctlSetTermios(stdin, unix.TCSETS, before)
		}
	}
}
