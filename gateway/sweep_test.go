package gateway

import (
	"testing"
	"time"
)

// BenchmarkSweep is one tick of the sweeper with 50,000 idle connections.
func BenchmarkSweep(b *testing.B) {
	s := &Server{conns: map[*conn]struct{}{}, WriteTimeout: time.Minute, MinWriteRate: 240}
	for range 50_000 {
		c := &conn{s: s}
		c.deadline.Store(1 << 62)
		s.conns[c] = struct{}{}
	}
	for b.Loop() {
		s.expire(1 << 60)
	}
}
