package gateway

import (
	"syscall"
	"unsafe"
)

// System calls on sockets that never block. They do not tell Go's scheduler, which would cost more than they do, and could take the
// goroutine's place away in the middle of them.

func rawRead(fd int, p []byte) (int, syscall.Errno) {
	return retry(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		return n, errno
	})
}

func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	return retry(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		return n, errno
	})
}

// rawWritev writes the pieces, which are size bytes. The kernel copies a large write for so long that the scheduler is told after all.
func rawWritev(fd int, pieces []syscall.Iovec, size int) (int, syscall.Errno) {
	return retry(func() (n uintptr, errno syscall.Errno) {
		p := uintptr(unsafe.Pointer(unsafe.SliceData(pieces)))
		if size > 64<<10 {
			n, _, errno = syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd), p, uintptr(len(pieces)))
		} else {
			n, _, errno = syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), p, uintptr(len(pieces)))
		}
		return n, errno
	})
}

func rawEpollWait(epoll int, events []syscall.EpollEvent) (int, syscall.Errno) {
	return retry(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
			uintptr(len(events)), 0, 0, 0)
		return n, errno
	})
}

// retry repeats f while a signal interrupts it. n is 0 where f failed.
func retry(f func() (uintptr, syscall.Errno)) (n int, errno syscall.Errno) {
	for {
		r, errno := f()
		if errno == 0 {
			return int(r), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}
