package gateway

import (
	"runtime"
	"testing"
)

func TestHTTP2BodiesThatAreAnnouncedAndNotSentCostLittleMemory(t *testing.T) {
	const streams, most = 100, 32 << 10 // bytes for each stream
	ts := serveTLS(t, hello)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // the pools' memory leaves with the second
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	c := ts.dial2raw()
	if err := c.open(1, true, "GET", "/"); err != nil || c.outcome(1) != "200" {
		t.Fatal(err)
	}
	before := heap()
	for i := range streams {
		stream := uint32(3 + 2*i)
		if err := c.open(stream, false, "POST", "/", "content-length", "1000000"); err != nil {
			t.Fatal(err)
		}
		if err := c.WriteData(stream, false, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the streams' bodies are read", func() bool { return ts.bodies.memory.Load() == streams*int64(bufferSizes[0]) })
	if got := heap() - before; got > streams*most {
		t.Errorf("%d streams that sent one byte take %d bytes", streams, got)
	}
}
