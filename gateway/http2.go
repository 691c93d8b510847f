package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// http2Server serves connections that chose HTTP/2: net/http's server speaks it, for the same core as [HTTPHandler]. Its own defences hold
// against floods: of requests that are reset, of CONTINUATION, PING and SETTINGS frames.
type http2Server struct {
	s    *Server
	once sync.Once
	srv  *http.Server
	ln   *connQueue
	core *foreignHandler
}

// maxStreams is how many requests a connection may have in hand; a client that opens more has them refused, and may try again.
const maxStreams = 128

func (h *http2Server) start() {
	s := h.s
	h.core = newForeignHandler(s.App, nil, HandlerOptions{
		Logger: s.log(), MaxBodySize: s.MaxBodySize, StreamInput: s.StreamInput, SpoolDir: s.SpoolDir, HeaderPolicy: s.HeaderPolicy, AccessLog: s.AccessLog,
		Compress: s.Compress, SendFile: s.SendFile,
	})
	h.core.ids = s.ids
	h.core.expecting = &s.expecting
	h.core.server, h.core.requestTimeout, h.core.queueTimeout, h.core.backlog = s, s.RequestTimeout, max(s.QueueTimeout, 0), max(s.Backlog, 0)
	h.ln = &connQueue{conns: make(chan net.Conn), closed: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	h.srv = &http.Server{
		Handler: h, Protocols: protocols, DisableGeneralOptionsHandler: true,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReadFrameSize: 16 << 10},
		IdleTimeout:    s.IdleTimeout,
		MaxHeaderBytes: s.head.headerBytes,
		ErrorLog:       slog.NewLogLogger(s.log().Handler(), slog.LevelDebug), // what clients do wrong
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, connOf(nc))
		},
		ConnState: func(nc net.Conn, state http.ConnState) {
			switch c := connOf(nc); state {
			case http.StateIdle:
				c.idleSince.Store(s.clock.Load())
			case http.StateActive:
				c.idleSince.Store(0)
			}
		},
	}
	go func() { _ = h.srv.Serve(h.ln) }()
}

// connKey is where a request's context has the *conn.
type connKey struct{}

func connOf(nc net.Conn) *conn { return nc.(*tls.Conn).NetConn().(*wire).c }

// serve takes over a connection whose handshake is done.
func (h *http2Server) serve(conn *tls.Conn) {
	h.once.Do(h.start)
	select {
	case h.ln.conns <- conn:
	case <-h.ln.closed:
		_ = conn.Close()
	}
}

// drain tells clients to open no more streams, and lets those there are end.
func (h *http2Server) drain(ctx context.Context) {
	h.once.Do(h.start)
	go func() { _ = h.srv.Shutdown(ctx) }()
}

// ServeHTTP implements http.Handler.
func (h *http2Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				h.s.logPanic(r.Method+" "+r.RequestURI, p)
			}
			panic(http.ErrAbortHandler) // resets the stream
		}
	}()
	c := r.Context().Value(connKey{}).(*conn)
	q := requestOf(r)
	q.http2 = true
	h.core.logged(w, r, q, c, h.serveRequest)
}

func (h *http2Server) serveRequest(w http.ResponseWriter, r *http.Request, q *request, c *conn) {
	if c.isCut() { // it was closed for others while the request came
		panic(http.ErrAbortHandler)
	}
	if status := h.check(q, r); status != 0 {
		h.core.refuse(w, r, q, c, status)
		return
	}
	control := http.NewResponseController(w)
	timed := &timedWriter{ResponseWriter: w, control: control, timeout: h.s.WriteTimeout}
	defer timed.end()
	if r.Body != http.NoBody {
		r.Body = &timedBody{ReadCloser: r.Body, control: control, s: h.s}
	}
	if n := c.streams.Add(1); h.s.MaxConnectionRequests > 0 && n >= int64(h.s.MaxConnectionRequests) {
		w.Header().Set("Connection", "close") // net/http ends the connection once its streams have ended
	}
	h.core.serve(timed, r, q, c)
}

// check finds what net/http lets pass and HTTP/1 would be refused for: RFC 9113 section 8.3.1.
func (h *http2Server) check(q *request, r *http.Request) (status int) {
	limits := &h.s.head
	fields, size := 0, 0
	for name, values := range r.Header {
		fields += len(values)
		for _, v := range values {
			if n := len(name) + len(": ") + len(v); n > limits.fieldBytes {
				return 431
			} else {
				size += n + len("\r\n")
			}
		}
	}
	hosts, lengths := r.Header["Host"], r.Header["Content-Length"]
	switch {
	case fields > limits.fields, size > limits.headerBytes:
		return 431
	case len(r.Method)+len(r.RequestURI)+len("  HTTP/1.1") > limits.line:
		return 414
	case r.Host == "", len(hosts) > 1, len(hosts) == 1 && hosts[0] != r.Host:
		return 400
	case len(lengths) > 1, len(lengths) == 1 && lengths[0] != strconv.FormatInt(r.ContentLength, 10):
		return 400
	case r.Method != http.MethodConnect && q.raw[0] != '/' && !(r.Method == http.MethodOptions && r.RequestURI == "*"):
		return 400 // net/http takes a whole URL for a path, too
	}
	return 0
}

// connQueue is a listener of connections that were accepted already.
type connQueue struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr implements net.Listener.
func (q *connQueue) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "@"} }
