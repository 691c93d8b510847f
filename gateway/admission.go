package gateway

import (
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clientOf is what a client's connections are counted by: its IPv4 address, or the /64 of its IPv6 address, all of which one customer usually
// has. It is the zero Addr where addr is no IP address.
func clientOf(addr string) netip.Addr {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Addr{}
	}
	if a = a.Unmap(); a.Is6() {
		prefix, _ := a.Prefix(64)
		a = prefix.Addr()
	}
	return a
}

// countFor counts c among the connections of its client, once; forget takes it out again. False: the client has as many as it may.
// Connections of trusted proxies and on unix sockets count for nobody. Any goroutine.
func (s *Server) countFor(c *conn) bool {
	if s.MaxClientConnections <= 0 || c.ends.proxies != nil {
		return true
	}
	client := clientOf(c.ends.remoteAddr)
	if !client.IsValid() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ofClient[client] >= s.MaxClientConnections {
		s.refused.add(c.client())
		return false
	}
	if s.ofClient == nil {
		s.ofClient = make(map[netip.Addr]int)
	}
	s.ofClient[client]++
	c.countedFor = client
	return true
}

// uncount undoes countFor. s.mu is held.
func (s *Server) uncount(c *conn) {
	if !c.countedFor.IsValid() {
		return
	}
	if s.ofClient[c.countedFor]--; s.ofClient[c.countedFor] == 0 {
		delete(s.ofClient, c.countedFor)
	}
	c.countedFor = netip.Addr{}
}

// closeAtOnce ends a connection that was never served, by a reset: nothing of it stays, not even in the kernel.
func closeAtOnce(fd int) {
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	_ = syscall.Close(fd)
}

// retryEvict is how long a listener waits for a connection to leave before it looks again for some that can be closed.
const retryEvict = 50 * time.Millisecond

// awaitRoom waits until there may be one more connection. It closes some that have no request in hand; where there are none, the new one stays
// in the listener's backlog, where another process may take it. False: there is no new one.
func (s *Server) awaitRoom(lfd int) bool {
	for s.Connections() >= s.maxConns && !s.draining.Load() {
		if !isReadable(lfd) {
			return false
		}
		if n := s.evict(); n > 0 {
			s.evicted.Add(int64(n))
		} else {
			s.full.Add(1)
		}
		select {
		case <-s.left:
		case <-s.stop:
			return true
		case <-time.After(retryEvict):
		}
	}
	return true
}

// isReadable says whether a read of fd, or an accept, would not have to wait.
func isReadable(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := ignoreEINTR(func() (int, error) { return unix.Poll(p, 0) })
	return n > 0 || err != nil
}

// mostEvicted is how many connections are closed at once, for new ones, since they have to be looked for among all.
const mostEvicted = 32

// evict closes connections that have no request in hand: those that have been so for the longest time. At most an eighth of them, as nginx does.
func (s *Server) evict() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	type waiting struct {
		c     *conn
		since int64
	}
	var oldest [mostEvicted]waiting // by age
	n, all := 0, 0
	for c := range s.conns {
		since := c.idleSince.Load()
		if since == 0 {
			continue
		}
		all++
		i := n
		if n < len(oldest) {
			n++
		} else if i--; oldest[i].since <= since {
			continue
		}
		for ; i > 0 && oldest[i-1].since > since; i-- {
			oldest[i] = oldest[i-1]
		}
		oldest[i] = waiting{c, since}
	}
	evicted := 0
	for _, w := range oldest[:min(n, all/8+1)] {
		if w.c.evict() {
			evicted++
		}
	}
	return evicted
}

// evict cuts the connection unless it has a request in hand, or is being cut.
func (c *conn) evict() bool {
	c.mu.Lock()
	evict := !c.busy && !c.closed && !c.cut && c.idleSince.Load() != 0
	c.cut = c.cut || evict // give looks at it before a request reaches the app
	c.mu.Unlock()
	if evict {
		c.cutNow()
	}
	return evict
}

// awaitRequest lets the connection wait for d from now on, with no request in hand: for one, for the rest of its header, or for its end.
func (c *conn) awaitRequest(d time.Duration) {
	c.setDeadline(d)
	c.idleSince.Store(c.s.clock.Load())
}

// requestCame ends that wait.
func (c *conn) requestCame() {
	c.deadline.Store(0)
	c.idleSince.Store(0)
}

// isLastRequest says whether the limit on requests of one connection is reached with the next one.
func (c *conn) isLastRequest() bool {
	most := c.s.MaxConnectionRequests
	return most > 0 && c.served+1 >= most
}
