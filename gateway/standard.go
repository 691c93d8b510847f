package gateway

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// aboveStandard moves a new descriptor away from the numbers of the standard streams, which it got because the app closed those: what is
// printed would be sent to a client. They lead to /dev/null from then on. The old number is closed, after an error too.
func aboveStandard(fd int) (int, error) {
	if fd > 2 {
		return fd, nil
	}
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	_ = syscall.Close(fd)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	for {
		null, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0)
		if err == nil && null <= 2 {
			continue
		}
		if err == nil {
			_ = syscall.Close(null)
		}
		return moved, nil
	}
}
