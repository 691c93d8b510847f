package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server serves WSGI apps over HTTP/1.1 and 1.0 on TCP and unix sockets. Its fields are set before the first Serve and not changed
// afterwards. For all timeouts 0 is the default and a negative value none.
type Server struct {
	// App runs the requests. Where it also has OwnFD(fd uintptr, own bool), it is told of every listener and connection, so that
	// processes which the app forks can close them.
	App App
	// Mounts says which app has which paths. A path of no mount is answered 404.
	Mounts []Mount
	// Logger gets errors; slog.Default where it is nil.
	Logger *slog.Logger

	// HeaderTimeout is the time a client has for a whole header section, from its first byte; then 408. Default 30 s.
	HeaderTimeout time.Duration
	// IdleTimeout is the time a connection may wait for its first or next request; then it is closed. Default 75 s.
	IdleTimeout time.Duration
	// BodyTimeout is the time a client may send nothing of a body that is owed; then 408. Default 60 s.
	BodyTimeout time.Duration
	// WriteTimeout is the time a client may take nothing of a response; then the connection is cut. Default 60 s.
	WriteTimeout time.Duration

	// MaxBodySize is the longest request body in bytes; a longer one is answered 413. 0: 1 GiB. Negative: no limit.
	MaxBodySize int64
	// StreamInput gives a request to the app before its body is whole; else bodies are read ahead, over 1 MiB into a file, but for those with
	// Expect: 100-continue.
	StreamInput bool
	// SpoolDir is where long bodies are kept, in files without a name. "": os.TempDir.
	SpoolDir string

	once     sync.Once
	mounts   []Mount
	tick     time.Duration
	clock    atomic.Int64 // Unix time in nanoseconds, up to a tick old
	calls    atomic.Int64 // exchanges that are not released
	draining atomic.Bool
	stop     chan struct{} // closed when the server has shut down

	mu        sync.Mutex // guards what follows
	conns     map[*conn]struct{}
	listeners map[net.Listener]syscall.RawConn
	stopped   bool
}

const defaultMaxBodySize = 1 << 30

func (s *Server) init() {
	s.once.Do(func() {
		for d, def := range map[*time.Duration]time.Duration{
			&s.HeaderTimeout: 30 * time.Second,
			&s.IdleTimeout:   75 * time.Second,
			&s.BodyTimeout:   60 * time.Second,
			&s.WriteTimeout:  60 * time.Second,
		} {
			if *d == 0 {
				*d = def
			}
		}
		if s.MaxBodySize == 0 {
			s.MaxBodySize = defaultMaxBodySize
		}
		s.mounts = sortMounts(s.Mounts)
		s.conns = make(map[*conn]struct{})
		s.listeners = make(map[net.Listener]syscall.RawConn)
		s.stop = make(chan struct{})
		s.tick = tickFor(s.HeaderTimeout, s.IdleTimeout, s.BodyTimeout, s.WriteTimeout)
		s.clock.Store(time.Now().UnixNano())
		go s.sweep(s.stop)
	})
}

func (s *Server) log() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}

// ownFD tells the app of a descriptor that is opened or about to be closed.
func (s *Server) ownFD(raw syscall.RawConn, own bool) {
	if o, ok := s.App.(interface{ OwnFD(fd uintptr, own bool) }); ok && raw != nil {
		_ = raw.Control(func(fd uintptr) { o.OwnFD(fd, own) })
	}
}

// Serve accepts connections from ln, a TCP or unix listener, until Shutdown, and returns nil then. It closes ln. Several listeners may be
// served at once. Errors of accept (too many open files) are logged and tried again; only a listener that somebody else closed ends it.
func (s *Server) Serve(ln net.Listener) error {
	s.init()
	l, ok := ln.(syscall.Conn)
	if !ok {
		_ = ln.Close()
		return fmt.Errorf("gateway: a listener of type %T has no socket of its own: use a TCP or unix one", ln)
	}
	raw, err := l.SyscallConn()
	if err != nil {
		_ = ln.Close()
		return fmt.Errorf("gateway: listener %v: %w", ln.Addr(), err)
	}
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		_ = ln.Close()
		return nil
	}
	s.listeners[ln] = raw
	s.mu.Unlock()
	s.ownFD(raw, true)
	defer s.closeListener(ln)
	delay := time.Duration(0)
	for {
		nc, err := ln.Accept()
		if err == nil {
			delay = 0
			s.start(nc)
			continue
		}
		if s.draining.Load() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("gateway: accept: %w", err)
		}
		if delay = min(max(2*delay, 5*time.Millisecond), time.Second); delay == 5*time.Millisecond {
			s.log().Error("gateway: accept failed; trying again", "listener", ln.Addr().String(), "error", err)
		}
		select {
		case <-time.After(delay):
		case <-s.stop:
		}
	}
}

func (s *Server) closeListener(ln net.Listener) {
	s.mu.Lock()
	raw, ok := s.listeners[ln]
	delete(s.listeners, ln)
	s.mu.Unlock()
	if ok {
		s.ownFD(raw, false)
		_ = ln.Close()
	}
}

// start starts the goroutine of a connection.
func (s *Server) start(nc net.Conn) {
	c := &conn{s: s, ends: endpointsOf(nc.LocalAddr(), nc.RemoteAddr(), "http")}
	c.cond.L = &c.mu
	sc, ok := nc.(streamConn)
	if !ok {
		s.log().Error("gateway: a connection that is no socket was closed", "type", fmt.Sprintf("%T", nc))
		_ = nc.Close()
		return
	}
	if err := c.init(sc, c.startWriteTimer); err != nil {
		s.log().Error(err.Error())
		_ = nc.Close()
		return
	}
	c.fixed = c.ends.appendPairs(nil)
	c.setDeadline(s.IdleTimeout)
	s.mu.Lock()
	stopped := s.stopped
	if !stopped {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if stopped {
		_ = nc.Close()
		return
	}
	s.ownFD(c.raw, true)
	go c.serve()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// Shutdown closes the listeners and the idle connections, lets requests in hand finish, and returns when all exchanges are released. When
// ctx ends first, the connections that are left are cut and their requests cancelled; Shutdown then returns ctx's error without waiting for
// the app.
func (s *Server) Shutdown(ctx context.Context) error {
	s.init()
	s.draining.Store(true)
	s.mu.Lock()
	var listeners []net.Listener
	for ln := range s.listeners {
		listeners = append(listeners, ln)
	}
	s.mu.Unlock()
	for _, ln := range listeners {
		s.closeListener(ln)
	}
	s.mu.Lock()
	for c := range s.conns {
		c.wake()
	}
	s.mu.Unlock()
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for !s.empty() {
		select {
		case <-t.C:
		case <-ctx.Done():
			s.cutAll()
			s.finish()
			return fmt.Errorf("gateway: shutdown: %w", ctx.Err())
		}
	}
	s.finish()
	return nil
}

func (s *Server) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) == 0 && s.calls.Load() == 0
}

func (s *Server) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for c := range s.conns {
		c.cutNow()
	}
}

// finish stops the sweeper.
func (s *Server) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
}
