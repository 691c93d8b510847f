package gateway

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

// HTTPHandler serves the apps inside somebody else's net/http server, beside its own routes. Mount.Prefix is what becomes SCRIPT_NAME, so
// the handler is mounted without http.StripPrefix. It promises what that server can keep: requests are parsed by it, the order of fields with
// different names is lost, the reason phrase of the status is its own, a client that leaves while its body is read is noticed at the next
// read, and processes that the app forks keep its connections open.
func HTTPHandler(app App, mounts []Mount, o HandlerOptions) http.Handler {
	return newForeignHandler(app, mounts, o)
}

// ServeHTTP implements [http.Handler]. It panics with http.ErrAbortHandler where the client must see that the response is not whole.
func (h *foreignHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.logged(w, r, requestOf(r), nil, h.serve)
}

// logged calls serve, with a writer that logs the request where there is an access log.
func (h *foreignHandler) logged(w http.ResponseWriter, r *http.Request, q *request, c *conn, serve func(http.ResponseWriter, *http.Request, *request, *conn)) {
	if h.AccessLog == nil {
		serve(w, r, q, c)
		return
	}
	returned := false
	l := h.beginLog(w, r, q, c)
	defer l.end(&returned)
	serve(l, r, q, c)
	returned = true
}

// serve serves a request of somebody else's server, or one that came by HTTP/2 on the connection c.
func (h *foreignHandler) serve(w http.ResponseWriter, r *http.Request, q *request, c *conn) {
	l := logOf(w)
	if status := q.checkForeign(h.HeaderPolicy); status != 0 {
		h.refuse(w, r, q, c, status)
		return
	}
	if h.MaxBodySize > 0 && r.ContentLength > h.MaxBodySize {
		h.refuse(w, r, q, c, 413)
		return
	}
	path := unescape(nil, q.target.path)
	mounts := h.mounts
	if c != nil {
		mounts = c.mounts
	}
	mount := findMount(mounts, path)
	if mount == nil {
		h.refuse(w, r, q, c, 404)
		return
	}
	if mount.Handler != nil {
		h.tellID(w, r, q, c)
		if c != nil {
			c.ends.applyTo(r, q)
		}
		mount.Handler.ServeHTTP(w, r)
		return
	}
	req := pyhost.Request{App: mount.App, Timeout: mount.timeout(h.requestTimeout), QueueTimeout: h.queueTimeout, Backlog: h.backlog}
	body := spool{dir: h.SpoolDir, limit: h.MaxBodySize}
	if h.server != nil {
		body.store = &h.server.bodies
	}
	defer body.release()
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case !h.StreamInput && equalFold([]byte(r.Header.Get("Expect")), "100-continue") && h.expecting.begin():
		defer h.expecting.end()
		req.Stream, req.ContentLength = true, r.ContentLength
	case h.StreamInput:
		req.Stream, req.ContentLength = true, r.ContentLength
	default:
		if err := readAll(&body, r); err != nil {
			status := statusOf(err)
			if body.err != nil {
				h.Logger.Error(body.err.Error(), "request", r.RequestURI)
			}
			if err == errSpoolFull {
				h.server.bodies.refused.add(r.RemoteAddr)
			}
			if status == 0 {
				status = 400 // the client left, or its chunks are malformed: net/http does not say which
			}
			h.refuse(w, r, q, c, status)
			return
		}
		req.ContentLength, req.Body = body.size, body.body()
		if body.file != nil {
			req.BodyFile = int(body.file.Fd())
		}
	}
	if c != nil {
		req.Environ = h.environOf(w, q, path, mount, c.fixed, &c.ends, req.ContentLength)
	} else {
		ends, fixed := h.endsOf(r)
		req.Environ = h.environOf(w, q, path, mount, fixed, &ends, req.ContentLength)
	}
	req.Timed = l != nil && h.AccessLog.WantsTimes()
	k, err := h.submit(&req)
	if err != nil {
		h.Logger.Error("gateway: a request could not be given to the app", "request", r.RequestURI, "error", err)
		h.refuse(w, r, q, c, 503)
		return
	}
	k.file, body.file = body.file, nil
	s := httpResponse{h: h, w: w, r: r, q: q, k: k, control: http.NewResponseController(w)}
	if req.Stream {
		stop := s.pumpBody()
		defer stop()
	}
	whole := s.run(r.Context().Done())
	l.answered(&s, req.Environ, whole)
	if !whole {
		panic(http.ErrAbortHandler)
	}
}

