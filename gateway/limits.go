package gateway

import (
	"sync/atomic"
	"syscall"
	"time"
)

// What the limits of a Server are where they are not set.
const (
	defaultMaxBodySize    = 1 << 30
	defaultMaxSpool       = 4 << 30
	defaultMinRate        = 240 // bytes a second, as Kestrel has it
	defaultMaxConnections = 16384
)

// initLimits fills in the limits that were not set.
func (s *Server) initLimits() {
	for d, def := range map[*time.Duration]time.Duration{
		&s.HeaderTimeout: 30 * time.Second,
		&s.IdleTimeout:   75 * time.Second,
		&s.BodyTimeout:   60 * time.Second,
		&s.WriteTimeout:  60 * time.Second,
	} {
		if *d == 0 {
			*d = def
		}
	}
	for n, def := range map[*int64]int64{
		&s.MaxBodySize: defaultMaxBodySize, &s.MaxSpool: defaultMaxSpool, &s.MinBodyRate: defaultMinRate, &s.MinWriteRate: defaultMinRate,
	} {
		if *n == 0 {
			*n = def
		}
	}
	s.head = defaultHeadLimits
	for n, set := range map[*int]int{
		&s.head.line: s.MaxRequestLine, &s.head.fields: s.MaxHeaderFields, &s.head.fieldBytes: s.MaxHeaderFieldSize,
		&s.head.headerBytes: s.MaxHeaderSize,
	} {
		if set > 0 {
			*n = set
		}
	}
	files := fileLimit()
	if s.maxConns = s.MaxConnections; s.maxConns == 0 {
		s.maxConns = defaultMaxConnections
	}
	if most := max(files/4*3, 1); s.maxConns < 0 || s.maxConns > most {
		if s.MaxConnections > 0 {
			s.log().Warn("gateway: the limit on connections is over three quarters of the open files that the process may have (RLIMIT_NOFILE); these are the limit",
				"limit", s.MaxConnections, "in_effect", most)
		}
		s.maxConns = most
	}
	s.left = make(chan struct{}, 1)
	s.bodies.most, s.bodies.mostFiles = max(s.MaxSpool, 0), int64(max(files/8, 1))
}

// fileLimit is how many descriptors the process may have. Go raises the soft limit to the hard one when a program starts.
func fileLimit() int {
	const unknown = 1024
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return unknown
	}
	return int(min(l.Cur, 1<<30))
}

// A header of longHead bytes needs a buffer of 128 KiB. There are maxLongHeads of them at most, so that slow clients can't take all memory; one
// more is answered 503.
const (
	longHead     = 16 << 10
	maxLongHeads = 512
)

// holdLongHead counts the connection among those with a long header. False: there are too many.
func (c *conn) holdLongHead() bool {
	if !c.longHead {
		if c.s.longHeads.Add(1) > maxLongHeads {
			c.s.longHeads.Add(-1)
			return false
		}
		c.longHead = true
	}
	return true
}

func (c *conn) releaseLongHead() {
	if c.longHead {
		c.longHead = false
		c.s.longHeads.Add(-1)
	}
}

// uncertifiedEvery is how often the log tells of clients without a certificate that will do: some come again and again.
const uncertifiedEvery = time.Minute

// tally counts what an attacker could have happen all the time, for one line of the log a second at most.
type tally struct {
	n    atomic.Int64
	last atomic.Pointer[string] // client of the last one
}

func (t *tally) add(client string) {
	t.n.Add(1)
	t.last.Store(&client)
}

// report logs what was counted since the last report. It does not wait for the log.
func (s *Server) report(now time.Time) {
	refused, evicted, full, spool := s.refused.n.Swap(0), s.evicted.Swap(0), s.full.Swap(0), s.bodies.refused.n.Swap(0)
	unproxied := s.unproxied.n.Swap(0)
	uncertified := int64(0)
	if now.Sub(s.certsReported) >= uncertifiedEvery {
		if uncertified = s.uncertified.n.Swap(0); uncertified > 0 {
			s.certsReported = now
		}
	}
	if refused+evicted+full+spool+unproxied+uncertified == 0 || !s.reporting.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer s.reporting.Store(false)
		if refused > 0 {
			s.log().Warn("gateway: connections were closed: their address has as many as one may have", "connections", refused,
				"limit", s.MaxClientConnections, "last_client", *s.refused.last.Load())
		}
		if unproxied > 0 {
			s.log().Warn("gateway: connections were closed: a PROXY header that can be used does not come first", "connections", unproxied,
				"last_client", *s.unproxied.last.Load())
		}
		if uncertified > 0 {
			s.log().Warn("gateway: clients were refused: they have no certificate of the client CA's that will do", "connections", uncertified,
				"last_client", *s.uncertified.last.Load())
		}
		if evicted > 0 {
			s.log().Warn("gateway: connections without a request were closed for new ones: the limit on connections is reached",
				"connections", evicted, "limit", s.maxConns)
		}
		if full > 0 {
			s.log().Warn("gateway: no connection is accepted for a while: all that there may be have a request in hand", "limit", s.maxConns)
		}
		if spool > 0 {
			s.log().Warn("gateway: request bodies were refused: those that are in hand use as much of the disk, or as many files, as they may",
				"requests", spool, "limit_bytes", s.bodies.most, "limit_files", s.bodies.mostFiles, "last_client", *s.bodies.refused.last.Load())
		}
	}()
}
