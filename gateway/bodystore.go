package gateway

import "sync/atomic"

// maxBodiesMemory is how much memory all bodies of a server may take that did not come at once, by the buffers that they are in; one more goes
// to a file, whatever its size.
const maxBodiesMemory = 64 << 20

// bodyStore counts what the bodies of all requests use that are being read, wait for the app or are in its hands. A nil one has no limits.
type bodyStore struct {
	most, mostFiles int64 // bytes of files, 0 for any number, and files

	memory, disk, files atomic.Int64
	refused             tally // over most or mostFiles
}

// bodyHeld is what one body has of it.
type bodyHeld struct {
	memory, disk int64
	file         bool
}

// holdMemory takes n more bytes of memory. False: there is too little.
func (b *bodyStore) holdMemory(h *bodyHeld, n int64) bool {
	if b == nil {
		return true
	}
	if b.memory.Add(n) > maxBodiesMemory {
		b.memory.Add(-n)
		return false
	}
	h.memory += n
	return true
}

// holdFile takes a file of size bytes, or makes that the size of the one that is held. False: there is no room.
func (b *bodyStore) holdFile(h *bodyHeld, size int64) bool {
	if b == nil {
		return true
	}
	if !h.file {
		if b.files.Add(1) > b.mostFiles {
			b.files.Add(-1)
			return false
		}
		h.file = true
	}
	more := size - h.disk
	if disk := b.disk.Add(more); b.most > 0 && disk > b.most {
		b.disk.Add(-more)
		return false
	}
	h.disk = size
	return true
}

func (b *bodyStore) releaseMemory(h *bodyHeld) {
	if b != nil {
		b.memory.Add(-h.memory)
		h.memory = 0
	}
}

// release gives all back.
func (b *bodyStore) release(h *bodyHeld) {
	if b == nil || *h == (bodyHeld{}) {
		return
	}
	b.memory.Add(-h.memory)
	b.disk.Add(-h.disk)
	if h.file {
		b.files.Add(-1)
	}
	*h = bodyHeld{}
}
