// Package reaper collects the processes that end as children of the server without having been started by it: as process 1 of a container,
// or as a child subreaper (prctl(2)), it is given every process whose parent has ended. Uncollected, they would stay as zombies.
package reaper

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Adopts tells whether orphans become children of this process: it is process 1 of its PID namespace, or a subreaper.
func Adopts() bool {
	var subreaper int32
	// Not by unix.Prctl, which takes the pointer as a plain number that a growing stack leaves behind.
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0)
	return os.Getpid() == 1 || errno == 0 && subreaper != 0
}

const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Second
)

// Run collects orphans until ctx ends. isOurs tells of a child that has ended whether this program started it and waits for it; such a
// one is left alone, so that nobody's wait loses its status. isOurs is called from Run's goroutine. While a child is being started its
// number is not known: isOurs must then not answer before it is, as Children.Has does.
func Run(ctx context.Context, isOurs func(pid int) bool) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for retry := firstRetry; ; {
		collected, blocked, err := sweep(isOurs)
		if err != nil {
			return err
		}
		// The kernel shows one ended child until it is waited for. Where that is one of ours, the others show once its waiter has come.
		var again <-chan time.Time
		switch {
		case blocked && !collected:
			retry = min(2*retry, lastRetry)
			again = time.After(retry)
		case blocked:
			retry = firstRetry
			again = time.After(retry)
		default:
			retry = firstRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
		case <-again:
		}
	}
}

// sweep collects the orphans that have ended. blocked: one of ours has ended too and is not yet waited for.
func sweep(isOurs func(pid int) bool) (collected, blocked bool, err error) {
	for {
		pid, err := endedChild()
		if err != nil || pid == 0 {
			return collected, false, err
		}
		if isOurs(pid) {
			return collected, true, nil
		}
		// By number, and only now: nobody else's child can be meant.
		if _, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); err != nil && !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.ECHILD) {
			return collected, false, os.NewSyscallError("wait4", err)
		}
		collected = true
	}
}

// endedChild is the number of a child that has ended and is not yet waited for, which it stays; 0 where there is none.
func endedChild() (int, error) {
	// The kernel's siginfo_t on 64-bit machines (sigaction(2)); x/sys leaves the union opaque.
	var info struct {
		signo, errno, code int32
		_                  int32
		pid                int32
		_                  [108]byte
	}
	for {
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		switch {
		case err == nil:
			return int(info.pid), nil
		case errors.Is(err, unix.ECHILD):
			return 0, nil
		case !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError("waitid", err)
		}
	}
}
