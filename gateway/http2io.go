package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// timedWriter gives the client of one HTTP/2 stream WriteTimeout for each stretch of the response, then resets the stream. A client may take
// frames of the connection, and no bytes of the stream.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	waiting int // bytes that net/http may hold back still
}

const (
	timedStretch = 16 << 10
	heldByHTTP2  = 4 << 10 // net/http gathers so many bytes before it sends any
)

// Write implements io.Writer.
func (w *timedWriter) Write(p []byte) (n int, err error) {
	if w.waiting += len(p); w.waiting <= heldByHTTP2 || w.timeout <= 0 {
		return w.ResponseWriter.Write(p)
	}
	for n < len(p) && err == nil {
		var m int
		w.arm()
		m, err = w.ResponseWriter.Write(p[n:min(len(p), n+timedStretch)])
		n += m
	}
	w.disarm()
	return n, err
}

// Flush implements http.Flusher.
func (w *timedWriter) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *timedWriter) FlushError() error {
	w.waiting = 0
	if w.timeout <= 0 {
		return w.control.Flush()
	}
	w.arm()
	defer w.disarm()
	return w.control.Flush()
}

// Unwrap is what http.ResponseController calls.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// end lets the stream take the time for what net/http holds back, once its handler has returned.
func (w *timedWriter) end() {
	if w.timeout > 0 {
		w.arm()
	}
}

func (w *timedWriter) arm() { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }

// disarm: the app may take its time for what follows.
func (w *timedWriter) disarm() { _ = w.control.SetWriteDeadline(time.Time{}) }

// timedBody gives the client of one HTTP/2 stream BodyTimeout for each piece of its body, and wants MinBodyRate of it.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	s       *Server
	pace    pace
	spent   int64 // nanoseconds that the client was waited for
	got     int64 // bytes that the pace does not know of
	err     error
}

// Read implements io.Reader. errBodyTimeout: the client was too slow.
func (b *timedBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	timeout := b.s.BodyTimeout
	if timeout <= 0 {
		return b.ReadCloser.Read(p)
	}
	d, ok := b.pace.allow(b.spent, b.got, timeout, enough(b.s.MinBodyRate, timeout))
	if !ok {
		b.err = errBodyTimeout
		return 0, b.err
	}
	start := time.Now()
	_ = b.control.SetReadDeadline(start.Add(d))
	n, err = b.ReadCloser.Read(p)
	b.spent += int64(time.Since(start))
	b.got = int64(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errBodyTimeout
		b.err = err
	case err == nil:
		_ = b.control.SetReadDeadline(time.Time{}) // the app may take its time before it reads on
	}
	return n, err
}
