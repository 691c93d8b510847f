package gateway

import (
	"strconv"

	"github.com/gowsgi/gowsgi/pyhost"
)

// responseWriter is the state of a response that its own goroutine writes: a stream, a file, or what a client did not take at once.
type responseWriter struct {
	p       *buffer  // memory of b
	b       []byte   // framing and small chunks
	from    int      // b[from:] is not in pieces yet
	pieces  [][]byte // to be written: stretches of b, and chunks of the app's
	size    int      // bytes of the pieces
	framing framing
	left    int64 // byLength: bytes still to come
	keep    bool  // the head said that the connection goes on
	overrun bool  // the app gave more than its Content-Length
}

const (
	coalesce  = 4 << 10   // bytes of the longest chunk that is copied to be written together with its neighbours
	copySize  = 64 << 10  // bytes of such chunks, with their framing, that are gathered for one write
	writeSize = 256 << 10 // bytes of all chunks that are
	frameSize = 20        // of a chunk: its size, two line ends, and the last chunk
)

func chunkSizeOf(ch *pyhost.Chunk) int64 {
	if ch.Data != nil {
		return int64(len(ch.Data))
	}
	return ch.Size
}

// startWriter hands the response to a goroutine, which writes b first and then k.out.Chunks and what follows. k.mu is held.
func (k *call) startWriter(p *buffer, b []byte, f framing, left int64, keep bool) {
	k.w = responseWriter{p: p, b: b, pieces: k.w.pieces, framing: f, left: left, keep: keep}
	k.writing = true
	go k.write(k.c)
}

// write is the writer's goroutine. While it runs it alone calls Take and Sent.
func (k *call) write(c *conn) {
	how := k.protectedBody(c)
	c.stopWriteTimer()
	k.mu.Lock()
	k.w.p.put()
	k.w = responseWriter{pieces: k.w.pieces}
	if how == endCut || how == endReset {
		k.x.Cancel()
	}
	k.end(how)
	k.writing = false
	k.giveBack()
	if !k.done {
		k.protectedStep() // what was signalled and not taken
	}
	x := k.released(k.done)
	k.mu.Unlock()
	k.release(x)
}

// protectedBody is writeBody; a panic in it costs the connection, not the process.
func (k *call) protectedBody(c *conn) (how ending) {
	defer func() {
		if r := recover(); r != nil {
			k.s.logPanic(k.name(), r)
			how = endCut
		}
	}()
	return k.writeBody(c)
}

// writeBody writes until the body has ended and says how.
func (k *call) writeBody(c *conn) ending {
	w := &k.w
	if k.problem != "" {
		k.s.log().Error(k.problem, "request", k.name())
	}
	for {
		if err := k.writeChunks(c); err != nil {
			return endReset
		}
		switch o := &k.out; {
		case w.overrun:
			k.s.log().Error("gateway: the app's response is longer than its Content-Length; it was cut there", "request", k.name())
			k.x.Cancel()
			return endOf(w.keep)
		case o.Complete && w.framing == byLength && w.left > 0:
			k.s.log().Error("gateway: the app's response is shorter than its Content-Length; the connection was reset",
				"request", k.name(), "missing_bytes", w.left)
			return endReset
		case o.Complete:
			return endOf(w.keep)
		case o.TimedOut && (w.framing == noBody || w.framing == byLength && w.left == 0):
			k.x.Cancel()
			return endOf(w.keep) // the client has all of it
		case o.TimedOut:
			return endReset
		case o.Failed:
			k.s.log().Error("gateway: the app failed after its response began; the connection was cut", "request", k.name())
			return k.endOfFailure()
		}
		<-k.news
		k.mu.Lock() // the connection's goroutine looks at k.done
		gone := k.gone
		k.take()
		k.mu.Unlock()
		if gone {
			return endCut
		}
		if k.out.WantBody {
			k.wantBody()
		}
	}
}

