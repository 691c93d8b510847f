package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// tlsLayer is TLS on a connection of the poll loop: its reads and writes never wait. crypto/tls can't repeat a write, so what it encrypted
// is kept until the client takes it; that is never more than what is written at once.
type tlsLayer struct {
	c       *rawConn
	conn    *tls.Conn
	tcp     bool
	drained bool // the last read emptied the socket, but for what the poller told since; the reader's
	turn    int  // bytes that were read since there was nothing to read, or too much; the reader's

	mu      sync.Mutex // guards what follows: the reader may write too, to answer a key update
	gather  bool       // more is written at once
	answers int        // bytes of pending that the reader wrote
	pending []byte     // encrypted, and not taken by the client
	p       *buffer    // memory of pending, nil where there is none
}

const (
	tlsWriteSize = 64 << 10 // bytes that are encrypted at once of a long response
	maxUnread    = 16 << 10 // bytes of answers to key updates that wait for a client which reads nothing
	readAtOnce   = 32 << 10 // bytes of records after which the poller's loop leaves them to a goroutine: most may be key updates, which take long
)

// detach makes the connection that conn works on, by w, one of the poll loop.
func (c *conn) detach(w *wire, conn *tls.Conn) {
	c.tls = &tlsLayer{c: &c.rawConn, conn: conn, tcp: c.exact}
	w.tls = c.tls
	c.ready.Or(readable | socketFed) // crypto/tls may hold what came behind the handshake
}

// errAgain is EAGAIN as crypto/tls takes it: temporary, so that it keeps the part of a record that came, and goes on with it.
type errAgain struct{}

func (errAgain) Error() string   { return "gateway: nothing to read yet" }
func (errAgain) Timeout() bool   { return true }
func (errAgain) Temporary() bool { return true }

var errUnread = errors.New("gateway: the client reads nothing")

// read reads plaintext. Its errors are those of rawConn.readInto, without the call's name.
func (t *tlsLayer) read(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	if n > 0 {
		return n, nil // an error that came too comes again
	}
	if _, again := err.(errAgain); again {
		return 0, syscall.EAGAIN
	}
	return 0, err
}

// receive is the Read of crypto/tls's transport.
func (t *tlsLayer) receive(p []byte) (int, error) {
	if t.turn >= readAtOnce {
		t.turn = 0
		t.c.ready.Or(readable)
		return 0, errAgain{}
	}
	if t.c.ready.And(^uint32(socketFed))&(socketFed|hungUp) == 0 && t.drained {
		t.turn = 0
		return 0, errAgain{}
	}
	n, errno := rawRead(t.c.sock, p)
	t.turn += n
	t.drained = errno == syscall.EAGAIN || t.tcp && n > 0 && n < len(p)
	switch {
	case errno == syscall.EAGAIN:
		return 0, errAgain{}
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// transmit is the Write of crypto/tls's transport. It takes all, but from the reader of a client that reads nothing: crypto/tls would go on
// answering, error or not, so that the connection ends.
func (t *tlsLayer) transmit(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.gather {
		if t.answers += len(p); t.answers > maxUnread {
			_ = syscall.Shutdown(t.c.sock, syscall.SHUT_RDWR)
			return 0, errUnread
		}
	}
	t.reserve(len(p))
	t.pending = append(t.pending, p...)
	if t.gather {
		return len(p), nil
	}
	if _, errno := t.flushLocked(); errno != 0 && errno != syscall.EAGAIN {
		return 0, os.NewSyscallError("write", errno)
	}
	return len(p), nil
}

// reserve makes room for n more bytes. t.mu is held.
func (t *tlsLayer) reserve(n int) {
	if cap(t.pending)-len(t.pending) >= n {
		return
	}
	p := getBuffer(len(t.pending) + n)
	t.pending = append(p.b[:0], t.pending...)
	t.p.put()
	t.p = p
}

// encrypt adds pieces to what is pending.
func (t *tlsLayer) encrypt(p []byte) error {
	t.mu.Lock()
	t.gather = true
	t.reserve(len(p) + len(p)/32 + 512) // with the records' own bytes
	t.mu.Unlock()
	_, err := t.conn.Write(p)
	t.c.sent += int64(len(p))
	t.mu.Lock()
	t.gather = false
	t.mu.Unlock()
	return err
}

// flush writes what can be written of what is pending.
func (t *tlsLayer) flush() (int, syscall.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flushLocked()
}

func (t *tlsLayer) flushLocked() (n int, errno syscall.Errno) {
	if len(t.pending) > 0 {
		n, errno = rawWrite(t.c.sock, t.pending)
		t.pending = t.pending[n:]
	}
	if len(t.pending) == 0 {
		t.p.put()
		t.p, t.pending, t.answers = nil, nil, 0
	}
	return n, errno
}

// isPending says whether something waits for the client.
func (t *tlsLayer) isPending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending) > 0
}

// tryWrite takes all of p, and writes what can be written.
func (t *tlsLayer) tryWrite(p []byte) (int, error) {
	if err := t.encrypt(p); err != nil {
		return 0, err
	}
	if _, errno := t.flush(); errno != 0 && errno != syscall.EAGAIN {
		return 0, os.NewSyscallError("write", errno)
	}
	return len(p), nil
}

// writeOnce is rawConn.writeOnce.
func (t *tlsLayer) writeOnce() (int64, error) {
	for {
		if !t.isPending() {
			if more, err := t.load(); err != nil || !more {
				return 0, err
			}
		}
		if n, errno := t.flush(); errno != 0 {
			return 0, errno
		} else if n > 0 {
			return int64(n), nil
		}
	}
}

// load encrypts more of what is to be written. False: there is no more.
func (t *tlsLayer) load() (more bool, err error) {
	c := t.c
	if c.file.size > 0 {
		p, err := c.file.read()
		if err != nil {
			return false, err
		}
		return true, t.encrypt(p)
	}
	for room := tlsWriteSize; len(c.out) > 0 && room > 0; {
		p := c.out[0]
		if len(p) > room {
			p = p[:room]
		}
		if len(p) > 0 {
			more = true
			if err := t.encrypt(p); err != nil {
				return true, err
			}
		}
		room -= len(p)
		if c.out[0] = c.out[0][len(p):]; len(c.out[0]) == 0 {
			c.out = c.out[1:]
		}
	}
	return more, nil
}

// read reads the next bytes of the stretch. io.ErrUnexpectedEOF: the file is shorter.
func (f *writeFile) read() ([]byte, error) {
	if f.copied == nil {
		f.copied = getBuffer(tlsWriteSize)
	}
	p := f.copied.b[:min(f.size, tlsWriteSize)]
	n, err := ignoreEINTR(func() (int, error) { return syscall.Pread(f.fd, p, f.offset) })
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, io.ErrUnexpectedEOF
	}
	f.offset += int64(n)
	f.size -= int64(n)
	return p[:n], nil
}

// end tells the client that nothing more comes (close_notify); without it a client takes what it has for cut. It may be left pending.
func (t *tlsLayer) end() { _ = t.conn.CloseWrite() }

var _ net.Error = errAgain{}
