package accesslog

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"time"
)

// Format says what a line has. Its methods may be called by any goroutine.
type Format struct {
	ops   []op
	tail  literal // follows the last
	json  bool
	texts int // ops whose length a client decides
	// keys of the environ that the ops want, and for each the next of its slot, as slots has the first; -1: none.
	keys  []string
	next  []int
	slots [256]int8
	names []string // of response headers that they want
}

const (
	maxKeys   = 32 // of the environ, and of response headers
	maxKeyLen = 64
	maxText   = 8 << 10 // bytes of one field
)

// literal is text that is the same in every line.
type literal struct {
	text string
	word uint64 // text if it has eight bytes at most
}

func (l *literal) add(text string) {
	l.text += text
	var word [8]byte
	copy(word[:], l.text)
	l.word = binary.LittleEndian.Uint64(word[:])
}

// append appends the text; of eight bytes at most by one instruction, where there is room for eight.
func (l *literal) append(dst []byte) []byte {
	if n := len(dst); len(l.text) <= 8 && cap(dst)-n >= 8 {
		binary.LittleEndian.PutUint64(dst[n:n+8], l.word)
		return dst[:n+len(l.text)]
	}
	return append(dst, l.text...)
}

// op appends one part of a line.
type op struct {
	before literal
	kind   opKind
	i      int  // of found, in keys or names
	stop   byte // follows the field in every line, and is escaped within it; 0: none
}

type opKind uint8

const (
	opEnviron opKind = iota // found[i]
	opHeader                // of the response
	opRequest               // "GET /path HTTP/1.1", or what came instead
	opPath
	opQuery
	opStatus
	opBody     // bytes, 0 as "-"
	opBodySize // bytes
	opBytesIn
	opBytesOut
	opEnded
	opThread
	opPID
	opDate         // [02/Jan/2006:15:04:05 -0700]
	opTime         // 2006-01-02T15:04:05.000000Z
	opSeconds      // whole
	opMilliseconds // whole
	opMicroseconds // whole
	opDuration     // seconds with their decimals
	opQueue
	opPython
	opWorker
	opLine // of JSON: the line of a request that could not be parsed
)

// key adds a key of the environ to those that are wanted.
func (f *Format) key(name string) int {
	for i, k := range f.keys {
		if k == name {
			return i
		}
	}
	f.keys = append(f.keys, name)
	return len(f.keys) - 1
}

// slot is where slots has the keys of a length with a last byte: few that are not wanted share one with a key that is.
func slot(length uint64, last byte) uint8 { return uint8(length)<<3 ^ last }

// index makes next and slots.
func (f *Format) index() {
	for i := range f.slots {
		f.slots[i] = -1
	}
	f.next = make([]int, len(f.keys))
	for i, k := range f.keys {
		first := &f.slots[slot(uint64(len(k)), k[len(k)-1])]
		f.next[i], *first = int(*first), int8(i)
	}
}

// values are what a line has of an environ and of the response's headers: as many as keys, and as names.
type values struct{ environ, headers [][]byte }

// newValues is memory for a line.
func (f *Format) newValues() *values {
	return &values{make([][]byte, len(f.keys)), make([][]byte, len(f.names))}
}

// find finds the wanted keys in a record: see pyhost.AppendPair.
func (f *Format) find(rec []byte, v *values) {
	for len(rec) >= 8 {
		k, n := uint64(binary.NativeEndian.Uint32(rec)), uint64(binary.NativeEndian.Uint32(rec[4:]))
		end := 8 + k + n
		if end > uint64(len(rec)) {
			return
		}
		if i := f.slots[slot(k, rec[7+k])]; i >= 0 {
			f.match(int(i), rec[8:8+k], rec[8+k:end], v)
		}
		rec = rec[end:]
	}
}

// match gives a value to the keys of a slot, of which i is the first, that are its own.
func (f *Format) match(i int, key, value []byte, v *values) {
	for ; i >= 0; i = f.next[i] {
		if f.keys[i] == string(key) {
			v.environ[i] = value
		}
	}
}

// findHeaders finds the wanted headers of a response; of several with one name the first.
func (f *Format) findHeaders(rec []byte, v *values) {
	for len(rec) >= 8 {
		k, n := binary.NativeEndian.Uint32(rec), binary.NativeEndian.Uint32(rec[4:])
		rec = rec[8:]
		if uint64(len(rec)) < uint64(k)+uint64(n) {
			return
		}
		for i, name := range f.names {
			if v.headers[i] == nil && len(name) == int(k) && strings.EqualFold(name, string(rec[:k])) {
				v.headers[i] = rec[k : k+n]
			}
		}
		rec = rec[k+n:]
	}
}

// append appends the line of an entry. Where it would be longer than limit bytes its texts are cut; 0: no limit.
func (f *Format) append(dst []byte, e *Entry, v *values, d *dates, worker, limit int) []byte {
	clear(v.environ)
	f.find(e.Environ, v)
	if len(f.names) > 0 {
		clear(v.headers)
		f.findHeaders(e.Headers, v)
	}
	start := len(dst)
	dst = f.appendOps(dst, e, v, d, worker, maxText)
	if limit > 0 && len(dst)-start > limit && f.texts > 0 {
		fixed := len(f.appendOps(nil, e, v, d, worker, 0))
		dst = f.appendOps(dst[:start], e, v, d, worker, max(limit-fixed, 0)/f.texts)
	}
	return dst
}

