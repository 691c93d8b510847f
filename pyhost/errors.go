package pyhost

import (
	"errors"
	"fmt"
)

// ErrNoCgo is what every call returns in a build without cgo.
var ErrNoCgo = errors.New("pyhost: this program was built with CGO_ENABLED=0 and can't host Python; build it with cgo and a C compiler")

// ErrOpen says that the process hosts an interpreter already. CPython can be started once in a process, a failed start included.
var ErrOpen = errors.New("pyhost: CPython was started in this process already; there is one interpreter per process")

// ErrState says that calls came in the wrong order: Load after Start, Start twice, anything after Shutdown.
var ErrState = errors.New("pyhost: the host is not in the state for this call; the order is Open, Load, Start, Shutdown")

// LoadError says why libpython can't be used.
type LoadError struct {
	// Library is its path.
	Library string
	// Version is what it says of itself, "" where it could not be asked.
	Version string
	// Symbol is the function that it lacks, "" where it was refused for another reason.
	Symbol string
	// Reason is the dynamic linker's message, or what is wrong with the version.
	Reason string
}

func (e *LoadError) Error() string {
	switch {
	case e.Symbol != "" && e.Version != "":
		return fmt.Sprintf("pyhost: %s (CPython %s) has no function %s; CPython 3.9 or newer is needed, built with --enable-shared",
			e.Library, e.Version, e.Symbol)
	case e.Symbol != "":
		return fmt.Sprintf("pyhost: %s has no function %s: it is no libpython of CPython 3.9 or newer", e.Library, e.Symbol)
	case e.Version != "":
		return fmt.Sprintf("pyhost: %s is CPython %s: %s", e.Library, e.Version, e.Reason)
	}
	return fmt.Sprintf("pyhost: %s can't be loaded: %s", e.Library, e.Reason)
}

// StartError says why CPython did not start. CPython may have written more to stderr.
type StartError struct {
	// Executable is the python that it was to start as.
	Executable string
	// Reason is CPython's own message.
	Reason string
	// Home is $PYTHONHOME, which sends CPython elsewhere for its library: the usual cause where it is set.
	Home string
}

func (e *StartError) Error() string {
	s := fmt.Sprintf("pyhost: Python does not start as %s: %s", e.Executable, e.Reason)
	if e.Home != "" {
		s += fmt.Sprintf("; PYTHONHOME is %s, unset it if that is not this Python's installation", e.Home)
	}
	return s
}

// AppError says why an app can't be served.
type AppError struct {
	// Spec is the app as it was given to Load.
	Spec string
	// Reason is one line.
	Reason string
	// Traceback is Python's, from the app's first frame on, or "".
	Traceback string
}

func (e *AppError) Error() string {
	s := fmt.Sprintf("pyhost: the app %s can't be loaded: %s", e.Spec, e.Reason)
	if e.Traceback != "" {
		s += "\n" + e.Traceback
	}
	return s
}
