//go:build !cgo

package pyhost

import (
	"context"
	"syscall"
)

// Host can't be made without cgo: every way to get one returns [ErrNoCgo].
type Host struct{}

// Open returns [ErrNoCgo].
func Open(Options) (*Host, error) { return nil, ErrNoCgo }

// Load returns [ErrNoCgo].
func (*Host) Load(string) (int, error) { return -1, ErrNoCgo }

// Start returns [ErrNoCgo].
func (*Host) Start() error { return ErrNoCgo }

// NewExchange returns nil.
func (*Host) NewExchange() Exchange { return nil }

// OwnFD does nothing.
func (*Host) OwnFD(uintptr, bool) {}

// Info returns the zero Info.
func (*Host) Info() Info { return Info{} }

// StaticFolders returns nothing.
func (*Host) StaticFolders(int) ([]StaticFolder, []string) { return nil, nil }

// Ask returns [ErrNoCgo].
func (*Host) Ask(context.Context, string, string) (string, error) { return "", ErrNoCgo }

// HandleSignal does nothing.
func (*Host) HandleSignal(syscall.Signal) {}

// ExitRequested returns nil.
func (*Host) ExitRequested() <-chan int { return nil }

// Shutdown returns [ErrNoCgo].
func (*Host) Shutdown(context.Context) error { return ErrNoCgo }

// Stacks returns [ErrNoCgo].
func (*Host) Stacks(context.Context) (string, error) { return "", ErrNoCgo }

// Queued is 0.
func (*Host) Queued() int { return 0 }

// EventLoan can't be made without cgo.
type EventLoan struct{}

// LendEvents returns nil.
func (*Host) LendEvents() *EventLoan { return nil }

// FD returns -1.
func (*EventLoan) FD() int { return -1 }

// Collect does nothing.
func (*EventLoan) Collect() {}

// Asleep does nothing.
func (*EventLoan) Asleep(bool) {}

// Return does nothing.
func (*EventLoan) Return() {}