// endOfFailure is the end that shows the client that the body is not whole: no last chunk, or a reset where a close could be taken for the
// end.
func (k *call) endOfFailure() ending {
	switch w := &k.w; {
	case w.framing == noBody, w.framing == byLength && w.left == 0:
		return endClose
	case w.framing == byChunks:
		return endCut
	}
	return endReset
}

// writeChunks writes what was taken, gives the chunks back, and ends a chunked body that is complete.
func (k *call) writeChunks(c *conn) error {
	w, o := &k.w, &k.out
	defer k.giveBack()
	w.reserve(o.Chunks)
	for i := range o.Chunks {
		ch := &o.Chunks[i]
		size := chunkSizeOf(ch)
		if w.framing == byLength && size > w.left {
			w.overrun = true
			size = w.left
		}
		if w.framing == noBody || size == 0 {
			continue
		}
		w.left -= size
		if w.full() {
			if err := k.flush(c); err != nil {
				return err
			}
			k.giveBackTo(i)
		}
		if err := k.writeChunk(c, ch, size); err != nil {
			return err
		}
	}
	if w.framing == byChunks && o.Complete {
		w.b = append(w.b, "0\r\n\r\n"...)
	}
	err := k.flush(c)
	w.p.put() // a stream that waits for its app holds no buffer
	w.p, w.b = nil, nil
	return err
}

// reserve makes room in b for what is copied of the chunks before the next flush.
func (w *responseWriter) reserve(chunks []pyhost.Chunk) {
	n := len(w.b) + frameSize
	for i := range chunks {
		n += frameSize
		if size := len(chunks[i].Data); size <= coalesce {
			n += size
		}
		if n >= copySize {
			n = copySize + coalesce
			break
		}
	}
	if n > cap(w.b) {
		p := getBuffer(n)
		w.b = append(p.b[:0], w.b...)
		w.p.put()
		w.p = p
	}
}

// full says that another chunk may not fit in b, or that enough is gathered.
func (w *responseWriter) full() bool {
	return cap(w.b)-len(w.b) < coalesce+2*frameSize && len(w.b) >= copySize/2 || w.size+len(w.b)-w.from >= writeSize || len(w.pieces) >= maxPieces-3
}

// writeChunk gathers the first size bytes of a chunk, with its framing, or sends them where they are in a file.
func (k *call) writeChunk(c *conn, ch *pyhost.Chunk, size int64) error {
	w := &k.w
	if w.framing == byChunks {
		w.b = strconv.AppendInt(w.b, size, 16)
		w.b = append(w.b, "\r\n"...)
	}
	switch {
	case ch.Data == nil:
		if err := k.flush(c); err != nil {
			return err
		}
		c.startWriteTimer()
		err := c.sendFile(ch.File, ch.Offset, size)
		c.stopWriteTimer() // the app may take its time for the next chunk
		if err != nil {
			return err
		}
	case size <= coalesce:
		w.b = append(w.b, ch.Data[:size]...)
	default:
		w.cut()
		w.pieces = append(w.pieces, ch.Data[:size])
		w.size += int(size)
	}
	if w.framing == byChunks {
		w.b = append(w.b, "\r\n"...)
	}
	return nil
}

// cut makes what was added to b since the last cut a piece.
func (w *responseWriter) cut() {
	if p := w.b[w.from:]; len(p) > 0 {
		w.pieces = append(w.pieces, p)
		w.size += len(p)
		w.from = len(w.b)
	}
}

// flush writes what was gathered.
func (k *call) flush(c *conn) error {
	w := &k.w
	w.cut()
	if w.size == 0 {
		return nil
	}
	c.startWriteTimer()
	err := c.writeAll(w.pieces...)
	c.stopWriteTimer()
	clear(w.pieces)
	w.b, w.from, w.pieces, w.size = w.b[:0], 0, w.pieces[:0], 0
	return err
}
