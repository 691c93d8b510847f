package gateway

import "errors"

// Limits of the chunked coding: bytes of one chunk's size with its extensions and the CR, of all extensions of a body, of its trailer section.
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
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	extensionStart // after a ";"
	extensionName
	extensionValue // after a "="
	extensionToken
	extensionQuoted
	extensionEscape // after a backslash in quotes
	extensionEnd    // after the closing quote
	trailerStart    // at the beginning of a trailer line
	trailerName
	trailerValue
	trailerLF
	trailerEndLF
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
			d.state = extensionStart
			return true
		}
		return false
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
	case trailerStart, trailerName, trailerValue, trailerLF, trailerEndLF:
		d.line++
		return d.line <= maxTrailerBytes && d.trailer(c)
	}
	d.line++
	d.extra++
	return d.line <= maxChunkLine && d.extra <= maxChunkExtensions && d.extension(c)
}

// extension takes one byte behind a chunk's size. RFC 9112 section 7.1.1: unknown extensions are ignored, and their total length is limited.
// They are held to their grammar, so that no other reader of the same bytes finds the line's end elsewhere, without the white space that the
// grammar has for history's sake and no sender may make (RFC 9110 section 5.6.3).
func (d *bodyDecoder) extension(c byte) bool {
	token, text := charClass[c]&tokenChar != 0, charClass[c]&fieldChar != 0
	switch d.state {
	case extensionStart:
		d.state = extensionName
		return token
	case extensionName:
		if c == '=' {
			d.state = extensionValue
			return true
		}
		return token || d.extensionIsOver(c)
	case extensionValue:
		d.state = extensionToken
		if c == '"' {
			d.state = extensionQuoted
			return true
		}
		return token
	case extensionToken:
		return token || d.extensionIsOver(c)
	case extensionQuoted:
		switch c {
		case '"':
			d.state = extensionEnd
		case '\\':
			d.state = extensionEscape
		}
		return text
	case extensionEscape:
		d.state = extensionQuoted
		return text
	}
	return d.extensionIsOver(c) // extensionEnd
}

// extensionIsOver says whether c comes after a whole extension: another one, or the end of the line.
func (d *bodyDecoder) extensionIsOver(c byte) bool {
	if c == ';' {
		d.state = extensionStart
		return true
	}
	d.state = chunkSizeLF
	return c == '\r'
}

// trailer takes one byte of the trailer section, RFC 9112 section 7.1.2. Its fields must be fields, and are dropped: merged into the header
// section they could frame or authenticate (RFC 9110 section 6.5.1).
func (d *bodyDecoder) trailer(c byte) bool {
	switch d.state {
	case trailerStart:
		d.state = trailerName
		if c == '\r' {
			d.state = trailerEndLF
			return true
		}
		return charClass[c]&tokenChar != 0
	case trailerName:
		if c == ':' {
			d.state = trailerValue
			return true
		}
		return charClass[c]&tokenChar != 0
	case trailerValue:
		if c == '\r' {
			d.state = trailerLF
			return true
		}
		return charClass[c]&fieldChar != 0
	case trailerEndLF:
		d.done = c == '\n'
	}
	d.state = trailerStart
	return c == '\n'
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
