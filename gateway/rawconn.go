package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// streamConn is what the gateway needs of a connection; *net.TCPConn and *net.UnixConn have it.
type streamConn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// rawConn reads and writes a socket by system calls of its own inside Go's network poller: a connection that waits holds no buffer, a
// write can be tried without waiting, files are sent by sendfile, and nothing is allocated per call. One goroutine reads; writes never
// overlap.
type rawConn struct {
	nc  streamConn
	raw syscall.RawConn

	// Arguments and results of readFn and writeFn, which are made once per connection.
	readFn  func(fd uintptr) bool
	in      *buffer // nil while nothing is read
	window  int     // how large a new one is to be; 0: the smallest
	r, w    int     // in.b[r:w] was read and not used yet
	readN   int
	readErr error

	writeFn  func(fd uintptr) bool
	out      [3][]byte // what is to be written, in this order
	file     writeFile
	once     bool // do not wait
	wrote    int64
	writeErr error
	progress func() // called when some bytes went out
}

// writeFile is a stretch of a file that is to be written; size 0: none.
type writeFile struct {
	fd           int
	offset, size int64
	copied       *buffer // not nil: sendfile can't send this file
}

// errWoken: the read ended because of wake.
var errWoken = errors.New("gateway: woken")

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

func (c *rawConn) init(nc streamConn, progress func()) error {
	raw, err := nc.SyscallConn()
	if err != nil {
		return fmt.Errorf("gateway: connection from %v: %w", nc.RemoteAddr(), err)
	}
	c.nc, c.raw, c.progress = nc, raw, progress
	c.readFn, c.writeFn = c.readReady, c.writeReady
	return nil
}

// fd calls f with the descriptor, if the connection is not closed.
func (c *rawConn) fd(f func(fd uintptr)) { _ = c.raw.Control(f) }

// fill waits for bytes and appends them to in.b[r:w], which may move. io.EOF: the client ended its side.
func (c *rawConn) fill() (n int, err error) {
	if c.r == c.w {
		c.r, c.w = 0, 0
	} else {
		c.room(1)
	}
	c.readN, c.readErr = 0, nil
	if err := c.raw.Read(c.readFn); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.nc.SetReadDeadline(time.Time{})
			return 0, errWoken
		}
		return 0, err
	}
	return c.readN, c.readErr
}

// wake makes a fill that waits, or the next one, return errWoken. Any goroutine.
func (c *rawConn) wake() { _ = c.nc.SetReadDeadline(longAgo) }

func (c *rawConn) readReady(fd uintptr) bool {
	if c.in == nil {
		c.in = getBuffer(c.window)
	}
	n, err := ignoreEINTR(func() (int, error) { return syscall.Read(int(fd), c.in.b[c.w:]) })
	if err == syscall.EAGAIN {
		c.dropEmpty()
		return false
	}
	switch {
	case err != nil:
		c.readErr = os.NewSyscallError("read", err)
	case n == 0:
		c.readErr = io.EOF
	default:
		c.readN = n
		c.w += n
	}
	return true
}

// dropEmpty gives the read buffer back where nothing is in it.
func (c *rawConn) dropEmpty() {
	if c.r == c.w {
		c.in.put()
		c.in, c.r, c.w = nil, 0, 0
	}
}

// room makes place for n more bytes after in.b[r:w], which may move to the front.
func (c *rawConn) room(n int) {
	if c.in == nil {
		c.in = getBuffer(n)
		return
	}
	if len(c.in.b)-c.w >= n {
		return
	}
	copy(c.in.b, c.in.b[c.r:c.w])
	c.w -= c.r
	c.r = 0
	c.in = c.in.grow(c.w, c.w+n)
}

// tryWrite writes what can be written of p without waiting.
func (c *rawConn) tryWrite(p []byte) (n int, err error) {
	c.out[0], c.once = p, true
	err = c.write()
	return int(c.wrote), err
}

