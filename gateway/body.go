package gateway

import (
	"errors"
	"time"
)

const (
	maxBodyWaiting = 256 << 10 // bytes of a streamed body that wait for the app; more are not read meanwhile
	maxBodyMemory  = 1 << 20   // bytes of a body that are held in memory before it is spooled
	maxDrain       = 256 << 10 // bytes of an unread body that are dropped to keep the connection
	drainTimeout   = 2 * time.Second
	lingerTimeout  = 2 * time.Second
	bodyWindow     = 64 << 10 // bytes read at once of a long body
)

// Why a body could not be read to its end.
var (
	errBodyTooLarge = errors.New("gateway: request body over the limit")
	errBodyTimeout  = errors.New("gateway: the client sent nothing of its body for too long")
	errResponseOver = errors.New("gateway: the response ended before the request's body")
)

// statusOf is the answer to a body that could not be read; 0: the client is gone.
func statusOf(err error) int {
	switch err {
	case errChunk:
		return 400
	case errBodyTooLarge:
		return 413
	case errBodyTimeout:
		return 408
	case errSpool:
		return 500
	case errSpoolFull:
		return 503
	}
	return 0
}

// detachHead moves what was read behind the header section to a buffer of its own, so that the parsed request stays where it is while the
// body is read. It returns the old one, which the caller gives back.
func (c *conn) detachHead(d *bodyDecoder) (head *buffer) {
	head, rest := c.in, c.in.b[c.r:c.w]
	n := len(rest)
	if d.chunked || d.left > bodyWindow/2 {
		n = max(n, bodyWindow)
	}
	c.in = getBuffer(n)
	c.r, c.w = 0, copy(c.in.b, rest)
	return head
}

// readBody reads the body to its end and gives its pieces to take, which does not keep them. timeout is how long the client may be silent;
// with total it is how long the whole may take.
func (c *conn) readBody(d *bodyDecoder, timeout time.Duration, total bool, take func(p []byte) error) error {
	c.window = bodyWindow
	defer func() {
		c.window = 0
		c.deadline.Store(0)
	}()
	c.pace = pace{}
	_ = c.armBodyTimer(timeout, 0)
	for {
		p, err := c.gather(d)
		if len(p) > 0 {
			if err := take(p); err != nil {
				return err
			}
		}
		if err != nil || d.done {
			return err
		}
		if !total && !c.armBodyTimer(timeout, int64(len(p))) {
			return errBodyTimeout
		}
		_, err = c.fill()
		if err != nil && err != errWoken {
			return err
		}
		if c.deadline.Load() == expired {
			return errBodyTimeout
		}
		if err == errWoken && c.streaming && c.isOver() {
			return errResponseOver
		}
	}
}

// gather decodes what was read of the body and moves its pieces together in place: a client may send chunks of one byte, and each piece
// costs a call or more.
func (c *conn) gather(d *bodyDecoder) (body []byte, err error) {
	for c.r < c.w && !d.done && err == nil {
		var p []byte
		var n int
		p, n, err = d.decode(c.in.b[c.r:c.w])
		c.r += n
		if len(body) == 0 {
			body = p
		} else {
			body = append(body, p...) // never past p, so nothing is overwritten that was not decoded
		}
	}
	return body, err
}

// armBodyTimer gives the client time for the next piece of its body, of which got bytes came last, without limit while it may wait for 100
// Continue. False: it is too slow.
func (c *conn) armBodyTimer(timeout time.Duration, got int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaitsContinue {
		c.setDeadline(0)
		return true
	}
	d, ok := c.pace.allow(c.s.clock.Load(), got, timeout, enough(c.s.MinBodyRate, timeout))
	c.setDeadline(d)
	return ok
}

func (c *conn) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.busy
}

// appWantsBody passes on that the app waits for more of its body.
func (c *conn) appWantsBody() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wantsBody = true
	if c.awaitsContinue {
		c.awaitsContinue = false
		c.pace = pace{}
		c.setDeadline(c.s.BodyTimeout)
	}
	c.cond.Broadcast()
}

// readBodyInto reads a body of known length, at most maxBodyMemory, into memory of the call's exchange, of which it takes more as the body comes:
// a mere announcement is worth bodyWindow.
func (c *conn) readBodyInto(k *call, d *bodyDecoder) (body []byte, err error) {
	size, here := int(d.left), c.in.b[c.r:c.w]
	k.early = k.s.App.NewExchange()
	if body, err = c.bodyRoom(k, min(size, max(bodyWindow, len(here)))); err != nil {
		return nil, err
	}
	got := copy(body, here)
	c.r += got
	defer c.deadline.Store(0)
	c.pace = pace{}
	n := got
	for got < size {
		if got == len(body) {
			if body, err = c.bodyRoom(k, size); err != nil {
				return nil, err
			}
		}
		if !c.armBodyTimer(c.s.BodyTimeout, int64(n)) {
			return nil, errBodyTimeout
		}
		n, err = c.fillInto(body[got:])
		got += n
		if err != nil && err != errWoken {
			return nil, err
		}
		if got < size && c.deadline.Load() == expired {
			return nil, errBodyTimeout
		}
	}
	d.left, d.done = 0, true
	return body, nil
}

func (c *conn) bodyRoom(k *call, n int) ([]byte, error) {
	room, err := k.early.BodyRoom(n)
	if err != nil {
		c.s.log().Error("gateway: no memory for a request body", "request", k.name(), "bytes", n, "error", err)
		return nil, errSpool
	}
	return room, nil
}

// collectBody reads the whole body into sp.
func (c *conn) collectBody(sp *spool, d *bodyDecoder) error {
	return c.readBody(d, c.s.BodyTimeout, false, sp.write)
}

// streamBody reads the body and gives it to the app as it comes, never more than maxBodyWaiting ahead of it.
func (c *conn) streamBody(k *call, d *bodyDecoder) error {
	limit, total := c.s.MaxBodySize, int64(0)
	c.streaming = true
	defer func() { c.streaming = false }()
	err := c.readBody(d, c.s.BodyTimeout, false, func(p []byte) error {
		if total += int64(len(p)); limit > 0 && total > limit {
			return errBodyTooLarge
		}
		c.mu.Lock()
		c.wantsBody = false
		c.mu.Unlock()
		waiting, over := k.push(c, p)
		if d.done {
			c.bodyLeft.Store(0)
		} else {
			c.bodyLeft.Store(max(d.left, 1))
		}
		if over || waiting >= maxBodyWaiting && !d.done && !c.pause() {
			return errResponseOver
		}
		return nil
	})
	if err == nil {
		c.bodyLeft.Store(0)
		k.endBody(c, nil)
	}
	return err
}

// pause waits until the app wants more of its body. False: the response is over, or the connection is being cut.
func (c *conn) pause() bool {
	c.deadline.Store(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace = pace{} // begins anew: the wait is the app's
	for c.busy && !c.wantsBody && !c.cut {
		c.cond.Wait()
	}
	return c.busy && !c.cut
}

// drainBody drops the rest of a body that the app did not read. False: it is too long, too slow or broken, and the connection must end.
func (c *conn) drainBody(d *bodyDecoder) bool {
	dropped := 0
	err := c.readBody(d, drainTimeout, true, func(p []byte) error {
		if dropped += len(p); dropped > maxDrain {
			return errBodyTooLarge
		}
		return nil
	})
	return err == nil
}
