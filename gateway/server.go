package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/gateway/static"
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
	// processes that share the listener may take the connection. Shutdown waits for it.
	AcceptGate func()

	// MaxRequestLine is the longest request line in bytes, without its end; a longer one is answered 414. 0 or less: 16 KiB.
	MaxRequestLine int
	// MaxHeaderFields is how many field lines a request may have, MaxHeaderFieldSize how long one may be in bytes, without its end, and
	// MaxHeaderSize how long all may be, with their ends; else it is answered 431. 0 or less: 256, 64 KiB, 64 KiB.
	MaxHeaderFields, MaxHeaderFieldSize, MaxHeaderSize int
	// MinBodyRate is how many bytes a second a body must bring, on the average of each BodyTimeout that it takes; else 408. 0: 240. Negative,
	// or without a BodyTimeout: any rate will do. The time in which the app does not read a body that it gets as a stream does not count.
	MinBodyRate int64
	// MinWriteRate is how many bytes a second a client must take of a response that is ready for it, on the average of each WriteTimeout; else
	// the connection is cut. 0: 240. Negative, or without a WriteTimeout: any rate will do.
	MinWriteRate int64
	// MaxConnectionRequests is how many requests one connection may bring; the last one's response closes it. 0 or less: any number.
	MaxConnectionRequests int
	// MaxConnections is how many connections there may be at a time. For one more, some are closed that have no request in hand, those first
	// that have been so for the longest time; where all have one, no connection is accepted. 0: 16384. Negative: as many as there may be. It is at
	// most three quarters of the soft RLIMIT_NOFILE: the app and long bodies need descriptors too.
	MaxConnections int
	// MaxClientConnections is how many connections one client may have at a time, by its IPv4 address or its IPv6 /64; one more is closed at
	// once. Those of trusted proxies and on unix sockets are not counted. 0 or less: any number.
	MaxClientConnections int
	// MaxSpool is how many bytes of bodies may wait in files, in as many files as an eighth of the soft RLIMIT_NOFILE; a body that
	// needs more is answered 503. 0: 4 GiB. Negative: no limit on the bytes.
	MaxSpool int64

	// MaxBodySize is the longest request body in bytes; a longer one is answered 413. 0: 1 GiB. Negative: no limit.
	MaxBodySize int64
	// StreamInput gives a request to the app before its body is whole; else bodies are read ahead, over 1 MiB into a file, but for those with
	// Expect: 100-continue.
	StreamInput bool
	// SpoolDir is where long bodies are kept, in files without a name. "": os.TempDir.
	SpoolDir string

	// TrustedProxies are the peers whose word on the client and on the URL is taken: who it is (REMOTE_ADDR), by which scheme and host it came,
	// and what they cut off the path (SCRIPT_NAME). None: nobody's. From others such header fields never reach the app.
	TrustedProxies []TrustedProxy
	// ForwardedHeaders are the fields that they say it in. 0: XForwarded.
	ForwardedHeaders ForwardedHeaders
	// HeaderPolicy is what is done with header fields whose names have underscores. 0: DropUnderscores.
	HeaderPolicy HeaderPolicy

	// AccessLog is told of every request that ends, and is not closed by the server. nil: there is no access log.
	AccessLog *accesslog.Log
	// RequestIDs gives each request an id: X-Request-ID of a trusted proxy, else a new one of 32 hexadecimal digits. The app has it as
	// environ["HTTP_X_REQUEST_ID"], the client as X-Request-ID, unless the app set that itself, and the logs show it. An AccessLog that shows ids
	// asks for them as well. Without it X-Request-ID is a header as any other.
	RequestIDs bool

	// Compress compresses the bodies of the apps' responses by zstd, Brotli or gzip, as the client's Accept-Encoding asks, where their type is
	// one that shrinks by it (text, JSON, XML, JavaScript, WebAssembly, not text/event-stream), they are not known to be shorter than 860 bytes,
	// and the app has set no Content-Encoding, Content-Range or digest and no Cache-Control: no-transform. Such a response varies by
	// Accept-Encoding, its ETag becomes weak, and each chunk goes out when the app gives it. Compression takes no Python thread. What is longer
	// than 1 MiB or not known at once takes 1 to 2 MiB of memory until it is sent; over 64 such at a time go out as they are.
	//
	// Compression shows how much two parts of a page have in common. Over TLS this lets who can see the lengths of responses, and have
	// a victim's browser ask for URLs of his own making, guess a secret in a page that also repeats something of the request (BREACH).
	// Frameworks mask their CSRF tokens for that reason; for other secrets an app can set Cache-Control: no-transform.
	Compress bool

	// SendFile, where set, sends the file that an app's response with status 200 or 206 names in X-Sendfile or X-Accel-Redirect, in place of its body:
	// by sendfile, without a Python thread. Conditional and range requests are answered. The response's other fields stay, but for those about
	// the length of the app's own body. That body is dropped, and its iterable closed, as always. A file that is not there is answered 404, one
	// in none of the folders 500, and logged. A field for which the Sender has no folder passes to the client as any other.
	SendFile *static.Sender

	// HandOver is given each connection that is idle at Shutdown, before the server closes its descriptor: it may send a copy to another
	// process, whose server's Adopt goes on with it, and return true. What the client has sent meanwhile goes along. It must not wait long.
	HandOver func(fd int) bool

	once      sync.Once
	mounts    []Mount
	proxies   *proxies
	ids       *requestIDs // nil: requests have none
	tick      time.Duration
	clock     atomic.Int64  // Unix time in nanoseconds, up to a tick old
	calls     atomic.Int64  // exchanges that are not released, but for those whose thread is lost
	requests  atomic.Int64  // exchanges so far
	draining  atomic.Bool   // no new response promises that its connection is kept
	drain     chan struct{} // closed with that
	closing   atomic.Bool   // idle connections are closed
	stop      chan struct{} // closed when the server has shut down
	h2        *http2Server
	expecting expecting // requests whose body the app waits for
	poll      *poller
	pollErr   error // why there is none
	head      headLimits
	maxConns  int
	left      chan struct{} // after a connection left; holds one
	bodies    bodyStore

	longHeads     atomic.Int64 // connections whose request has a header of longHead bytes or more
	refused       tally        // connections over MaxClientConnections
	unproxied     tally        // connections without a PROXY header that can be used
	uncertified   tally        // clients without a certificate that will do
	certsReported time.Time    // when the log told of these; the sweeper's
	evicted, full atomic.Int64
	reporting     atomic.Bool // a line about them is being logged

	mu        sync.Mutex // guards what follows
	conns     map[*conn]struct{}
	ofClient  map[netip.Addr]int // connections of each client, where they are limited
	listeners map[net.Listener]*listener
	accepting int // calls of Serve that may still take a connection
	stopped   bool
}

