package gateway

import (
	"bytes"
	"io"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
)

// requestLog is what the access log will say of a call. Guarded as the call's response is.
type requestLog struct {
	began      time.Duration // 0: there is no log
	bytesIn    int64
	sentBefore int64 // of rawConn.sent
	headOut    int64
	status     int
	ended      accesslog.Ended
	headers    []byte // of the app's response, if it is the one
}

// arrival is the beginning of the request that a connection reads just now.
type arrival struct {
	at     time.Duration // 0: none has begun, or there is no log
	before int64         // bytes that came before it
}

// arrived notes, once for each request, that its first bytes are in the read buffer. p is nil but on the loop.
func (c *conn) arrived(p *poller) {
	if c.s.AccessLog != nil && c.arrival.at == 0 {
		c.arrival = arrival{p.now(), c.received - int64(c.w-c.r)}
	}
}

// came is how many bytes of the request that arrived were used up.
func (c *conn) came() int64 { return c.received - int64(c.w-c.r) - c.arrival.before }

// beginLog begins the log of a call that is about to be given to the app. What is read ahead of its body is read.
func (c *conn) beginLog(k *call) {
	k.log = requestLog{began: c.arrival.at, bytesIn: c.came(), sentBefore: c.sent}
	k.req.Timed = c.s.AccessLog.WantsTimes()
	c.arrival.at = 0
}

// plain notes that the server answers the call itself, with b.
func (l *requestLog) plain(status int, b []byte) {
	if l.began != 0 {
		l.status, l.headers = status, nil
		l.headOut += int64(headLength(b))
	}
}

// taken notes that the connection's goroutine will answer the call with b.
func (l *requestLog) taken(status int, b []byte) {
	if l.began != 0 {
		l.ended = accesslog.Refused
		l.plain(status, b)
		l.sentBefore -= int64(len(b)) // it is not written yet
	}
}

// headLength is the length of the head of a response of the server's own.
func headLength(b []byte) int { return bytes.Index(b, []byte("\r\n\r\n")) + len("\r\n\r\n") }

// add logs the call, whose response is over. k.mu is held.
func (l *requestLog) add(k *call, c *conn, how ending) {
	e := accesslog.Entry{
		Start: l.began, Status: l.status, Ended: l.ended, BytesIn: l.bytesIn,
		BytesOut: c.sent - l.sentBefore, HeadOut: l.headOut, Environ: k.rec, Headers: l.headers,
	}
	if l.ended == accesslog.OK && (how == endCut || how == endReset) {
		e.Ended = c.whyCut()
	}
	if k.req.Timed && k.x != nil {
		t := k.x.Times()
		e.Queue, e.Python, e.Thread = t.Queue, t.Python, t.Thread
	}
	c.s.AccessLog.Add(&e)
}

// whyCut says who ended a connection in the middle of a response.
func (c *conn) whyCut() accesslog.Ended {
	if c.isCut() {
		return accesslog.Cut
	}
	return accesslog.ClientGone
}

// logOwn logs a request that the server answered itself, with size bytes of which headOut are the head, or not at all (status 0). q is nil where
// it could not be parsed: then line is what came.
func (c *conn) logOwn(q *request, line []byte, status int, ended accesslog.Ended, size, headOut int64) {
	if c.arrival.at == 0 {
		return
	}
	e := accesslog.Entry{Start: c.arrival.at, Status: status, Ended: ended, BytesIn: c.came(), BytesOut: size, HeadOut: headOut}
	p := getBuffer(loopBuffer)
	defer p.put()
	e.Environ, _ = c.appendLogEnviron(p.b[:0], q)
	if q == nil {
		if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
			line = line[:i]
		}
		e.Line = append([]byte{}, line...)
		e.BytesIn = c.received - c.arrival.before // nothing of it was used up
	}
	c.arrival.at = 0
	c.s.AccessLog.Add(&e)
}

// appendLogEnviron appends what the access log shows of a request that no app gets, and its id. q: nil where it could not be parsed.
func (c *conn) appendLogEnviron(rec []byte, q *request) (_, id []byte) {
	if q == nil {
		return append(rec, c.fixed...), nil
	}
	rec = appendEnviron(rec, q, nil, &Mount{}, c.fixed, &c.ends, -1)
	if c.s.ids != nil {
		return c.s.ids.appendTo(rec, q, &c.ends)
	}
	return rec, nil
}

// handlerLog is what the access log will say of a request that a Go handler answers.
type handlerLog struct {
	environ []byte
	before  int64 // of rawConn.sent
}

// beginHandlerLog keeps what is needed of q for the log, and gives the response the request's id.
func (c *conn) beginHandlerLog(q *request, w *handlerResponse) (l handlerLog) {
	if c.arrival.at != 0 || c.s.ids != nil {
		l.environ, w.id = c.appendLogEnviron(nil, q)
		l.before = c.sent
	}
	return l
}

// end logs the request after its response.
func (l *handlerLog) end(c *conn, w *handlerResponse, how ending) {
	if c.arrival.at == 0 {
		return
	}
	e := accesslog.Entry{
		Start: c.arrival.at, BytesIn: c.came(), BytesOut: c.sent - l.before, HeadOut: w.headOut, Environ: l.environ, Headers: w.rec,
	}
	e.Status, e.Ended = w.ended(how)
	if !w.begun {
		e.Headers = nil
	}
	c.arrival.at = 0
	c.s.AccessLog.Add(&e)
}

// ended is the status that the response was given, and why it ended.
func (w *handlerResponse) ended(how ending) (status int, why accesslog.Ended) {
	switch {
	case w.err == io.ErrUnexpectedEOF: // its file is shorter than it was
		return w.status, accesslog.AppError
	case w.err != nil:
		return w.status, w.c.whyCut()
	case !w.begun: // it panicked, and abort answered
		return 500, accesslog.AppError
	case how == endReset:
		return w.status, accesslog.AppError
	}
	return w.status, accesslog.OK
}
