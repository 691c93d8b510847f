package gateway

import (
	"io"
	"strconv"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
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
	left    int64 // byLength, or where a body with a length is compressed: bytes still to come of the app; else not over 0
	keep    bool  // the head said that the connection goes on
	overrun bool  // the app gave more than its Content-Length
	ended   bool  // a compressed body was written to its end
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
	if how == endClose {
		how = k.endTLS(c)
	}
	c.stopWriteTimer()
	k.mu.Lock()
	k.coded.release()
	k.w.p.put()
	k.w = responseWriter{pieces: k.w.pieces}
	if how == endCut || how == endReset {
		k.x.Cancel()
	}
	k.end(how)
	if k.sends != nil && k.req.Stream && !k.done {
		k.x.EndBody(errResponseOver) // nobody reads the rest for it
	}
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
			k.log.ended = accesslog.Cut
			how = endCut
		}
	}()
	return k.writeBody(c)
}

// writeBody writes until the body has ended and says how.
func (k *call) writeBody(c *conn) ending {
	w := &k.w
	if k.sends != nil {
		return k.serveFile(c)
	}
	if k.problem != "" {
		k.logger().Error(k.problem)
	}
	for {
		if err := k.writeChunks(c); err != nil {
			if err == io.ErrUnexpectedEOF {
				k.log.ended = accesslog.AppError // its file is shorter than it was
			}
			return endReset
		}
		switch o := &k.out; {
		case w.overrun:
			k.log.ended = accesslog.AppError
			k.logger().Error("gateway: the app's response is longer than its Content-Length; it was cut there")
			k.x.Cancel()
			return endOf(w.keep)
		case o.Complete && w.left > 0:
			k.log.ended = accesslog.AppError
			k.logger().Error("gateway: the app's response is shorter than its Content-Length; the connection was reset", "missing_bytes", w.left)
			return endReset
		case o.Complete:
			return endOf(w.keep)
		case o.TimedOut && w.whole():
			k.x.Cancel()
			k.log.ended = accesslog.Timeout
			return endOf(w.keep) // the client has all of it
		case o.TimedOut:
			k.log.ended = accesslog.Timeout
			return endReset
		case o.Failed:
			k.log.ended = accesslog.AppError
			k.logger().Error("gateway: the app failed after its response began; the connection was cut")
			return k.endOfFailure()
		}
		<-k.news
		k.mu.Lock() // the connection's goroutine looks at k.done
		gone := k.gone
		k.take()
		k.mu.Unlock()
		switch {
		case gone && w.whole(): // it has all that it asked for
			k.x.Cancel()
			return endClose
		case gone:
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
	case w.whole():
		return endClose
	case w.framing == byChunks:
		return endCut
	}
	return endReset
}

// endTLS tells a TLS client that the response is whole.
func (k *call) endTLS(c *conn) ending {
	c.endTLS()
	if c.unsent() && k.flush(c) != nil {
		return endCut
	}
	return endClose
}

// whole says that the client has the whole body, though the app has not ended it.
func (w *responseWriter) whole() bool {
	return w.framing == noBody || w.framing == byLength && w.left == 0 || w.ended
}

// writeChunks writes what was taken, gives the chunks back, and ends a chunked body that is complete.
func (k *call) writeChunks(c *conn) error {
	switch {
	case k.coded == nil:
	case k.coded.stream:
		return k.writeCoded(c)
	default:
		return k.writeWholeCoded(c)
	}
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
	if w.size == 0 && !c.unsent() {
		return nil
	}
	c.startWriteTimer()
	err := c.writeAll(w.pieces...)
	c.stopWriteTimer()
	clear(w.pieces)
	w.b, w.from, w.pieces, w.size = w.b[:0], 0, w.pieces[:0], 0
	return err
}
