package gateway

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"

	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/valyala/fasthttp"
)

// handlerResponse is the http.ResponseWriter of a Go handler on a connection of [Server]. What is written is gathered, so that a small
// response goes out whole, with its length; Flush, or more than handlerBuffer bytes, sends it on. Files are sent by sendfile where the handler
// gave a Content-Length. It is used by one goroutine at a time.
type handlerResponse struct {
	c            *conn
	head, http10 bool        // of the request
	mayKeep      func() bool // the connection can go on after a response that begins now
	where        string      // "GET /path" for the log
	header       http.Header

	id        []byte // of the request; nil: none
	headOut   int64  // bytes of the head
	status    int    // 0: WriteHeader was not called yet
	text, rec []byte
	says      responseHead
	begun     bool // the head is written
	keep      bool // it says that the connection goes on
	framing   framing
	left      int64 // byLength: bytes still to come
	sent      int64 // bytes of the body that were written
	err       error // of the connection
	p         *buffer
	b         []byte // gathered in p
}

const handlerBuffer = 4 << 10

// Header implements http.ResponseWriter.
func (w *handlerResponse) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Interim responses are not sent.
func (w *handlerResponse) WriteHeader(code int) {
	if w.status != 0 || code < 200 {
		return
	}
	w.status = code
	if takeConnection(w.header) {
		w.mayKeep = func() bool { return false }
	}
	w.text = append(strconv.AppendInt(nil, int64(code), 10), ' ')
	w.text = append(w.text, fasthttp.StatusMessage(code)...)
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		for _, v := range w.header[name] {
			w.rec = pyhost.AppendPair(w.rec, name, v)
		}
	}
	if err := w.says.check(w.text, w.rec); err != nil {
		w.c.s.log().Error("gateway: a Go handler's response is refused", "request", w.where, "error", err)
		w.rec, w.says = nil, responseHead{code: 500, length: 0}
		w.status, w.text = 500, []byte("500 Internal Server Error")
		w.rec = pyhost.AppendPair(w.rec, "Content-Length", "0")
	}
}

// Write implements io.Writer.
func (w *handlerResponse) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.err != nil {
		return 0, w.err
	}
	if w.says.bodyless(w.head) {
		return len(p), nil
	}
	if n := w.says.length; n >= 0 && w.sent+int64(len(w.b)+len(p)) > n {
		return 0, http.ErrContentLength
	}
	if w.p == nil {
		w.p = getBuffer(handlerBuffer)
		w.b = w.p.b[:0]
	}
	if len(w.b)+len(p) <= cap(w.b) {
		w.b = append(w.b, p...)
		return len(p), nil
	}
	w.send(p, false)
	return len(p), w.err
}

// ReadFrom implements io.ReaderFrom: what http.ServeContent copies of a file goes out by sendfile.
func (w *handlerResponse) ReadFrom(src io.Reader) (int64, error) {
	w.WriteHeader(http.StatusOK)
	l, ok := src.(*io.LimitedReader)
	if ok && w.says.length >= w.sent+int64(len(w.b))+l.N && l.N > handlerBuffer && !w.says.bodyless(w.head) {
		if f, ok := l.R.(*os.File); ok {
			return w.sendFile(f, l)
		}
	}
	p := getBuffer(bodyWindow)
	defer p.put()
	return io.CopyBuffer(struct{ io.Writer }{w}, src, p.b)
}

func (w *handlerResponse) sendFile(f *os.File, l *io.LimitedReader) (int64, error) {
	offset, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if w.send(nil, false); w.err != nil {
		return 0, w.err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	size := l.N
	err = raw.Control(func(fd uintptr) {
		w.c.startWriteTimer()
		w.err = w.c.sendFile(int(fd), offset, size)
		w.c.stopWriteTimer()
	})
	if w.err != nil || err != nil {
		return 0, cmp.Or(w.err, err)
	}
	l.N = 0
	w.sent += size
	w.left -= size
	_, err = f.Seek(offset+size, io.SeekStart)
	return size, err
}

// Flush implements http.Flusher.
func (w *handlerResponse) Flush() {
	w.WriteHeader(http.StatusOK)
	w.send(nil, false)
}

// send writes the head, where it is not written yet, what was gathered, and p. complete: nothing follows.
func (w *handlerResponse) send(p []byte, complete bool) {
	if w.err != nil {
		return
	}
	size := int64(len(w.b) + len(p))
	var head []byte
	if !w.begun {
		w.begun = true
		w.framing, w.left = w.says.frame(w.head, w.http10, complete, size)
		w.keep = w.framing != untilClose && w.mayKeep()
		h := getBuffer(len(w.rec) + len(w.text) + 256)
		defer h.put()
		w.says.id = w.id
		head = w.says.append(h.b[:0], w.text, w.rec, w.framing, w.left, w.http10, w.keep)
	}
	w.headOut += int64(len(head))
	var frame [frameSize]byte
	var tail string
	if w.framing == byChunks {
		if size > 0 {
			head = append(append(head, strconv.AppendInt(frame[:0], size, 16)...), "\r\n"...)
			tail = "\r\n"
		}
		if complete {
			tail += "0\r\n\r\n"
		}
	}
	w.sent += size
	w.left -= size
	if len(head)+len(tail)+int(size) > 0 {
		w.c.startWriteTimer()
		w.err = w.c.writeAll(head, w.b, p, []byte(tail))
		w.c.stopWriteTimer()
	}
	w.b = w.b[:0]
}

// finish ends the response.
func (w *handlerResponse) finish() ending {
	w.WriteHeader(http.StatusOK)
	if n := w.says.length; n >= 0 && !w.says.bodyless(w.head) && w.sent+int64(len(w.b)) < n {
		if w.err == nil {
			w.c.s.log().Error("gateway: a Go handler's response is shorter than its Content-Length; the connection was cut",
				"request", w.where, "missing_bytes", n-w.sent-int64(len(w.b)))
		}
		return w.abort()
	}
	w.send(nil, true)
	if w.err != nil {
		return endReset
	}
	return endOf(w.keep)
}

// abort ends a response that is not whole so that the client can tell: with 500 where it has not begun.
func (w *handlerResponse) abort() ending {
	if w.begun || w.err != nil {
		return endReset
	}
	b := appendPlainOf(nil, 500, w.id, w.head, false, false)
	w.headOut = int64(headLength(b))
	w.c.answer(b)
	return endClose
}

// release gives the memory back.
func (w *handlerResponse) release() {
	w.p.put()
	w.p, w.b = nil, nil
}
