package gateway

import "time"

// expired is the value of a deadline that passed. A deadline is in nanoseconds of Server.clock.
const expired = -1

// setDeadline lets the connection's goroutine wait for d from now on; 0: for ever.
func (c *conn) setDeadline(d time.Duration) {
	if d <= 0 {
		c.deadline.Store(0)
		return
	}
	c.deadline.Store(c.s.clock.Load() + int64(d+c.s.tick))
}

// sweep ends waits that are over, once a tick, until stop is closed. One goroutine for all connections: setting a timer for every request
// would cost more than the request's parsing.
func (s *Server) sweep(stop <-chan struct{}) {
	t := time.NewTicker(s.tick)
	defer t.Stop()
	var reported time.Time
	for {
		select {
		case <-stop:
			return
		case now := <-t.C:
			s.clock.Store(now.UnixNano())
			s.expire(now.UnixNano())
			if now.Sub(reported) >= time.Second {
				s.report(now)
				reported = now
			}
		}
	}
}

func (s *Server) expire(now int64) {
	least := enough(s.MinWriteRate, s.WriteTimeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if d := c.deadline.Load(); d > 0 && d < now && c.deadline.CompareAndSwap(d, expired) {
			c.wake()
		}
		if c.takesTooLittle(now, least) {
			c.cutNow()
		}
	}
}

// tickFor is an eighth of the shortest timeout, between 5 ms and a second.
func tickFor(timeouts ...time.Duration) time.Duration {
	tick := time.Second
	for _, d := range timeouts {
		if d > 0 {
			tick = min(tick, max(d/8, 5*time.Millisecond))
		}
	}
	return tick
}