// writeAll writes the pieces, waiting for the client as long as it takes.
func (c *rawConn) writeAll(a, b, z []byte) error {
	c.out, c.once = [3][]byte{a, b, z}, false
	return c.write()
}

// sendFile writes size bytes of the file from offset on. io.ErrUnexpectedEOF: the file is shorter.
func (c *rawConn) sendFile(fd int, offset, size int64) error {
	c.file, c.once = writeFile{fd: fd, offset: offset, size: size}, false
	err := c.write()
	c.file.copied.put()
	c.file = writeFile{}
	return err
}

func (c *rawConn) write() error {
	c.wrote, c.writeErr = 0, nil
	err := c.raw.Write(c.writeFn)
	c.out = [3][]byte{}
	if err != nil {
		return err
	}
	return c.writeErr
}

func (c *rawConn) writeReady(fd uintptr) bool {
	for {
		n, err := c.writeOnce(int(fd))
		if n > 0 {
			c.wrote += n
			if !c.once {
				c.progress()
			}
		}
		switch {
		case err == syscall.EAGAIN:
			return c.once
		case err == io.ErrUnexpectedEOF:
			c.writeErr = err
			return true
		case err != nil:
			c.writeErr = os.NewSyscallError("write", err)
			return true
		case n == 0 || c.once:
			return true
		}
	}
}

// writeOnce makes one system call for what is left. 0, nil: nothing is left.
func (c *rawConn) writeOnce(fd int) (int64, error) {
	if c.file.size > 0 {
		return c.writeFileOnce(fd)
	}
	var vec [3]syscall.Iovec
	n := 0
	for _, p := range c.out {
		if len(p) > 0 {
			vec[n].Base = unsafe.SliceData(p)
			vec[n].SetLen(len(p))
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	wrote, err := ignoreEINTR(func() (int, error) {
		if n == 1 {
			return syscall.Write(fd, unsafe.Slice(vec[0].Base, int(vec[0].Len)))
		}
		r, _, errno := syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vec)), uintptr(n))
		if errno != 0 {
			return 0, errno
		}
		return int(r), nil
	})
	if err != nil {
		return 0, err
	}
	for i, left := 0, wrote; i < len(c.out) && left > 0; i++ {
		m := min(left, len(c.out[i]))
		c.out[i] = c.out[i][m:]
		left -= m
	}
	return int64(wrote), nil
}

// writeFileOnce sends by sendfile, or by a copy where the file is of a kind that sendfile refuses.
func (c *rawConn) writeFileOnce(fd int) (int64, error) {
	f := &c.file
	var n int
	var err error
	if f.copied == nil {
		offset := f.offset
		n, err = ignoreEINTR(func() (int, error) {
			return syscall.Sendfile(fd, f.fd, &offset, int(min(f.size, 1<<20)))
		})
		if err == syscall.EINVAL || err == syscall.ENOSYS || err == syscall.EOPNOTSUPP {
			f.copied = getBuffer(64 << 10)
		}
	}
	if f.copied != nil {
		p := f.copied.b[:min(f.size, int64(len(f.copied.b)))]
		n, err = ignoreEINTR(func() (int, error) { return syscall.Pread(f.fd, p, f.offset) })
		if err == nil && n > 0 {
			n, err = ignoreEINTR(func() (int, error) { return syscall.Write(fd, p[:n]) })
		}
	}
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	f.offset += int64(n)
	f.size -= int64(n)
	return int64(n), nil
}

// ignoreEINTR repeats f while a signal interrupts it.
func ignoreEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// closeWrite tells the client that nothing more comes; what it still sends can be read.
func (c *rawConn) closeWrite() { _ = c.nc.CloseWrite() }

// reset makes the close that follows a reset, so that the client can tell a cut response from one that ended (TCP only).
func (c *rawConn) reset() {
	if t, ok := c.nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}

// shutdown ends both directions at once, also where a process that was forked holds a copy of the descriptor.
func (c *rawConn) shutdown() {
	c.fd(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
}
