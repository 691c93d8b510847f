package gateway

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// rawConn reads and writes a non-blocking socket by system calls of its own; the server's poller says when it is ready. A connection that
// waits holds no buffer, a write can be tried without waiting, files are sent by sendfile, and nothing is allocated per call. One goroutine
// reads; writes never overlap. Who closes the descriptor sees to it that nobody uses it.
type rawConn struct {
	sock  int
	exact bool      // a read that fills less than its buffer has emptied the socket (TCP; a unix socket may end a read early)
	tls   *tlsLayer // nil for plain connections

	ready     atomic.Uint32 // the bits below
	readNews  chan struct{} // after readable or woken was set; holds one
	writeNews chan struct{} // after writable was set; holds one

	in     *buffer // nil while nothing is read
	window int     // how large a new one is to be; 0: the smallest
	r, w   int     // in.b[r:w] was read and not used yet

	// Bytes that were read, and that were written; under TLS before encryption.
	received, sent int64

	out      [][]byte // what is to be written, in this order
	file     writeFile
	progress func(n int64) // called when n bytes went out
}

// What is known of a socket.
const (
	readable  = 1 << iota // there may be something to read
	writable              // there may be room to write
	hungUp                // the other side has ended or is gone, so that reading never has to wait
	woken                 // fill is to return errWoken
	socketFed             // the poller said readable since crypto/tls last read the socket
)

// writeFile is a stretch of a file that is to be written; size 0: none.
type writeFile struct {
	fd           int
	offset, size int64
	copied       *buffer // not nil: sendfile can't send this file
}

// errWoken: the read ended because of wake.
var errWoken = errors.New("gateway: woken")

func (c *rawConn) init(fd int, exact bool, progress func(n int64)) {
	c.sock, c.exact, c.progress = fd, exact, progress
	c.readNews, c.writeNews = make(chan struct{}, 1), make(chan struct{}, 1)
	c.ready.Store(writable)
}

// becomes notes what the poller heard of the socket.
func (c *rawConn) becomes(bits uint32) {
	if bits&readable != 0 {
		bits |= socketFed
	}
	old := c.ready.Or(bits)
	if bits&writable != 0 && old&writable == 0 {
		signal(c.writeNews)
	}
	if bits&(readable|woken) != 0 {
		signal(c.readNews)
	}
}

// signal puts news in a channel that holds one.
func signal(news chan struct{}) {
	select {
	case news <- struct{}{}:
	default:
	}
}

// fill waits for bytes and appends them to in.b[r:w], which may move. io.EOF: the client ended its side.
func (c *rawConn) fill() (n int, err error) {
	for {
		if c.ready.Load()&(readable|hungUp|woken) == 0 {
			c.dropEmpty()
		}
		if err = c.waitReadable(); err != nil {
			return 0, err
		}
		if n, err = c.read(); err != syscall.EAGAIN {
			return n, err
		}
	}
}

// fillInto is fill into other memory.
func (c *rawConn) fillInto(p []byte) (n int, err error) {
	for {
		if err = c.waitReadable(); err != nil {
			return 0, err
		}
		if n, err = c.readInto(p); err != syscall.EAGAIN {
			return n, err
		}
	}
}

// waitReadable waits until a read may find something, or returns errWoken.
func (c *rawConn) waitReadable() error {
	for {
		bits := c.ready.Load()
		switch {
		case bits&woken != 0:
			c.ready.And(^uint32(woken))
			return errWoken
		case bits&(readable|hungUp) != 0:
			return nil
		}
		<-c.readNews
	}
}

// read reads what is there without waiting. syscall.EAGAIN: nothing; io.EOF: the client ended its side.
func (c *rawConn) read() (n int, err error) {
	switch {
	case c.in == nil:
		c.in = getBuffer(c.window)
		c.r, c.w = 0, 0
	case c.r == c.w:
		c.r, c.w = 0, 0
	default:
		c.room(1)
	}
	n, err = c.readInto(c.in.b[c.w:])
	c.w += n
	return n, err
}

func (c *rawConn) readInto(p []byte) (n int, err error) {
	c.ready.And(^uint32(readable)) // first: what comes from here on sets it again
	if c.tls != nil {
		n, err = c.readTLS(p)
		c.received += int64(n)
		return n, err
	}
	n, errno := rawRead(c.sock, p)
	c.received += int64(max(n, 0))
	switch {
	case errno == syscall.EAGAIN:
		c.ready.And(^uint32(hungUp))
		return 0, errno
	case errno != 0:
		c.ready.Or(readable)
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		c.ready.Or(readable)
		return 0, io.EOF
	case n == len(p) || !c.exact:
		c.ready.Or(readable)
	}
	return n, nil
}

