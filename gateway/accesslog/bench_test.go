package accesslog

import "testing"

// The lines are dropped as they come: what is measured is a request's share.
func BenchmarkALine(b *testing.B) {
	for _, format := range []string{"combined", "json"} {
		b.Run(format, func(b *testing.B) {
			f := mustParse(b, format)
			l := &Log{o: Options{Format: f}, values: f.newValues(), wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
			e := browserEntry()
			b.ReportAllocs()
			for b.Loop() {
				e.Start, e.End = Now(), Now()
				l.Add(e)
				if len(l.lines) > writeAt {
					l.lines = l.lines[:0]
				}
			}
		})
	}
}
