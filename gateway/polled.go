package gateway

import "syscall"

// owner says who reads a connection. Guarded by conn.mu.
type owner uint8

const (
	byNobody    owner = iota // nothing is to be done until the poller hears of it
	byLoop                   // the poller's loop, for a moment
	byGoroutine              // conn.serve
)

// polled takes what the poller heard of the connection. On the poller's loop.
func (c *conn) polled(p *poller, events uint32) {
	var bits uint32
	if events&(syscall.EPOLLIN|syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		bits |= readable
	}
	if events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		bits |= hungUp
	}
	if events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		bits |= writable
	}
	c.becomes(bits)
	c.cancelHandler()
	if bits&readable == 0 {
		return
	}
	c.mu.Lock()
	if c.owner != byNobody {
		c.mu.Unlock()
		return
	}
	c.owner = byLoop
	c.mu.Unlock()
	switch c.protectedLoop(p) {
	case loopDone:
		c.letGo()
	case loopHandOver:
		c.mu.Lock()
		c.owner = byGoroutine
		c.mu.Unlock()
		go c.serve()
	case loopEnd:
		c.finish()
	case loopPanicked:
		c.mu.Lock()
		c.owner = byGoroutine
		c.mu.Unlock()
		go func() {
			c.panicked()
			c.finish()
		}()
	}
}

// letGo gives the connection back to the poller, or to a goroutine where it was woken meanwhile.
func (c *conn) letGo() {
	c.mu.Lock()
	work := c.ready.Load()&woken != 0
	c.owner = byNobody
	if work {
		c.owner = byGoroutine
	}
	c.mu.Unlock()
	if work {
		go c.serve()
	}
}

// loopResult is what is to be done with a connection after the loop had it.
type loopResult uint8

const (
	loopDone     loopResult = iota
	loopHandOver            // a goroutine goes on
	loopEnd                 // the connection has ended
	loopPanicked
)

// protectedLoop is loop; a panic in it costs the connection, not the process.
func (c *conn) protectedLoop(p *poller) (r loopResult) {
	defer func() {
		if x := recover(); x != nil {
			c.s.logPanic("connection from "+c.client(), x)
			r = loopPanicked
		}
	}()
	return c.loop(p)
}

// loop reads once and serves the request that came, if it is a simple one. It never waits.
func (c *conn) loop(p *poller) loopResult {
	if c.in == nil {
		c.in, p.in = p.in, nil
	}
	_, err := c.read()
	for err == nil && c.ready.Load()&readable != 0 && c.w < len(c.in.b) {
		if _, e := c.read(); e != nil {
			break
		}
	}
	r := loopHandOver
	switch {
	case err == syscall.EAGAIN:
		if c.ready.Load()&readable == 0 {
			r = loopDone
		}
	case err != nil:
		if c.isOver() {
			r = loopEnd
		}
	case c.loopMayParse():
		r = c.loopServe(p)
	case c.ready.Load()&(readable|hungUp) == 0:
		r = loopDone // the response is owed; its end wakes the connection
	}
	if c.r == c.w && p.in == nil {
		c.in, p.in, c.r, c.w = nil, c.in, 0, 0
	}
	c.dropEmpty()
	if p.in == nil {
		p.in = getBuffer(loopBuffer)
	}
	return r
}

// loopMayParse says whether what was read is a new request, and asks to be woken for it where a response is still owed.
func (c *conn) loopMayParse() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeReader = c.busy
	return !c.busy
}

// loopServe gives a simple request to the app. What it does not take is left in the buffer for a goroutine, which looks at it anew.
func (c *conn) loopServe(p *poller) loopResult {
	s, q := c.s, &p.q
	c.arrived(p)
	scan := headScanner{limits: &s.head}
	n, status := scan.scan(c.in.b[c.r:c.w])
	if status != 0 || n == 0 || s.draining.Load() || c.how != endKeep || c.ready.Load()&woken != 0 {
		return loopHandOver
	}
	body := c.in.b[c.r+n : c.w]
	if q.parse(c.in.b[c.r:c.r+n]) != 0 || s.HeaderPolicy.check(q) != 0 || q.chunked || q.expect || q.contentLength > int64(len(body)) ||
		s.MaxBodySize > 0 && q.contentLength > s.MaxBodySize {
		return loopHandOver
	}
	body = body[:max(q.contentLength, 0)]
	q.keepAlive = q.keepAlive && !c.isLastRequest()
	k := newCall(c, q)
	k.path = unescape(k.path, q.target.path)
	mount := findMount(c.mounts, k.path)
	if mount == nil || mount.Handler != nil {
		k.recycle()
		return loopHandOver
	}
	c.requestCame()
	c.bodyLeft.Store(0)
	k.req.ContentLength, k.req.Body = int64(len(body)), body
	c.r += n + len(body)
	c.k, c.submitted = k, true
	c.served++
	if err := c.give(k, q, mount, c.r < c.w); err != nil {
		c.r -= n + len(body)
		c.served--
		c.submitted = false
		k.recycle()
		return loopHandOver
	}
	if c.r < c.w || c.ready.Load()&(readable|hungUp) != 0 {
		return loopHandOver // pipelined requests, or a client that has left
	}
	return loopDone
}