func (c *rawConn) readTLS(p []byte) (n int, err error) {
	n, err = c.tls.read(p)
	if err == syscall.EAGAIN {
		if c.ready.Load()&readable == 0 { // else there is more, and its end may be known already
			c.ready.And(^uint32(hungUp))
		}
	} else {
		c.ready.Or(readable) // there may be plaintext left
	}
	return n, err
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

// tryWrite writes what can be written of p without waiting. TLS takes all of it: what the client did not take then is unsent.
func (c *rawConn) tryWrite(p []byte) (n int, err error) {
	if c.tls != nil {
		return c.tls.tryWrite(p)
	}
	n, errno := rawWrite(c.sock, p)
	c.sent += int64(max(n, 0))
	if errno == 0 || errno == syscall.EAGAIN {
		return n, nil
	}
	return 0, os.NewSyscallError("write", errno)
}

// unsent says whether TLS keeps bytes that the client did not take; writeAll writes them.
func (c *rawConn) unsent() bool { return c.tls != nil && c.tls.isPending() }

// endTLS tells the client that what it has is whole, where there is TLS. Nothing can be written then.
func (c *rawConn) endTLS() {
	if c.tls != nil {
		c.tls.end()
	}
}

// writeAll writes the pieces, waiting for the client as long as it takes. It changes the slice.
func (c *rawConn) writeAll(pieces ...[]byte) error {
	c.out = pieces
	err := c.write()
	c.out = nil
	return err
}

// sendFile writes size bytes of the file from offset on. io.ErrUnexpectedEOF: the file is shorter.
func (c *rawConn) sendFile(fd int, offset, size int64) error {
	c.file = writeFile{fd: fd, offset: offset, size: size}
	err := c.write()
	c.file.copied.put()
	c.file = writeFile{}
	return err
}

func (c *rawConn) write() error {
	for {
		c.ready.And(^uint32(writable)) // first: what becomes free from here on sets it again
		n, err := c.writeOnce()
		switch {
		case err == syscall.EAGAIN:
			for c.ready.Load()&writable == 0 {
				<-c.writeNews
			}
		case err == io.ErrUnexpectedEOF:
			return err
		case err != nil:
			return os.NewSyscallError("write", err)
		case n == 0:
			return nil
		default:
			if c.tls == nil {
				c.sent += n
			}
			c.progress(n)
		}
	}
}

// writeOnce makes one system call for what is left. 0, nil: nothing is left.
func (c *rawConn) writeOnce() (int64, error) {
	if c.tls != nil {
		return c.tls.writeOnce()
	}
	if c.file.size > 0 {
		return c.writeFileOnce()
	}
	var vec [maxPieces]syscall.Iovec
	n, size := 0, 0
	for _, p := range c.out {
		if n == len(vec) {
			break
		}
		if len(p) > 0 {
			vec[n].Base = unsafe.SliceData(p)
			vec[n].SetLen(len(p))
			size += len(p)
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	wrote, errno := rawWritev(c.sock, vec[:n], size)
	if errno != 0 {
		return 0, errno
	}
	left := wrote
	for len(c.out) > 0 && left >= len(c.out[0]) {
		left -= len(c.out[0])
		c.out = c.out[1:]
	}
	if left > 0 {
		c.out[0] = c.out[0][left:]
	}
	return int64(wrote), nil
}

// maxPieces is how many pieces one system call writes at most.
const maxPieces = 64

// writeFileOnce sends by sendfile, or by a copy where the file is of a kind that sendfile refuses.
func (c *rawConn) writeFileOnce() (int64, error) {
	f := &c.file
	var n int
	var err error
	if f.copied == nil {
		offset := f.offset
		n, err = ignoreEINTR(func() (int, error) {
			return syscall.Sendfile(c.sock, f.fd, &offset, int(min(f.size, 1<<20)))
		})
		if err == syscall.EINVAL || err == syscall.ENOSYS || err == syscall.EOPNOTSUPP {
			f.copied = getBuffer(64 << 10)
		}
	}
	if f.copied != nil {
		p := f.copied.b[:min(f.size, int64(len(f.copied.b)))]
		n, err = ignoreEINTR(func() (int, error) { return syscall.Pread(f.fd, p, f.offset) })
		if err == nil && n > 0 {
			n, err = ignoreEINTR(func() (int, error) { return syscall.Write(c.sock, p[:n]) })
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
