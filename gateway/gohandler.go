package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// serveHandler has the Go handler of a mount answer a request, on the connection's goroutine. False: the connection has ended.
func (c *conn) serveHandler(q *request, h http.Handler) bool {
	d := newBodyDecoder(q)
	left := int64(1)
	if !d.chunked {
		left = max(d.left-int64(c.w-c.r), 0)
	}
	c.bodyLeft.Store(left)
	body := &handlerBody{c: c, d: &d, limit: c.s.MaxBodySize, continueOwed: q.expect}
	r, err := c.httpRequest(q, body)
	if err != nil {
		return c.refuse(400, q)
	}
	asked := q.keepAlive
	w := &handlerResponse{c: c, head: q.head, http10: q.http10, where: r.Method + " " + r.RequestURI, header: make(http.Header)}
	w.mayKeep = func() bool {
		return asked && !c.s.draining.Load() && (d.done || body.err == nil && !body.continueOwed && d.left <= maxDrain)
	}
	log := c.beginHandlerLog(q, w)
	how := w.run(h, r)
	log.end(c, w, how)
	switch how {
	case endKeep:
		return c.next(&d)
	case endClose:
		c.linger()
	case endReset:
		c.mu.Lock()
		c.how = how // so that finish does not tell the client that it has all
		c.mu.Unlock()
		c.reset()
	}
	return false
}

// httpRequest is q as a net/http server would give it. Nothing of q is kept.
func (c *conn) httpRequest(q *request, body *handlerBody) (*http.Request, error) {
	raw := string(q.raw)
	u, err := url.ParseRequestURI(raw)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: string(q.method), URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header, len(q.fields)), Body: body,
		ContentLength: max(q.contentLength, 0), Close: !q.keepAlive, Host: string(q.host), RequestURI: raw, RemoteAddr: "@", TLS: c.tlsState,
	}
	if q.http10 {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
	if c.ends.remoteAddr != "" {
		r.RemoteAddr = net.JoinHostPort(c.ends.remoteAddr, c.ends.remotePort)
	}
	if q.chunked {
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	} else if !q.hasBody() {
		r.Body = http.NoBody
	}
	for i := range q.fields {
		switch key := textproto.CanonicalMIMEHeaderKey(string(q.fields[i].name)); key {
		case "Host", "Transfer-Encoding":
		default:
			r.Header[key] = append(r.Header[key], string(q.fields[i].value))
		}
	}
	c.ends.applyTo(r, q)
	return r, nil
}

// applyTo gives a Go handler's request what an app would see of the client: by the word of trusted proxies, and of nobody else.
func (e *endpoints) applyTo(r *http.Request, q *request) {
	if e.proxies != nil {
		o := e.proxies.origin(q)
		if o.addr.IsValid() {
			r.RemoteAddr = net.JoinHostPort(o.addr.String(), strconv.Itoa(max(o.port, 0)))
		}
		if o.host != nil {
			r.Host = string(o.host)
		}
	}
	for name := range r.Header {
		if e.hides([]byte(name)) {
			delete(r.Header, name)
		}
	}
}

// run calls the handler and ends the response.
func (w *handlerResponse) run(h http.Handler, r *http.Request) (how ending) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.c.handling.Store(&cancel)
	defer w.c.handling.Store(nil)
	w.c.cancelHandler() // the client may have left already
	defer func() {
		w.release()
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				w.c.s.logPanic(w.where, p)
			}
			how = w.abort()
		}
	}()
	h.ServeHTTP(w, r.WithContext(ctx))
	return w.finish()
}

// cancelHandler ends the context of the Go handler that answers, if one does, where the client has left: it ended its side, and all of its
// request came. Any goroutine.
func (c *conn) cancelHandler() {
	if c.ready.Load()&hungUp == 0 || c.bodyLeft.Load() > 0 {
		return
	}
	if cancel := c.handling.Load(); cancel != nil {
		(*cancel)()
	}
}

// handlerBody is the request body that a Go handler reads, as it comes.
type handlerBody struct {
	c            *conn
	d            *bodyDecoder
	limit, read  int64 // limit: 0 or less for none
	continueOwed bool  // the client waits for 100 Continue
	err          error // that ended it
}

// Read implements io.Reader.
func (b *handlerBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.next(p)
	if b.read += int64(n); err == nil && b.limit > 0 && b.read > b.limit {
		n, err = 0, &http.MaxBytesError{Limit: b.limit}
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *handlerBody) next(p []byte) (int, error) {
	c := b.c
	if len(p) == 0 {
		return 0, nil
	}
	if b.continueOwed {
		b.continueOwed = false
		if c.r == c.w && !c.answer(continueLine) {
			return 0, errCut
		}
	}
	defer c.deadline.Store(0)
	c.setDeadline(c.s.BodyTimeout)
	for {
		for c.r < c.w && !b.d.done {
			in := c.in.b[c.r:c.w]
			piece, n, err := b.d.decode(in[:min(len(in), len(p))])
			c.r += n
			if err != nil || len(piece) > 0 {
				return copy(p, piece), err
			}
		}
		if b.d.done {
			c.bodyLeft.Store(0)
			c.cancelHandler()
			return 0, io.EOF
		}
		switch _, err := c.fill(); {
		case c.deadline.Load() == expired:
			return 0, errBodyTimeout
		case err == io.EOF:
			return 0, io.ErrUnexpectedEOF
		case err != nil && !errors.Is(err, errWoken):
			return 0, err
		}
	}
}

// Close implements io.Closer. What was not read is dropped after the response.
func (b *handlerBody) Close() error { return nil }

// takeConnection reads and removes the fields that are the server's: a handler that wants to end the connection sets Connection: close.
func takeConnection(h http.Header) (closes bool) {
	for _, v := range h["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			closes = closes || strings.EqualFold(strings.TrimSpace(token), "close")
		}
	}
	for name := range h {
		if isHopByHop([]byte(name)) {
			delete(h, name)
		}
	}
	return closes
}
