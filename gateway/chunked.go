package gateway

import "errors"

// Limits of the chunked coding: bytes of one chunk's size with its extensions, of all extensions of a body, of its trailer section.
const (
	maxChunkLine       = 512
	maxChunkExtensions = 16 << 10
	maxTrailerBytes    = 16 << 10
)

var errChunk = errors.New("gateway: malformed chunked body")

// bodyDecoder takes a request body out of the bytes of a connection, by its length or by its chunks (RFC 9112 sections 6.2, 7.1). It
// holds no memory and can stop at any byte.
type bodyDecoder struct {
	chunked bool
	done    bool
	left    int64 // bytes of the body, or of the chunk, that are still to come

	state  chunkState
	digits int // of the size
	line   int // bytes of the size line or of the trailer section
	extra  int // bytes of extensions in all chunks
	empty  bool
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart // at the beginning of a trailer line
	trailerLine
	trailerLF
)

func newBodyDecoder(q *request) bodyDecoder {
	if q.chunked {
		return bodyDecoder{chunked: true}
	}
	return bodyDecoder{left: q.contentLength, done: q.contentLength <= 0}
}

// decode takes n bytes of in and returns the first stretch of body among them, which may be empty. Once d.done is set, no byte is taken.
func (d *bodyDecoder) decode(in []byte) (body []byte, n int, err error) {
	if d.done {
		return nil, 0, nil
	}
	if !d.chunked {
		n = int(min(int64(len(in)), d.left))
		d.left -= int64(n)
		d.done = d.left == 0
		return in[:n], n, nil
	}
	for n < len(in) && !d.done {
		if d.state == chunkData {
			size := int(min(int64(len(in)-n), d.left))
			d.left -= int64(size)
			if d.left == 0 {
				d.state = chunkDataCR
			}
			return in[n : n+size], n + size, nil
		}
		if !d.step(in[n]) {
			return nil, n, errChunk
		}
		n++
	}
	return nil, n, nil
}

// step takes one byte that is not chunk data. False: it is not allowed there.
func (d *bodyDecoder) step(c byte) bool {
	switch d.state {
	case chunkSize:
		d.line++
		switch {
		case charClass[c]&hexChar != 0:
			if d.digits++; d.digits > 16 || d.left > 1<<58 {
				return false
			}
			d.left = d.left<<4 | int64(unhex(c))
			return true
		case d.digits == 0:
			return false
		case c == '\r':
			d.state = chunkSizeLF
			return true
		case c == ';':
			d.state = chunkExtension
			return true
		}
		return false
	case chunkExtension:
		// RFC 9112 section 7.1.1: unknown extensions are ignored, and their total length is limited.
		d.line++
		d.extra++
		if c == '\r' {
			d.state = chunkSizeLF
			return true
		}
		return charClass[c]&fieldChar != 0 && d.line <= maxChunkLine && d.extra <= maxChunkExtensions
	case chunkSizeLF:
		d.digits, d.line = 0, 0
		d.state = chunkData
		if d.left == 0 {
			d.state = trailerStart
		}
		return c == '\n'
	case chunkDataCR:
		d.state = chunkDataLF
		return c == '\r'
	case chunkDataLF:
		d.state = chunkSize
		return c == '\n'
	case trailerStart, trailerLine:
		d.line++
		if c == '\r' {
			d.empty = d.state == trailerStart
			d.state = trailerLF
			return true
		}
		d.state = trailerLine
		return charClass[c]&fieldChar != 0 && d.line <= maxTrailerBytes
	case trailerLF:
		d.done = d.empty
		d.state = trailerStart
		return c == '\n'
	}
	return false
}

// skip takes all of the body that is in in and drops it.
func (d *bodyDecoder) skip(in []byte) (n int, err error) {
	for n < len(in) && !d.done {
		_, m, err := d.decode(in[n:])
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}
