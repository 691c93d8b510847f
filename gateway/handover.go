package gateway

import (
	"fmt"
	"os"
	"syscall"
)

// Adopt serves a connection that another process accepted: a TCP or unix socket on which no request is in hand. fd is the server's from then
// on, closed after an error too. Any goroutine, before Shutdown or while it runs.
func (s *Server) Adopt(fd int) error {
	s.init()
	if s.pollErr != nil {
		_ = syscall.Close(fd)
		return s.pollErr
	}
	fd, err := aboveStandard(fd)
	if err != nil {
		return fmt.Errorf("gateway: a connection that was handed over: %w", err)
	}
	local, err := syscall.Getsockname(fd)
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return fmt.Errorf("gateway: a connection that was handed over: %w", os.NewSyscallError("getsockname", err))
	}
	peer, err := syscall.Getpeername(fd)
	if err != nil { // the client left meanwhile, which is no error
		_ = syscall.Close(fd)
		return nil
	}
	to, from := addrOf(local), addrOf(peer)
	c := &conn{s: s, mounts: s.mounts, ends: endpointsOf(to, from, "http")}
	s.trust(c, to != nil)
	if !s.countFor(c) {
		closeAtOnce(fd)
		return nil
	}
	if s.Connections() >= s.maxConns {
		s.evicted.Add(int64(s.evict()))
	}
	s.watch(c, fd, to != nil)
	return nil
}

// handOver gives an idle connection to another process, if the server's owner knows one.
func (c *conn) handOver() bool {
	f := c.s.HandOver
	return f != nil && !c.stays && f(c.sock)
}
