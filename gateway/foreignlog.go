package gateway

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

// loggedResponse is the http.ResponseWriter of a request that goes into the access log: of net/http's, so that heads and framing are not in its
// numbers of bytes.
type loggedResponse struct {
	http.ResponseWriter
	log     *accesslog.Log
	e       accesslog.Entry
	came    atomic.Int64 // bytes of the body
	settled bool         // e.Ended is known
	environ func() []byte
}

// beginLog has the request logged by its end. The environ is appended where no app gets the request.
func (h *foreignHandler) beginLog(w http.ResponseWriter, r *http.Request, q *request, c *conn) *loggedResponse {
	l := &loggedResponse{ResponseWriter: w, log: h.AccessLog, e: accesslog.Entry{Start: accesslog.Now()}}
	l.environ = func() []byte {
		rec, _ := h.appendLogEnviron(r, q, c)
		return rec
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &countedBody{r.Body, &l.came}
	}
	return l
}

// appendLogEnviron is conn.appendLogEnviron; c is nil in somebody else's server.
func (h *foreignHandler) appendLogEnviron(r *http.Request, q *request, c *conn) (rec, id []byte) {
	if c != nil {
		return c.appendLogEnviron(nil, q)
	}
	ends, fixed := h.endsOf(r)
	rec = appendEnviron(nil, q, nil, &Mount{}, fixed, &ends, -1)
	if h.ids != nil {
		return h.ids.appendTo(rec, q, &ends)
	}
	return rec, nil
}

// WriteHeader implements http.ResponseWriter.
func (l *loggedResponse) WriteHeader(code int) {
	if l.e.Status == 0 && code >= 200 {
		l.e.Status = code
	}
	l.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (l *loggedResponse) Write(p []byte) (int, error) {
	n, err := l.ResponseWriter.Write(p)
	l.wrote(int64(n), err)
	return n, err
}

// ReadFrom implements io.ReaderFrom, by which net/http sends files.
func (l *loggedResponse) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(l.ResponseWriter, src)
	l.wrote(n, err)
	return n, err
}

func (l *loggedResponse) wrote(n int64, err error) {
	if l.e.Status == 0 {
		l.e.Status = http.StatusOK
	}
	l.e.BytesOut += n
	if err != nil && err != http.ErrBodyNotAllowed && !l.settled {
		l.e.Ended = accesslog.ClientGone
	}
}

// Flush implements http.Flusher.
func (l *loggedResponse) Flush() { _ = http.NewResponseController(l.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (l *loggedResponse) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// logOf is the log that w, or what it wraps, is of; nil: none.
func logOf(w http.ResponseWriter) *loggedResponse {
	for {
		switch v := w.(type) {
		case *loggedResponse:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}

// settle says why the request ended.
func (l *loggedResponse) settle(e accesslog.Ended) {
	if l != nil && !l.settled {
		l.settled, l.e.Ended = true, e
	}
}

// answered notes what became of a request that was given to an app.
func (l *loggedResponse) answered(s *httpResponse, environ []byte, whole bool) {
	if l == nil {
		return
	}
	k := s.k
	l.e.Environ = environ
	l.e.Queue, l.e.Python, l.e.Thread = k.times.Queue, k.times.Python, k.times.Thread
	switch o := &k.last; {
	case o.Refused:
		l.settle(accesslog.Refused)
	case o.TimedOut:
		l.settle(accesslog.Timeout)
	case o.Failed, !s.begun && (o.Complete || o.Committed), s.begun && o.Complete && s.f == byLength && s.left > 0:
		l.settle(accesslog.AppError)
	case !whole:
		l.settle(accesslog.ClientGone)
	default:
		l.settle(l.e.Ended)
	}
}

// end logs the request. Deferred by who handles it, who may be panicking.
func (l *loggedResponse) end(returned *bool) {
	if !*returned {
		l.settle(accesslog.Cut)
	}
	e := &l.e
	e.BytesIn = l.came.Load()
	if e.Environ == nil {
		e.Environ = l.environ()
	}
	for name, values := range l.Header() {
		for _, v := range values {
			e.Headers = pyhost.AppendPair(e.Headers, name, v)
		}
	}
	if e.Status == 0 && e.Ended == accesslog.OK {
		e.Status = http.StatusOK // a handler that wrote nothing
	}
	l.log.Add(e)
}

// countedBody counts what is read of a body.
type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read implements io.Reader.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