func (s *Server) init() {
	s.once.Do(func() {
		s.initLimits()
		s.mounts = sortMounts(s.Mounts)
		s.proxies = newProxies(s.TrustedProxies, s.ForwardedHeaders)
		s.ids = requestIDsFor(s.RequestIDs, s.AccessLog)
		s.h2 = &http2Server{s: s}
		s.conns = make(map[*conn]struct{})
		s.listeners = make(map[net.Listener]*listener)
		s.drain, s.stop = make(chan struct{}), make(chan struct{})
		s.tick = tickFor(s.HeaderTimeout, s.IdleTimeout, s.BodyTimeout, s.WriteTimeout)
		s.clock.Store(time.Now().UnixNano())
		s.expecting.most = expectingMost(s.App)
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

// Serve accepts connections from ln, a *net.TCPListener, *net.UnixListener or *[Listener], until Shutdown, and returns nil then. It closes ln. Several
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
	s.listeners[l.ln] = l
	s.accepting++
	s.mu.Unlock()
	l.own(s, true)
	defer func() {
		s.closeListener(l.ln)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.accepting--
	}()
	delay := time.Duration(0)
	for {
		fd, remote, err := l.accept(s.gate)
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

// gate waits until a connection may be accepted from the listener. False: there is none.
func (s *Server) gate(lfd int) bool {
	if !s.awaitRoom(lfd) {
		return false
	}
	if s.AcceptGate != nil {
		s.AcceptGate()
	}
	return !s.draining.Load() // then the connection is left to others that serve the listener
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
	c := &conn{s: s, mounts: l.mounts, ends: endpointsOf(l.localAddr(fd), remote, "http"), stays: l.mounts != nil}
	if c.mounts == nil {
		c.mounts = s.mounts
	}
	s.trust(c, l.tcp)
	if !l.proxyProtocol && !s.countFor(c) {
		closeAtOnce(fd)
		return
	}
	if l.tls == nil && !l.proxyProtocol {
		s.watch(c, fd, l.tcp)
		return
	}
	c.owner, c.stays = byGoroutine, true
	if s.watch(c, fd, l.tcp) {
		go c.prelude(l)
	}
}

// trust notes what the other end of a connection is, and what is done with header fields.
func (s *Server) trust(c *conn, tcp bool) {
	c.ends.headerPolicy = s.HeaderPolicy
	c.ends.proxies = s.proxies.ofPeer(c.ends.remoteAddr, !tcp)
}

// watch takes a connection among the server's. False: it is closed.
func (s *Server) watch(c *conn, fd int, tcp bool) bool {
	c.cond.L = &c.mu
	c.init(fd, tcp, c.wrote)
	c.tcp = tcp
	c.ends.requestIDs = s.ids != nil
	c.fixed = c.ends.appendPairs(nil)
	c.awaitRequest(s.IdleTimeout)
	s.ownFD(fd, true)
	s.mu.Lock()
	err := errStopped
	if !s.stopped {
		if err = s.poll.add(c); err == nil {
			s.conns[c] = struct{}{}
		}
	}
	if err != nil {
		s.uncount(c)
	}
	s.mu.Unlock()
	if err != nil {
		if err != errStopped {
			s.log().Error("gateway: a connection can't be watched", "client", c.client(), "error", err)
		}
		s.ownFD(fd, false)
		_ = syscall.Close(fd)
		return false
	}
	if s.draining.Load() {
		c.wake()
	}
	return true
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
	s.uncount(c)
	signal(s.left)
	s.poll.remove(c)
	s.ownFD(c.sock, false)
	_ = syscall.Close(c.sock)
}

// Requests counts the requests that were given to an app so far. Any goroutine.
func (s *Server) Requests() int64 { return s.requests.Load() }

// Draining is closed when Shutdown begins. A Go handler whose response has no end of its own (Server-Sent Events) returns then, and its client
// sees a whole response. Any goroutine.
func (s *Server) Draining() <-chan struct{} {
	s.init()
	return s.drain
}

// idleLinger is how long Shutdown leaves an idle connection open that nobody takes over. A proxy, or a client that has a pool, may be sending a
// request on it just now, and could not tell whether it was run: it is answered, with Connection: close.
const idleLinger = 500 * time.Millisecond

// Shutdown closes the listeners and, half a second later, the connections that are idle still, lets requests in hand finish, and returns when
// all exchanges are released, but for those whose thread was lost after a deadline. When ctx ends first, the connections that are left are
// cut and their requests cancelled; Shutdown then returns ctx's error without waiting for the app.
func (s *Server) Shutdown(ctx context.Context) error {
	s.init()
	if s.draining.CompareAndSwap(false, true) {
		close(s.drain)
	}
	s.mu.Lock()
	var listeners []net.Listener
	for ln := range s.listeners {
		listeners = append(listeners, ln)
	}
	s.mu.Unlock()
	for _, ln := range listeners {
		s.closeListener(ln)
	}
	s.h2.drain(ctx)
	s.wakeAll()
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	lingered := time.After(idleLinger)
	for s.accepts() || !s.empty() {
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

// accepts says whether a call of Serve may still take a connection.
func (s *Server) accepts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepting > 0
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
