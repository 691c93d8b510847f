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

	// RequestTimeout is how long the app may take for a request, from its call on, unless its mount says otherwise. Then the request is
	// answered 504, or the connection is cut where the response had begun; see pyhost.Request.Timeout for the app's side. 0 or less: without
	// limit.
	RequestTimeout time.Duration
	// QueueTimeout is how long a request may wait for the app; then it is answered 503 and never run. 0 or less: without limit.
	QueueTimeout time.Duration
	// Backlog is how many requests may wait for the app; one more is answered 503 at once. 0 or less: any number.
	Backlog int
	// AcceptGate, where set, is called each time that a connection may be accepted, by the goroutine of the listener. While it waits, other
	// processes that share the listener may take the connection.
	AcceptGate func()

	// MaxBodySize is the longest request body in bytes; a longer one is answered 413. 0: 1 GiB. Negative: no limit.
	MaxBodySize int64
	// StreamInput gives a request to the app before its body is whole; else bodies are read ahead, over 1 MiB into a file, but for those with
	// Expect: 100-continue.
	StreamInput bool
	// SpoolDir is where long bodies are kept, in files without a name. "": os.TempDir.
	SpoolDir string

	// HandOver is given each connection that is idle at Shutdown, before the server closes its descriptor: it may send a copy to another
	// process, whose server's Adopt goes on with it, and return true. What the client has sent meanwhile goes along. It must not wait long.
	HandOver func(fd int) bool

	once     sync.Once
	mounts   []Mount
	tick     time.Duration
	clock    atomic.Int64  // Unix time in nanoseconds, up to a tick old
	calls    atomic.Int64  // exchanges that are not released, but for those whose thread is lost
	requests atomic.Int64  // exchanges so far
	draining atomic.Bool   // no new response promises that its connection is kept
	closing  atomic.Bool   // idle connections are closed
	stop     chan struct{} // closed when the server has shut down
	poll     *poller
	pollErr  error // why there is none

	mu        sync.Mutex // guards what follows
	conns     map[*conn]struct{}
	listeners map[net.Listener]*listener
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
		s.listeners = make(map[net.Listener]*listener)
		s.stop = make(chan struct{})
		s.tick = tickFor(s.HeaderTimeout, s.IdleTimeout, s.BodyTimeout, s.WriteTimeout)
		s.clock.Store(time.Now().UnixNano())
		if s.poll, s.pollErr = newPoller(s); s.pollErr == nil {
			go s.poll.run()
		}
		go s.sweep(s.stop)
	})
}

// Queued is how many requests wait for the app: 0 where App does not say (by Queued() int, as *pyhost.Host does). It is cheap.
func (s *Server) Queued() int {
	if q, ok := s.App.(interface{ Queued() int }); ok {
		return q.Queued()
	}
	return 0
}

// Connections is how many connections are open. It takes a lock for a moment.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) log() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}

// ownFD tells the app of a descriptor that is opened or about to be closed.
func (s *Server) ownFD(fd int, own bool) {
	if o, ok := s.App.(interface{ OwnFD(fd uintptr, own bool) }); ok {
		o.OwnFD(uintptr(fd), own)
	}
}

// Serve accepts connections from ln, a *net.TCPListener or *net.UnixListener, until Shutdown, and returns nil then. It closes ln. Several
// listeners may be served at once. Errors of accept (too many open files) are logged and tried again; only a listener that somebody else
// closed ends it.
func (s *Server) Serve(ln net.Listener) error {
	s.init()
	l, err := newListener(ln)
	if err == nil {
		err = s.pollErr
	}
	if err != nil {
		_ = ln.Close()
		return err
	}
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		l.close()
		return nil
	}
	s.listeners[ln] = l
	s.mu.Unlock()
	l.own(s, true)
	defer s.closeListener(ln)
	delay := time.Duration(0)
	for {
		fd, remote, err := l.accept(s.AcceptGate)
		if err == nil {
			delay = 0
			s.start(l, fd, remote)
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
	l := s.listeners[ln]
	delete(s.listeners, ln)
	s.mu.Unlock()
	if l != nil {
		l.own(s, false)
		l.close()
	}
}

// start begins to watch a connection.
func (s *Server) start(l *listener, fd int, remote net.Addr) {
	s.watch(&conn{s: s, ends: endpointsOf(l.localAddr(fd), remote, "http")}, fd, l.tcp)
}

func (s *Server) watch(c *conn, fd int, tcp bool) {
	c.cond.L = &c.mu
	c.init(fd, tcp, c.startWriteTimer)
	c.fixed = c.ends.appendPairs(nil)
	c.setDeadline(s.IdleTimeout)
	s.ownFD(fd, true)
	s.mu.Lock()
	err := errStopped
	if !s.stopped {
		if err = s.poll.add(c); err == nil {
			s.conns[c] = struct{}{}
		}
	}
	s.mu.Unlock()
	if err != nil {
		if err != errStopped {
			s.log().Error("gateway: a connection can't be watched", "client", c.client(), "error", err)
		}
		s.ownFD(fd, false)
		_ = syscall.Close(fd)
		return
	}
	if s.draining.Load() {
		c.wake()
	}
}

var errStopped = errors.New("gateway: the server has stopped")

// forget closes the connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	delete(s.conns, c)
	s.poll.remove(c)
	s.ownFD(c.sock, false)
	_ = syscall.Close(c.sock)
}

// Requests counts the requests that were given to an app so far. Any goroutine.
func (s *Server) Requests() int64 { return s.requests.Load() }

// idleLinger is how long Shutdown leaves an idle connection open that nobody takes over. A proxy, or a client that has a pool, may be sending a
// request on it just now, and could not tell whether it was run: it is answered, with Connection: close.
const idleLinger = 500 * time.Millisecond

// Shutdown closes the listeners and, half a second later, the connections that are idle still, lets requests in hand finish, and returns when
// all exchanges are released, but for those whose thread was lost after a deadline. When ctx ends first, the connections that are left are
// cut and their requests cancelled; Shutdown then returns ctx's error without waiting for the app.
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
	s.wakeAll()
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	lingered := time.After(idleLinger)
	for !s.empty() {
		select {
		case <-t.C:
		case <-lingered:
			s.closing.Store(true)
			s.wakeAll()
		case <-ctx.Done():
			s.cutAll()
			s.finish()
			return fmt.Errorf("gateway: shutdown: %w", ctx.Err())
		}
	}
	s.finish()
	return nil
}

func (s *Server) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.wake()
	}
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

// finish stops the sweeper and the poller.
func (s *Server) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	select {
	case <-s.stop:
	default:
		close(s.stop)
		if s.poll != nil {
			s.poll.close()
		}
	}
}
