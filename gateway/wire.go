package gateway

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// wire is a connection of the poll loop as an ordinary net.Conn, whose reads and writes wait: what reads a PROXY header, makes a TLS
// handshake, or serves HTTP/2 works on it. After detach they never wait, and crypto/tls runs on the loop itself.
//
// The connection's own deadline ends a read, Server.WriteTimeout a write of which the client takes nothing.
type wire struct {
	c    *conn
	read atomic.Bool // something was read

	mu     sync.Mutex // guards what follows
	users  int        // calls that use the descriptor
	closed bool

	tls *tlsLayer // set by detach
}

// enter keeps the descriptor open until leave.
func (w *wire) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.users++
	return true
}

func (w *wire) leave() {
	w.mu.Lock()
	w.users--
	last := w.closed && w.users == 0
	w.mu.Unlock()
	if last {
		w.c.s.forget(w.c)
	}
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.tls != nil {
		return w.tls.receive(p)
	}
	if !w.enter() {
		return 0, net.ErrClosed
	}
	defer w.leave()
	c := w.c
	for {
		switch err := c.waitReadable(); {
		case w.cut():
			return 0, net.ErrClosed
		case c.deadline.Load() == expired:
			return 0, os.ErrDeadlineExceeded
		case err != nil: // woken for something else
			continue
		}
		n, err := c.readInto(p)
		if err == syscall.EAGAIN {
			continue
		}
		w.read.Store(w.read.Load() || n > 0)
		return n, err
	}
}

// cut says whether the connection is to end: it was cut, closed, or the server ends while nothing has begun on it.
func (w *wire) cut() bool {
	if w.c.s.closing.Load() && !w.read.Load() {
		return true
	}
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	return closed || w.c.isCut()
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if w.tls != nil {
		return w.tls.transmit(p)
	}
	if !w.enter() {
		return 0, net.ErrClosed
	}
	defer w.leave()
	w.c.startWriteTimer()
	err := w.c.writeAll(p)
	w.c.stopWriteTimer()
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements net.Conn. A read or write that waits ends, and the descriptor is closed once none uses it.
func (w *wire) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return net.ErrClosed
	}
	w.closed = true
	idle := w.users == 0
	w.mu.Unlock()
	if idle {
		w.c.s.forget(w.c)
	} else {
		w.c.cutNow()
	}
	return nil
}

// SetReadDeadline implements net.Conn, to the second or so of the server's clock.
func (w *wire) SetReadDeadline(t time.Time) error {
	switch {
	case w.tls != nil:
	case t.IsZero():
		w.c.deadline.Store(0)
	case t.After(time.Now()):
		w.c.deadline.Store(t.UnixNano())
	default:
		w.c.deadline.Store(expired)
		w.c.wake()
	}
	return nil
}

// SetWriteDeadline implements net.Conn. It does nothing: each write has Server.WriteTimeout.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(t time.Time) error { return w.SetReadDeadline(t) }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return addrOfEnd(w.c.ends.serverName, w.c.ends.serverPort) }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return addrOfEnd(w.c.ends.remoteAddr, w.c.ends.remotePort) }

// addrOfEnd is an address that splitAddr took apart: a unix socket's where it is empty.
func addrOfEnd(host, port string) net.Addr {
	if ap, err := netip.ParseAddrPort(net.JoinHostPort(host, port)); err == nil {
		return net.TCPAddrFromAddrPort(ap)
	}
	return &net.UnixAddr{Net: "unix", Name: "@"}
}

var _ io.ReadWriteCloser = (*wire)(nil)
