package gateway

import (
	"io"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encoder is what compresses. After Reset it is as new, whatever it did before.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// encoderPools has the encoders of each coding that nobody uses. One takes from 1 to 2 MiB: their windows are small.
var encoderPools = [codings]sync.Pool{
	zstdCoding: {New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10),
			zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
		if err != nil {
			panic(err) // of an option
		}
		return e
	}},
	brotliCoding: {New: func() any { return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: 4, LGWin: 17}) }},
	gzipCoding: {New: func() any {
		e, err := gzip.NewWriterLevel(nil, 4)
		if err != nil {
			panic(err) // of the level
		}
		return e
	}},
}

const (
	// maxStreamEncoders is how many encoders responses may hold while they wait for their app or their client; more are sent uncompressed.
	maxStreamEncoders = 64
	codeSize          = 32 << 10 // bytes that an encoder takes at a time, and of its output that are gathered before they are sent
	chunkHead         = 10       // room for a chunk's size and line end
)

var streamEncoders atomic.Int64

// wholeEncoders bounds the bodies that are compressed whole at a time: with more than there are processors none is done sooner.
var wholeEncoders = make(chan struct{}, runtime.NumCPU())

// encoding is a response body on its way through an encoder. It is used by one goroutine.
type encoding struct {
	coding  coding
	head    responseHead // of the response
	headers []byte       // record to send
	stream  bool         // the body is compressed as it comes, with an encoder that counts in streamEncoders; else whole, by shrink
	left    int64        // of a stream: bytes still to come by the app's Content-Length, or -1; else what that was
	ended   bool         // of a stream: its end came out

	z     encoder
	taken bool    // z has bytes that it was not told to flush
	out   *buffer // what came out is out.b[chunkHead:n]; nil where nothing did
	n     int
}

// beginStream begins to compress a stream. False: too many do.
func (e *encoding) beginStream() bool {
	if streamEncoders.Add(1) > maxStreamEncoders {
		streamEncoders.Add(-1)
		return false
	}
	e.stream = true
	e.begin()
	return true
}

func (e *encoding) begin() {
	e.z = encoderPools[e.coding].Get().(encoder)
	e.z.Reset(e)
}

// end gives the encoder back, at the end of the body or before.
func (e *encoding) end() {
	if e.z == nil {
		return
	}
	e.z.Reset(nil)
	encoderPools[e.coding].Put(e.z)
	e.z = nil
	if e.stream {
		streamEncoders.Add(-1)
	}
}

// release gives all memory back. Nil is fine, and so is a second call.
func (e *encoding) release() {
	if e != nil {
		e.end()
		e.sent()
	}
}

// Write takes what comes out of the encoder. It never fails.
func (e *encoding) Write(p []byte) (int, error) {
	if e.out == nil {
		e.out, e.n = getBuffer(chunkHead+max(len(p), 4<<10-chunkHead)), chunkHead
	}
	if n := e.n + len(p) + frameSize; n > len(e.out.b) { // room for the frame's end too
		e.out = e.out.grow(e.n, max(n, 2*len(e.out.b)))
	}
	e.n += copy(e.out.b[e.n:], p)
	return len(p), nil
}

// coded is what came out and was not sent yet.
func (e *encoding) coded() []byte {
	if e.out == nil {
		return nil
	}
	return e.out.b[chunkHead:e.n]
}

// framed is what came out, as a chunk where the framing is by chunks; last: with the end of the body.
func (e *encoding) framed(f framing, last bool) []byte {
	if f != byChunks || e.out == nil {
		return e.coded()
	}
	var digits [chunkHead]byte
	head := append(strconv.AppendInt(digits[:0], int64(e.n-chunkHead), 16), "\r\n"...)
	start := chunkHead - len(head)
	copy(e.out.b[start:], head)
	b := append(e.out.b[start:e.n], "\r\n"...) // Write left room
	if last {
		b = append(b, "0\r\n\r\n"...)
	}
	return b
}

// sent drops what came out.
func (e *encoding) sent() {
	e.out.put()
	e.out, e.n = nil, 0
}

// add compresses the first size bytes of a chunk. send is called whenever much has come out; it is to call sent.
func (e *encoding) add(ch *pyhost.Chunk, size int64, send func() error) error {
	part := *ch
	if part.Data != nil {
		part.Data = part.Data[:size]
	} else {
		part.Size = size
	}
	var p *buffer
	var memory []byte
	if part.Data == nil {
		p = getBuffer(codeSize)
		defer p.put()
		memory = p.b[:codeSize]
	}
	for r := (chunkReader{ch: &part}); ; {
		b, err := r.read(memory)
		if err == io.EOF {
			return nil
		}
		for err == nil && len(b) > 0 {
			n := min(len(b), codeSize)
			if _, err = e.z.Write(b[:n]); err == nil && e.n >= codeSize && send != nil {
				err = send()
			}
			e.taken = true
			b = b[n:]
		}
		if err != nil {
			return err
		}
	}
}

// take compresses the chunks that were taken of a stream, up to the app's Content-Length (overrun: there is more), and gets out what the client
// can decode the app's bytes with; it ends a body that is whole. send is as in add; done is told how many chunks are not needed any more.
func (e *encoding) take(o *pyhost.Output, send func() error, done func(chunks int)) (overrun bool, err error) {
	counted := e.left >= 0
	for i := range o.Chunks {
		size := chunkSizeOf(&o.Chunks[i])
		if counted && size > e.left {
			overrun = true
			size = e.left
		}
		if size == 0 {
			continue
		}
		if err := e.add(&o.Chunks[i], size, send); err != nil {
			return overrun, err
		}
		if counted {
			e.left -= size
		}
		done(i + 1)
	}
	if e.ended {
		return overrun, nil
	}
	e.ended = counted && e.left == 0 || !counted && o.Complete
	return overrun, e.flush(e.ended)
}

// flush gets out of the encoder what it has taken, so that the client can decode all of it; last: and ends the body.
func (e *encoding) flush(last bool) error {
	switch {
	case last:
		return e.z.Close()
	case e.taken:
		e.taken = false
		return e.z.Flush()
	}
	return nil
}

// shrink compresses a whole body, and gives the encoder back. It waits for its turn. Where it is no shorter then, the response is to go out as
// it is, and head and headers are made so; length is of the body that is to be sent.
func (e *encoding) shrink(o *pyhost.Output) (shrunk bool, length int64, err error) {
	wholeEncoders <- struct{}{}
	defer func() { <-wholeEncoders }()
	e.begin()
	defer e.end()
	total := int64(0)
	for i := range o.Chunks {
		size := chunkSizeOf(&o.Chunks[i])
		if err := e.add(&o.Chunks[i], size, nil); err != nil {
			return false, 0, err
		}
		total += size
	}
	if err := e.flush(true); err != nil {
		return false, 0, err
	}
	if n := int64(len(e.coded())); n < total {
		return true, n, nil
	}
	e.sent()
	e.head.length = e.left
	e.headers, _ = e.head.negotiate(o.Headers, identity, total)
	return false, total, nil
}