// refuse answers instead of the app.
func (h *foreignHandler) refuse(w http.ResponseWriter, r *http.Request, q *request, c *conn, status int) {
	h.tellID(w, r, q, c)
	logOf(w).settle(accesslog.Refused)
	httpPlain(w, status)
}

// tellID gives the response the request's id.
func (h *foreignHandler) tellID(w http.ResponseWriter, r *http.Request, q *request, c *conn) {
	if h.ids == nil {
		return
	}
	var ends *endpoints
	if c != nil {
		ends = &c.ends
	} else {
		of, _ := h.endsOf(r)
		ends = &of
	}
	w.Header().Set(requestIDField, string(h.ids.of(q, ends)))
}

// environOf is the environ record of a request, with its id, which the response gets as well.
func (h *foreignHandler) environOf(w http.ResponseWriter, q *request, path []byte, mount *Mount, fixed []byte, e *endpoints, length int64) []byte {
	rec := appendEnviron(nil, q, path, mount, fixed, e, length)
	if h.ids != nil {
		var id []byte
		rec, id = h.ids.appendTo(rec, q, e)
		w.Header().Set(requestIDField, string(id))
	}
	return rec
}

// endsOf reads the ends of the connection of r, and gives their pairs.
func (h *foreignHandler) endsOf(r *http.Request) (ends endpoints, fixed []byte) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	ends = endpointsOf(local, nil, scheme)
	ends.remoteAddr, ends.remotePort, _ = net.SplitHostPort(r.RemoteAddr)
	h.trust(&ends, local)
	fixed = ends.appendPairs(nil)
	if r.TLS != nil {
		fixed = appendTLS(fixed, r.TLS)
	}
	return ends, fixed
}

// requestOf is r as the parser would have seen it.
func requestOf(r *http.Request) *request {
	raw := r.RequestURI
	if raw == "" {
		raw = r.URL.RequestURI() // not from a server: a test
	}
	q := &request{method: []byte(r.Method), raw: []byte(raw), http10: !r.ProtoAtLeast(1, 1), contentLength: r.ContentLength}
	if r.Host != "" {
		q.host = []byte(r.Host)
	}
	length := r.Header["Content-Length"]
	// HTTP/2 needs none, and a middleware may have put another body in place of the one that was sent.
	announced := r.ContentLength >= 0 && len(length) == 1 && length[0] == strconv.FormatInt(r.ContentLength, 10)
	q.chunked = !announced && r.Body != nil && r.Body != http.NoBody
	for name, values := range r.Header {
		if name == "Content-Length" && !announced {
			continue
		}
		for _, v := range values {
			q.fields = append(q.fields, field{[]byte(name), []byte(v)})
		}
	}
	for _, coding := range r.TransferEncoding {
		q.chunked = q.chunked || strings.EqualFold(coding, "chunked")
		q.fields = append(q.fields, field{[]byte("Transfer-Encoding"), []byte(coding)})
	}
	return q
}

// readAll takes more memory as the body comes: a connection of HTTP/2 may announce a hundred of them, and send nothing.
func readAll(body *spool, r *http.Request) error {
	p := getBuffer(0)
	defer func() { p.put() }()
	for {
		n, err := r.Body.Read(p.b)
		if n > 0 {
			if err := body.write(p.b[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n == len(p.b) && n < bodyWindow:
			p = p.grow(0, 2*n)
		}
	}
}

// httpPlain answers instead of the app.
func httpPlain(w http.ResponseWriter, code int) {
	w.Header().Set("Cache-Control", "no-store")
	if code == 503 {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, strings.TrimSpace(http.StatusText(code)), code)
}
