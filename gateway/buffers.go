package gateway

import "sync"

// buffer is memory from a pool. Its owner passes it on or gives it back, never both.
type buffer struct{ b []byte }

// bufferSizes are the sizes there are. The third holds the longest header section and still leaves room to read a body into.
var bufferSizes = [...]int{4 << 10, 16 << 10, 128 << 10, 1 << 20}

var bufferPools [len(bufferSizes)]sync.Pool

// getBuffer returns a buffer with len(b) == cap(b) >= n. Over 1 MiB it is not pooled.
func getBuffer(n int) *buffer {
	i, size := bufferSize(n)
	if i < len(bufferPools) {
		if p, _ := bufferPools[i].Get().(*buffer); p != nil {
			return p
		}
	}
	return &buffer{b: make([]byte, size)}
}

// bufferSize is how large the buffer is that getBuffer(n) returns, and its place in bufferPools.
func bufferSize(n int) (i, size int) {
	for i, size := range bufferSizes {
		if n <= size {
			return i, size
		}
	}
	return len(bufferPools), n
}

// put gives the buffer back. Nil is fine.
func (p *buffer) put() {
	if p == nil {
		return
	}
	for i, size := range bufferSizes {
		if cap(p.b) == size {
			p.b = p.b[:size]
			bufferPools[i].Put(p)
			return
		}
	}
}

// grow returns a buffer of at least n bytes that begins with the first used bytes of p, which is given back.
func (p *buffer) grow(used, n int) *buffer {
	if n <= len(p.b) {
		return p
	}
	q := getBuffer(n)
	copy(q.b, p.b[:used])
	p.put()
	return q
}
