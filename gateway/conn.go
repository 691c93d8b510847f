package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
)

// ending is how a response ends for its connection.
type ending uint8

const (
	endKeep     ending = iota // the next request may come
	endClose                  // the client is told that nothing more comes
	endCut                    // closed at once
	endReset                  // closed at once, by a reset where there is one
	endByReader               // the connection's goroutine answers itself
)

func endOf(keep bool) ending {
	if keep {
		return endKeep
	}
	return endClose
}

// conn is one connection. The poller's loop (polled.go) or a goroutine of its own (serve) reads, parses and submits, and reads on while the
// app works; see the package's documentation.
type conn struct {
	rawConn
	s     *Server
	ends  endpoints
	stays bool // it can't go on in another process

	mounts   []Mount              // of its listener, or the server's
	tlsState *tls.ConnectionState // nil for plain connections
	streams  atomic.Int64         // requests so far, where it speaks HTTP/2

	arrival arrival // of the request that is being read; its reader's

	fixed []byte // the environ pairs that all requests of the connection share

	// When the goroutine's wait is over, in the clock of sweep.go. 0: it may wait for ever; expired: it waited too long.
	deadline atomic.Int64

	idleSince atomic.Int64 // when the wait for a request began, in that clock; 0: a request is in hand
	pace      pace         // of the request's body
	taking    taking       // of the responses
	tcp       bool         // else a unix socket

	countedFor netip.Addr // as whose connection; guarded by Server.mu
	served     int        // requests that it brought; its reader's, as what follows
	longHead   bool       // it is among Server.longHeads

	bodyLeft  atomic.Int64                       // bytes of the request's body that did not come yet; at least 1 where that is not known
	streaming bool                               // the goroutine gives the body to the app as it comes
	handling  atomic.Pointer[context.CancelFunc] // of the Go handler that answers
	k         *call                              // of the request in hand; its reader's, to be compared with call.c under call.mu
	submitted bool                               // k was submitted by the loop, and its response may be owed; its reader's

	mu         sync.Mutex // guards what follows
	cond       sync.Cond  // something of it changed
	owner      owner
	busy       bool   // a response is owed
	how        ending // of the last response
	wakeReader bool   // the reader wants to be woken when the response is over
	wantsBody  bool   // the app waits for more of its body
	cut        bool   // the connection is being cut
	closed     bool
	// The client may wait for 100 Continue before it sends its body.
	awaitsContinue bool
}

// serve is the connection's goroutine, while there is more to do than the poller's loop does.
func (c *conn) serve() {
	defer func() {
		if r := recover(); r != nil {
			c.s.logPanic("connection from "+c.client(), r)
			c.panicked()
			c.finish()
		}
	}()
	for c.serveOne() {
		if c.rest() {
			return
		}
	}
	c.finish()
}

// rest gives an idle connection back to the poller.
func (c *conn) rest() bool {
	c.ready.And(^uint32(woken)) // first: what it was for is seen below
	if (!c.exact || c.tls != nil) && c.r == c.w && c.ready.Load()&readable != 0 {
		_, _ = c.read() // it may say that there is nothing, or an error that comes again
	}
	if c.r < c.w || c.deadline.Load() == expired || c.s.draining.Load() {
		return false
	}
	c.dropEmpty()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready.Load()&(readable|hungUp|woken) != 0 || c.busy {
		return false
	}
	c.owner = byNobody
	return true
}

// finish ends the connection for good. It waits for a response that is owed, having told the app that the client is gone.
func (c *conn) finish() {
	if !c.isOver() {
		c.abandon(c.k)
	} else if c.how == endKeep { // nothing was cut
		c.endTLS()
	}
	c.in.put()
	c.in, c.r, c.w = nil, 0, 0
	c.s.forget(c)
}

