//go:build cgo

package template

/*
#cgo CFLAGS: -I${SRCDIR}/.. -O2 -Wall -Wextra -std=gnu11
#include "template.h"
*/
import "C"

import (
	"os"
	"runtime"
)

// The first thread is Python's main thread: the main goroutine keeps it, so that no other runs there.
func init() {
	if Adopted() {
		runtime.LockOSThread()
	}
}

// Adopted says whether this process is a worker that was forked from a template. Its apps are imported, its descriptors are those that were
// given to Fork, from 3 on, and os.Args[0] is the name given there.
func Adopted() bool { return C.template_adopted() != 0 }

// Main is the body of a program's main function: it runs f and ends the process with the exit code that f returns. In a worker that was
// forked from a template Python needs the first thread, so f runs on another one.
func Main(f func() int) {
	if !Adopted() {
		os.Exit(f())
	}
	go func() { os.Exit(f()) }()
	C.template_run()
}