func (f *Format) appendOps(dst []byte, e *Entry, v *values, d *dates, worker, most int) []byte {
	for i := range f.ops {
		o := &f.ops[i]
		dst = o.before.append(dst)
		switch o.kind {
		case opEnviron:
			dst = f.text(dst, v.environ[o.i], o, most)
		case opHeader:
			dst = f.text(dst, v.headers[o.i], o, most)
		case opRequest:
			dst = f.request(dst, e, v, o, most)
		case opPath:
			path, _ := cutQuery(v.environ[o.i])
			dst = f.text(dst, path, o, most)
		case opQuery:
			if _, query := cutQuery(v.environ[o.i]); len(query) > 0 {
				dst = f.text(dst, query, o, most)
			}
		case opStatus:
			dst = appendStatus(dst, e.status())
		case opBody:
			if n := e.BytesOut - e.HeadOut; n <= 0 {
				dst = append(dst, '-')
			} else {
				dst = strconv.AppendInt(dst, n, 10)
			}
		case opBodySize:
			dst = strconv.AppendInt(dst, max(e.BytesOut-e.HeadOut, 0), 10)
		case opBytesIn:
			dst = strconv.AppendInt(dst, e.BytesIn, 10)
		case opBytesOut:
			dst = strconv.AppendInt(dst, e.BytesOut, 10)
		case opEnded:
			dst = append(dst, e.Ended.String()...)
		case opThread:
			dst = strconv.AppendInt(dst, int64(e.Thread), 10)
		case opWorker:
			dst = strconv.AppendInt(dst, int64(worker), 10)
		case opPID:
			dst = strconv.AppendInt(dst, int64(os.Getpid()), 10)
		case opDate:
			dst = append(dst, d.local(e.Start)...)
		case opTime:
			dst = d.appendUTC(dst, e.Start)
		case opSeconds:
			dst = strconv.AppendInt(dst, int64((e.End-e.Start)/time.Second), 10)
		case opMilliseconds:
			dst = strconv.AppendInt(dst, int64((e.End-e.Start)/time.Millisecond), 10)
		case opMicroseconds:
			dst = strconv.AppendInt(dst, int64((e.End-e.Start)/time.Microsecond), 10)
		case opDuration:
			dst = appendSeconds(dst, e.End-e.Start)
		case opQueue:
			dst = appendSeconds(dst, e.Queue)
		case opPython:
			dst = appendSeconds(dst, e.Python)
		case opLine:
			if e.Line != nil {
				dst = append(dst, `,"line":"`...)
				dst = append(appendJSON(dst, e.Line, most), '"')
			}
		}
	}
	return f.tail.append(dst)
}

func (f *Format) text(dst, p []byte, o *op, most int) []byte {
	if 0 < len(p) && len(p) <= most {
		var ok bool
		if dst, ok = appendPlain(dst, p, o.stop); ok {
			return dst
		}
	}
	if f.json {
		return appendJSON(dst, p, most)
	}
	start := len(dst)
	dst = appendText(dst, p, most)
	if o.stop != 0 && len(p) > 0 {
		dst = escapeAll(dst, start, o.stop, most)
	}
	return dst
}

// request appends the request line.
func (f *Format) request(dst []byte, e *Entry, v *values, o *op, most int) []byte {
	if e.Line != nil {
		return f.text(dst, e.Line, o, most)
	}
	method, target, protocol := v.environ[o.i], v.environ[o.i+1], v.environ[o.i+2]
	if len(method) == 0 {
		return append(dst, '-')
	}
	dst = append(f.text(dst, method, o, most/2), ' ')
	dst = append(f.text(dst, target, o, most/2), ' ')
	return append(dst, protocol...)
}

// appendStatus appends a number that nearly always has three digits.
func appendStatus(dst []byte, n int) []byte {
	if n < 100 || n > 999 {
		return strconv.AppendInt(dst, int64(n), 10)
	}
	return append(dst, '0'+byte(n/100), '0'+byte(n/10%10), '0'+byte(n%10))
}

// cutQuery splits a target before its "?".
func cutQuery(target []byte) (path, query []byte) {
	for i, c := range target {
		if c == '?' {
			return target[:i], target[i:]
		}
	}
	return target, nil
}

// appendSeconds appends a time in seconds with six decimals.
func appendSeconds(dst []byte, d time.Duration) []byte {
	us := uint64(max(d, 0) / time.Microsecond)
	dst = strconv.AppendUint(dst, us/1e6, 10)
	return appendDecimals(append(dst, '.'), us%1e6)
}

// appendDecimals appends six digits.
func appendDecimals(dst []byte, n uint64) []byte {
	return append(dst, '0'+byte(n/100000), '0'+byte(n/10000%10), '0'+byte(n/1000%10), '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10))
}
