package gateway

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// listener accepts connections whose descriptors are the server's own, unknown to Go's poller.
type listener struct {
	ln  net.Listener
	f   *os.File // a copy of its descriptor
	raw syscall.RawConn
	tcp bool

	tls           *tls.Config
	proxyProtocol bool
	mounts        []Mount // instead of the server's, where not nil
}

func newListener(ln net.Listener) (*listener, error) {
	l := &listener{ln: ln}
	var err error
	if own, ok := ln.(*Listener); ok {
		l.ln, l.tls, l.proxyProtocol = own.Listener, own.TLS, own.ProxyProtocol
		if own.Handler != nil {
			l.mounts = []Mount{{Handler: own.Handler}}
		}
	}
	switch ln := l.ln.(type) {
	case *net.TCPListener:
		l.tcp = true
		l.f, err = ln.File()
	case *net.UnixListener:
		l.f, err = ln.File()
	default:
		return nil, fmt.Errorf("gateway: a listener of type %T can't be served: use a *net.TCPListener or a *net.UnixListener", ln)
	}
	if err == nil {
		l.raw, err = l.f.SyscallConn()
	}
	if err != nil {
		return nil, fmt.Errorf("gateway: listener %v: %w", ln.Addr(), err)
	}
	if l.tcp {
		_ = l.raw.Control(func(fd uintptr) { setTCPOptions(int(fd)) })
	}
	return l, nil
}

// setTCPOptions sets what accepted connections inherit (Linux): no delay of small writes, and probes that find a client which vanished, as
// Go's own listeners set them.
func setTCPOptions(fd int) {
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15)
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15)
}

// own tells the app of both descriptors of the listener.
func (l *listener) own(s *Server, own bool) {
	own1 := func(fd uintptr) { s.ownFD(int(fd), own) }
	_ = l.raw.Control(own1)
	if raw, err := l.ln.(syscall.Conn).SyscallConn(); err == nil {
		_ = raw.Control(own1)
	}
}

func (l *listener) close() {
	_ = l.f.Close()
	_ = l.ln.Close()
}

// accept waits for a connection, and until gate lets it take one. The descriptor does not block and is closed on exec.
func (l *listener) accept(gate func(lfd int) bool) (fd int, remote net.Addr, err error) {
	waited := l.raw.Read(func(lfd uintptr) bool {
		if !gate(int(lfd)) {
			return false
		}
		for {
			var sa syscall.Sockaddr
			fd, sa, err = syscall.Accept4(int(lfd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			switch err {
			case syscall.EINTR, syscall.ECONNABORTED:
				continue
			case syscall.EAGAIN:
				return false
			case nil:
				remote = addrOf(sa)
				fd, err = aboveStandard(fd)
				return true
			}
			err = os.NewSyscallError("accept4", err)
			return true
		}
	})
	if waited != nil {
		return -1, nil, waited
	}
	return fd, remote, err
}

// localAddr is the address that a connection was made to.
func (l *listener) localAddr(fd int) net.Addr {
	if !l.tcp {
		return nil
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		return nil
	}
	return addrOf(sa)
}

// addrOf is nil for an address that is not TCP's.
func addrOf(sa syscall.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrInet6:
		a := &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
		if sa.ZoneId != 0 {
			a.Zone = strconv.FormatUint(uint64(sa.ZoneId), 10)
		}
		return a
	}
	return nil
}
