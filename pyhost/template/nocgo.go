//go:build !cgo

package template

import (
	"context"
	"os"

	"github.com/gowsgi/gowsgi/pyhost"
)

// Template can't be made without cgo.
type Template struct{}

// Start returns [pyhost.ErrNoCgo].
func Start(context.Context, Options) (*Template, error) { return nil, pyhost.ErrNoCgo }

// Fork returns [pyhost.ErrNoCgo].
func (*Template) Fork(context.Context, string, []uintptr) (int, error) { return 0, pyhost.ErrNoCgo }

// Pid returns 0.
func (*Template) Pid() int { return 0 }

// Done returns nil.
func (*Template) Done() <-chan struct{} { return nil }

// Stop does nothing.
func (*Template) Stop() {}

// Adopted returns false.
func Adopted() bool { return false }

// Main ends the process with the exit code that f returns.
func Main(f func() int) { os.Exit(f()) }
