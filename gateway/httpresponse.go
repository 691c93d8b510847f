package gateway

import (
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"time"

	"github.com/gowsgi/gowsgi/pyhost"
)

// httpResponse is a response on its way to a net/http client.
type httpResponse struct {
	h       *foreignHandler
	w       http.ResponseWriter
	r       *http.Request
	q       *request
	k       *foreignCall
	control *http.ResponseController

	begun bool
	f     framing
	left  int64
	coded *encoding // the body is compressed
	ended bool      // it was, to its end
}

// run writes the response until it ends. False: the client must see that it is not whole.
func (s *httpResponse) run(gone <-chan struct{}) bool {
	k := s.k
	defer func() { s.coded.release() }()
	for {
		select {
		case <-k.news:
			k.take()
		case <-gone:
			k.x.Cancel()
			k.finish()
			return false
		}
		if f := s.file(); f != nil {
			k.finish() // what the app still gives is dropped
			s.begun = true
			f.serve(s.h.SendFile, s.w, s.r, s.h.Logger.With("request", s.r.RequestURI))
			return true
		}
		over, ok := s.write()
		if over {
			k.finish()
			return ok
		}
	}
}

// write writes what was taken.
func (s *httpResponse) write() (over, ok bool) {
	k, o := s.k, &s.k.out
	if !s.begun {
		if !o.Committed || o.TimedOut {
			if o.Failed || o.Complete || o.TimedOut {
				httpPlain(s.w, k.instead())
				return true, true
			}
			return false, false
		}
		if err := s.begin(); err != nil {
			s.h.Logger.Error(err.Error(), "request", s.r.RequestURI)
			k.x.Cancel()
			httpPlain(s.w, 500)
			return true, true
		}
	}
	overrun, err := s.writeChunks()
	k.sent()
	switch {
	case err != nil:
		k.x.Cancel()
		return true, false
	case overrun:
		s.h.Logger.Error("gateway: the app's response is longer than its Content-Length; it was cut there", "request", s.r.RequestURI)
		k.x.Cancel()
		return true, true
	case o.Complete && s.left > 0 && (s.f == byLength || s.coded != nil):
		s.h.Logger.Error("gateway: the app's response is shorter than its Content-Length; the connection was cut", "request", s.r.RequestURI)
		return true, false
	case o.Complete:
		return true, true
	case o.Failed, o.TimedOut:
		return true, s.whole()
	}
	return false, false
}

// begin checks the head and sends it.
func (s *httpResponse) begin() error {
	o := &s.k.out
	var head responseHead
	if err := head.check(o.Status, o.Headers); err != nil {
		return err
	}
	total := int64(0)
	for i := range o.Chunks {
		total += chunkSizeOf(&o.Chunks[i])
	}
	s.f, s.left = head.frame(s.q.head, s.q.http10, o.Complete, total)
	headers := o.Headers
	if s.h.Compress {
		var err error
		if headers, err = s.code(&head, total); err != nil {
			return err
		}
	}
	header := s.w.Header()
	header["Content-Type"] = nil // nil: net/http guesses none
	if head.hasID {
		header.Del(requestIDField)
	}
	for rec := headers; ; {
		name, value, rest, ok := pyhost.NextPair(rec)
		if !ok {
			break
		}
		rec = rest
		key := string(name)
		// Names keep the app's case, but for those that net/http looks up itself.
		switch canonical := textproto.CanonicalMIMEHeaderKey(key); canonical {
		case "Content-Type", "Content-Length", "Date":
			key = canonical
		}
		if head.code != 204 || key != "Content-Length" {
			header[key] = append(header[key], string(value))
		}
	}
	if s.f == byLength && head.length < 0 {
		header["Content-Length"] = []string{strconv.FormatInt(s.left, 10)}
	}
	s.begun = true
	s.w.WriteHeader(head.code)
	return nil
}

// writeChunks writes and flushes the chunks that were taken, so that each goes out when the app gives it.
func (s *httpResponse) writeChunks() (overrun bool, err error) {
	o := &s.k.out
	switch {
	case s.f == noBody:
		return false, nil
	case s.coded != nil:
		return s.writeCoded()
	}
	var p *buffer
	defer func() { p.put() }()
	for i := range o.Chunks {
		if o.Chunks[i].Data == nil && p == nil {
			p = getBuffer(bodyWindow)
		}
		r := chunkReader{ch: &o.Chunks[i]}
		for {
			var scratch []byte
			if p != nil {
				scratch = p.b
			}
			b, err := r.read(scratch)
			if err == io.EOF {
				break
			}
			if err != nil {
				return false, err
			}
			if s.f == byLength {
				if int64(len(b)) > s.left {
					overrun = true
					b = b[:s.left]
				}
				s.left -= int64(len(b))
			}
			if len(b) == 0 {
				break
			}
			if _, err := s.w.Write(b); err != nil {
				return overrun, err
			}
		}
	}
	s.flush()
	return overrun, nil
}

// flush sends what was written, where the response goes on: a server that can't flush still sends it in the end.
func (s *httpResponse) flush() {
	if !s.k.out.Complete {
		_ = s.control.Flush()
	}
}

// whole says that the client has the whole body, though the app has not ended it.
func (s *httpResponse) whole() bool {
	return s.f == noBody || s.f == byLength && s.left == 0 || s.ended
}

// pumpBody reads the body for the app on a goroutine of its own, not before the app first reads (net/http sends 100 Continue then), never
// more than maxBodyWaiting ahead. stop ends it; a body that is not whole then costs the connection.
func (s *httpResponse) pumpBody() (stop func()) {
	_ = s.control.EnableFullDuplex() // HTTP/1 only; elsewhere it is so
	quit, ended := make(chan struct{}), make(chan struct{})
	wanted := func() bool {
		select {
		case <-s.k.wants:
			return true
		case <-quit:
			return false
		}
	}
	go func() {
		defer close(ended)
		if !wanted() {
			return
		}
		p := getBuffer(bodyWindow)
		defer p.put()
		total := int64(0)
		err := copyBody(s.r, p.b, func(b []byte) error {
			if total += int64(len(b)); s.h.MaxBodySize > 0 && total > s.h.MaxBodySize {
				return errBodyTooLarge
			}
			waiting, ok := s.k.push(b)
			if !ok || waiting >= maxBodyWaiting && !wanted() {
				return errResponseOver
			}
			return nil
		})
		s.k.endBody(err)
	}()
	return func() {
		close(quit)
		select {
		case <-ended:
		default:
			_ = s.control.SetReadDeadline(time.Unix(1, 0))
			<-ended
		}
		s.k.endBody(errResponseOver) // where it is read on
	}
}

// copyBody reads the body of r through p and gives it to take.
func copyBody(r *http.Request, p []byte, take func(p []byte) error) error {
	for {
		n, err := r.Body.Read(p)
		if n > 0 {
			if err := take(p[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
