package gateway

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"syscall"

	"github.com/gowsgi/gowsgi/gateway/static"
	"github.com/gowsgi/gowsgi/pyhost"
)

// namedFile is a file that an app named to be sent instead of its body.
type namedFile struct {
	redirect bool   // in X-Accel-Redirect, else in X-Sendfile
	name     string // the field's value
	headers  []byte // record of the other fields
}

// findFile takes the fields that name a file out of an app's header record, where s sends what they name, and gives the first. As with nginx
// and mod_xsendfile an empty one names none.
func findFile(s *static.Sender, headers []byte) (rest []byte, file *namedFile) {
	files, redirects := s.Fields()
	named := func(name []byte) (redirect, ok bool) {
		switch len(name) {
		case len("X-Sendfile"):
			return false, files && equalFold(name, "x-sendfile")
		case len("X-Accel-Redirect"):
			return true, redirects && equalFold(name, "x-accel-redirect")
		}
		return false, false
	}
	rest = headers
	for rec := headers; ; {
		name, value, next, ok := pyhost.NextPair(rec)
		if !ok {
			break
		}
		if redirect, ok := named(name); ok {
			if file == nil && len(value) > 0 {
				file = &namedFile{redirect: redirect, name: string(value)}
			}
			rest = nil
		}
		rec = next
	}
	if rest != nil { // it has none
		return rest, nil
	}
	rest = make([]byte, 0, len(headers))
	for {
		name, value, next, ok := pyhost.NextPair(headers)
		if !ok {
			break
		}
		if _, ok := named(name); !ok {
			rest = pyhost.AppendPair(rest, text(name), text(value))
		}
		headers = next
	}
	if file != nil {
		file.headers = rest
	}
	return rest, file
}

// mayName says whether a response with this status may name a file. Werkzeug answers a range request with 206 and X-Sendfile; what range that is
// is found out anew.
func (h *responseHead) mayName() bool { return h.code == 200 || h.code == 206 }

// addHeaders gives the app's other fields to a response.
func (f *namedFile) addHeaders(header http.Header) {
	for rec := f.headers; ; {
		name, value, rest, ok := pyhost.NextPair(rec)
		if !ok {
			return
		}
		rec = rest
		key := textproto.CanonicalMIMEHeaderKey(string(name))
		header[key] = append(header[key], string(value))
	}
}

// serve sends the file. One that is not there is answered 404, one that may not be sent 500, one too many 503; the log says which it was, the client is not told.
func (f *namedFile) serve(s *static.Sender, w http.ResponseWriter, r *http.Request, log *slog.Logger) {
	f.addHeaders(w.Header())
	send := s.SendFile
	if f.redirect {
		send = s.Redirect
	}
	err := send(w, r, f.name)
	if err == nil {
		return
	}
	log.Error("gateway: a file that the app named can't be sent", "error", err)
	clear(w.Header())
	switch {
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, static.ErrOutside):
		httpPlain(w, http.StatusNotFound)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		httpPlain(w, http.StatusServiceUnavailable)
	default:
		httpPlain(w, http.StatusInternalServerError)
	}
}

// fileRequest is the request of an environ record as far as it matters for a file: method, conditions and ranges.
func fileRequest(environ []byte) *http.Request {
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody}
	for {
		key, value, rest, ok := pyhost.NextPair(environ)
		if !ok {
			return r
		}
		environ = rest
		switch string(key) {
		case "REQUEST_METHOD":
			r.Method = string(value)
		case "HTTP_RANGE", "HTTP_IF_RANGE", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE":
			name := strings.ReplaceAll(string(key[len("HTTP_"):]), "_", "-")
			r.Header.Set(name, string(value))
		}
	}
}

// startFile has the writer send a file; what the app still gives is dropped meanwhile, so that it comes to its end. k.mu is held.
func (k *call) startFile(f *namedFile) {
	k.sends = f
	k.giveBack()
	k.startWriter(nil, nil, noBody, 0, false)
}

// serveFile is the writer's way to send a file.
func (k *call) serveFile(c *conn) ending {
	w := &handlerResponse{c: c, head: k.head, http10: k.http10, where: k.name(), id: k.id, header: make(http.Header)}
	w.mayKeep = func() bool { return k.keepAlive && c.mayKeepAlive(k) }
	send := func(w http.ResponseWriter, r *http.Request) { k.sends.serve(k.s.SendFile, w, r, k.logger()) }
	how := w.run(http.HandlerFunc(send), fileRequest(k.rec))
	k.log.status, k.log.ended = w.ended(how)
	k.log.headers = k.sends.headers
	k.log.headOut += w.headOut
	return how
}

// file is the file that the app named in a response that is about to begin, nil where it named none.
func (s *httpResponse) file() *namedFile {
	o := &s.k.out
	if s.h.SendFile == nil || s.begun || !o.Committed || o.TimedOut {
		return nil
	}
	var head responseHead
	if head.check(o.Status, o.Headers) != nil {
		return nil // begin says so
	}
	rest, f := findFile(s.h.SendFile, o.Headers)
	o.Headers = rest
	if !head.mayName() {
		return nil
	}
	return f
}