// abandon tells the app that the client is gone, and waits until no response is owed.
func (c *conn) abandon(k *call) {
	k.clientGone(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.busy {
		c.cond.Wait()
	}
}

// panicked answers 500 where no response has begun.
func (c *conn) panicked() {
	defer func() { _ = recover() }() // the host itself may be what panics
	b := appendPlain(nil, 500, false, false, false)
	if !c.isOver() {
		if b = nil; c.k != nil {
			b = c.k.takeOver(c, errPanic, 500)
		}
	}
	if b != nil {
		c.answerOwn(b, 500, nil, nil)
		c.linger()
	}
}

var errPanic = errors.New("gateway: panic")

// serveOne serves one request. False: the connection has ended.
func (c *conn) serveOne() bool {
	if c.submitted {
		c.submitted = false
		return c.await(c.k) && c.next(&bodyDecoder{done: true})
	}
	defer c.releaseLongHead()
	n, ok := c.readHead()
	if !ok {
		return false
	}
	q := requestPool.Get().(*request)
	defer requestPool.Put(q)
	head := c.in.b[c.r : c.r+n]
	c.r += n
	if status := q.parse(head); status != 0 {
		return c.refuseHead(status, q, head)
	}
	if status := c.s.HeaderPolicy.check(q); status != 0 {
		return c.refuse(status, q)
	}
	return c.serveRequest(q)
}

var requestPool = sync.Pool{New: func() any { return new(request) }}

// readHead waits for a whole header section, which is then at the front of the read buffer.
func (c *conn) readHead() (n int, ok bool) {
	scan := headScanner{limits: &c.s.head}
	armed := false
	for {
		if c.r < c.w {
			c.arrived(nil)
			n, status := scan.scan(c.in.b[c.r:c.w])
			if status != 0 {
				return 0, c.refuseHead(status, nil, c.in.b[c.r:c.w])
			}
			if n > 0 {
				c.requestCame()
				return n, true
			}
			if !armed && c.deadline.Load() != expired {
				c.awaitRequest(c.s.HeaderTimeout)
				armed = true
			}
		}
		idle := c.r == c.w
		if idle && c.s.draining.Load() {
			switch _, err := c.read(); {
			case err == nil:
				continue
			case err != syscall.EAGAIN, c.s.closing.Load(), c.handOver():
				return 0, false
			}
		}
		if c.deadline.Load() == expired {
			return 0, !idle && c.refuseHead(408, nil, c.in.b[c.r:c.w])
		}
		if c.w-c.r >= longHead && !c.holdLongHead() {
			return 0, c.refuseHead(503, nil, c.in.b[c.r:c.w])
		}
		if _, err := c.fill(); err != nil && err != errWoken {
			if !idle {
				c.logOwn(nil, c.in.b[c.r:c.w], 0, c.whyCut(), 0, 0)
			}
			return 0, false
		}
	}
}

// serveRequest takes a request that was parsed to its end.
func (c *conn) serveRequest(q *request) bool {
	s := c.s
	if s.MaxBodySize > 0 && q.contentLength > s.MaxBodySize {
		return c.refuse(413, q)
	}
	q.keepAlive = q.keepAlive && !c.isLastRequest()
	c.served++
	k := newCall(c, q)
	k.path = unescape(k.path, q.target.path)
	mount := findMount(c.mounts, k.path)
	if mount == nil {
		k.recycle()
		return c.notFound(q)
	}
	if mount.Handler != nil {
		k.recycle()
		return c.serveHandler(q, mount.Handler)
	}
	c.k = k
	d := newBodyDecoder(q)
	streaming, ok := c.submit(k, q, &d, mount)
	if !ok {
		return false
	}
	var err error
	if streaming {
		err = c.streamBody(k, &d)
	}
	status := statusOf(err)
	if status != 0 {
		if b := k.takeOver(c, err, status); b != nil {
			c.answer(b)
			c.linger()
			return false
		}
	}
	if !c.await(k) {
		return false
	}
	if status != 0 {
		c.linger()
		return false
	}
	return c.next(&d)
}

// submit gives the request to the app: with its whole body, or as a stream. Not ok: the request was refused, or the client left.
func (c *conn) submit(k *call, q *request, d *bodyDecoder, mount *Mount) (streaming, ok bool) {
	s := c.s
	here := c.w - c.r
	if q.expect && !s.StreamInput && (d.chunked || d.left > int64(here)) {
		if k.expects = s.expecting.begin(); !k.expects && here == 0 && !c.answer(continueLine) {
			k.recycle()
			c.logOwn(q, nil, 0, c.whyCut(), 0, 0)
			return false, false
		}
	}
	switch {
	case d.done:
	case !d.chunked && d.left <= int64(here):
		k.req.ContentLength = d.left
		k.req.Body, _, _ = d.decode(c.in.b[c.r:c.w])
		c.r += len(k.req.Body)
	case s.StreamInput || k.expects:
		k.req.ContentLength = q.contentLength
		k.req.Stream = true
		k.continueOwed = q.expect && here == 0
	case !d.chunked && d.left <= maxBodyMemory && s.bodies.holdMemory(&k.held, d.left):
		k.req.ContentLength = d.left
		body, err := c.readBodyInto(k, d)
		if err != nil {
			return false, c.refuseBody(k, q, err)
		}
		k.req.Body = body
	default:
		head := c.detachHead(d)
		defer head.put()
		sp := spool{dir: s.SpoolDir, limit: s.MaxBodySize, store: &s.bodies}
		defer sp.release()
		if err := c.collectBody(&sp, d); err != nil {
			if sp.err != nil {
				s.log().Error(sp.err.Error(), "request", k.name())
			}
			if err == errSpoolFull {
				s.bodies.refused.add(c.client())
			}
			return false, c.refuseBody(k, q, err)
		}
		k.req.ContentLength, k.req.Body = sp.size, sp.body()
		k.held, sp.held = sp.held, bodyHeld{}
		if sp.file != nil {
			k.req.BodyFile = int(sp.file.Fd())
			k.file, sp.file = sp.file, nil
		}
	}
	streaming = k.req.Stream
	left := d.left
	if !d.done {
		left = max(left, 1)
	}
	c.bodyLeft.Store(left)
	if err := c.give(k, q, mount, streaming); err != nil {
		if err == errBeingCut {
			k.recycle()
			c.logOwn(q, nil, 0, accesslog.Cut, 0, 0)
			return false, false
		}
		s.log().Error("gateway: a request could not be given to the app", "request", k.name(), "error", err)
		k.recycle()
		return false, c.refuse(503, q)
	}
	return streaming, true
}

// refuseBody ends a request whose body could not be read before it was submitted. It returns false.
func (c *conn) refuseBody(k *call, q *request, err error) bool {
	k.recycle()
	status := statusOf(err)
	if status == 0 {
		c.logOwn(q, nil, 0, c.whyCut(), 0, 0)
		return false
	}
	return c.refuse(status, q)
}

// give submits the call, whose body is set. Once it did, the call may end at any time, and be used for another request; all that it needs of
// q was copied.
func (c *conn) give(k *call, q *request, mount *Mount, wake bool) error {
	k.req.App = mount.App
	k.req.Timeout, k.req.QueueTimeout, k.req.Backlog = mount.timeout(c.s.RequestTimeout), max(c.s.QueueTimeout, 0), max(c.s.Backlog, 0)
	k.rec = appendEnviron(k.rec, q, k.path, mount, c.fixed, &c.ends, k.req.ContentLength)
	if c.s.ids != nil {
		k.rec, k.id = c.s.ids.appendTo(k.rec, q, &c.ends)
	}
	k.req.Environ = k.rec
	if c.arrival.at != 0 {
		c.beginLog(k)
	}
	c.mu.Lock()
	if c.cut {
		c.mu.Unlock()
		c.arrival.at = k.log.began // whoever answers logs it
		return errBeingCut
	}
	c.busy, c.how, c.wantsBody = true, endKeep, false
	c.wakeReader, c.awaitsContinue = wake, k.continueOwed
	c.mu.Unlock()
	err := k.submit()
	if err != nil {
		c.mu.Lock()
		c.busy = false
		c.mu.Unlock()
		c.arrival.at = k.log.began
	}
	return err
}

var errBeingCut = errors.New("gateway: the connection is being cut")

// await waits for the end of the response. Meanwhile it reads: the client's end or reset shows that it is gone, and pipelined requests are
// taken in, up to a limit. False: the connection has ended.
func (c *conn) await(k *call) bool {
	for {
		c.mu.Lock()
		if c.w-c.r >= maxReadAhead {
			for c.busy && !c.cut {
				c.cond.Wait()
			}
		}
		busy, cut := c.busy, c.cut
		c.wakeReader = c.r < c.w || c.tls != nil // the first request over TLS has a goroutine, and leaves it
		c.mu.Unlock()
		if !busy {
			return c.afterResponse()
		}
		if !cut {
			if _, err := c.fill(); err == nil || err == errWoken {
				continue
			}
		}
		c.abandon(k)
		return c.afterResponse()
	}
}

// maxReadAhead is how many bytes of pipelined requests are read while a response is owed.
const maxReadAhead = 16 << 10

// afterResponse goes on as the response ended. True: with the next request.
func (c *conn) afterResponse() bool {
	c.mu.Lock()
	how := c.how
	c.mu.Unlock()
	if how == endClose && c.deadline.Load() != expired { // await may have lingered already
		c.linger()
	}
	return how == endKeep
}

// next makes the connection ready for its next request: the rest of the body that the app did not read is dropped, never parsed.
func (c *conn) next(d *bodyDecoder) bool {
	if !d.done && !c.drainBody(d) {
		c.linger()
		return false
	}
	if c.deadline.Load() == 0 { // the end of the body may have cleared what responseOver set
		c.awaitRequest(c.s.IdleTimeout)
	}
	return true
}

// responseOver ends the response that is owed. Any goroutine; k.mu of the call is held.
func (c *conn) responseOver(how ending) {
	c.mu.Lock()
	c.how = how
	c.busy = false
	wake := c.wakeReader || how == endKeep && c.s.draining.Load() // nobody else would look at the idle connection
	switch how {
	case endKeep:
		c.awaitRequest(c.s.IdleTimeout)
	case endClose:
		c.awaitRequest(lingerTimeout)
	}
	c.cond.Broadcast()
	c.mu.Unlock()
	switch how {
	case endClose:
		c.closeWrite()
	case endCut:
		c.shutdown()
		wake = true
	case endReset:
		c.reset()
		wake = true
	}
	if wake {
		c.wake()
	}
}

// mayKeepAlive says whether the connection can go on after the response that begins now: not where more of the body is still to come
// than we would drain, nor where the client was never told to send it.
func (c *conn) mayKeepAlive(k *call) bool {
	left := c.bodyLeft.Load()
	return !c.s.draining.Load() && left <= maxDrain && (left == 0 || !k.continueOwed)
}

// refuse answers instead of the app and ends the connection. It returns false.
func (c *conn) refuse(status int, q *request) bool {
	c.answerOwn(appendPlainOf(nil, status, c.s.ids.of(q, &c.ends), q.head, false, false), status, q, nil)
	c.linger()
	return false
}

// refuseHead is refuse for a request that could not be parsed. head is what came of it, q what could be read, if anything.
func (c *conn) refuseHead(status int, q *request, head []byte) bool {
	c.answerOwn(appendPlain(nil, status, q != nil && q.head, false, false), status, nil, head)
	c.linger()
	return false
}

// answerOwn writes a response of the server's own, and logs the request; see logOwn.
func (c *conn) answerOwn(b []byte, status int, q *request, line []byte) bool {
	before := c.sent
	ok := c.answer(b)
	c.logOwn(q, line, status, accesslog.Refused, c.sent-before, int64(headLength(b)))
	return ok
}

// notFound answers where no mount has the path.
func (c *conn) notFound(q *request) bool {
	d := newBodyDecoder(q)
	n, err := d.skip(c.in.b[c.r:c.w])
	c.r += n
	keep := q.keepAlive && d.done && err == nil && !c.s.draining.Load()
	ok := c.answerOwn(appendPlainOf(nil, 404, c.s.ids.of(q, &c.ends), q.head, q.http10, keep), 404, q, nil)
	if !keep {
		c.linger()
	}
	c.awaitRequest(c.s.IdleTimeout)
	return ok && keep
}

// answer writes a response of the server's own.
func (c *conn) answer(b []byte) bool {
	c.startWriteTimer()
	err := c.writeAll(b)
	c.stopWriteTimer()
	return err == nil
}

// linger tells the client that nothing more comes and drops what it still sends for a while: closing at once would make the kernel
// reset the connection, and the client might lose the response (RFC 9112 section 9.6).
func (c *conn) linger() {
	c.closeWrite()
	c.awaitRequest(lingerTimeout)
	for {
		c.r, c.w = 0, 0
		_, err := c.fill()
		if err != nil && err != errWoken || c.deadline.Load() == expired {
			return
		}
		if c.isCut() {
			return
		}
	}
}

// isCut says whether the connection is being cut. Any goroutine.
func (c *conn) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// cutNow ends the connection from outside, whatever it does.
func (c *conn) cutNow() {
	c.mu.Lock()
	c.cut = true
	c.cond.Broadcast()
	c.mu.Unlock()
	c.shutdown()
	c.wake()
}

// wake makes a fill that waits, or the next one, return errWoken; a connection at rest gets a goroutine. Any goroutine.
func (c *conn) wake() {
	c.becomes(woken)
	c.mu.Lock()
	start := c.owner == byNobody && !c.closed
	if start {
		c.owner = byGoroutine
	}
	c.mu.Unlock()
	if start {
		go c.serve()
	}
}

// onSocket calls f with the descriptor where it is still open, and keeps it open meanwhile.
func (c *conn) onSocket(f func(fd int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		f(c.sock)
	}
}

// closeWrite tells the client that nothing more comes; what it still sends can be read.
func (c *conn) closeWrite() {
	c.onSocket(func(fd int) {
		c.endTLS()
		_ = syscall.Shutdown(fd, syscall.SHUT_WR)
	})
}

// reset makes the close that follows a reset, so that the client can tell a cut response from one that ended (TCP only).
func (c *conn) reset() {
	c.onSocket(func(fd int) {
		_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	})
}

// shutdown ends both directions at once, also where a process that was forked holds a copy of the descriptor.
func (c *conn) shutdown() {
	c.onSocket(func(fd int) { _ = syscall.Shutdown(fd, syscall.SHUT_RDWR) })
	c.becomes(readable | writable | hungUp) // the poller says so too, unless the server has ended
	if cancel := c.handling.Load(); cancel != nil {
		(*cancel)()
	}
}

// client is the client's address for the log.
func (c *conn) client() string { return net.JoinHostPort(c.ends.remoteAddr, c.ends.remotePort) }

// logPanic logs a panic of ours with its stack.
func (s *Server) logPanic(where string, r any) {
	s.log().Error("gateway: panic", "in", where, "panic", r, "stack", string(debug.Stack()))
}
