package gateway

import (
	"log/slog"
	"os"
	"sync"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

// App is what runs the requests: *pyhost.Host, or a fake in tests.
type App interface {
	NewExchange() pyhost.Exchange
}

// call is one request in the app's hands, and its response. The connection may be rid of it before the app is: it ends for the connection
// when the response is written (or the client is gone), and for good when the exchange reports Done.
type call struct {
	mu sync.Mutex // guards what follows; c.mu is taken inside it, never the other way round

	s *Server
	c *conn           // nil once the connection has nothing to do with it any more
	x pyhost.Exchange // nil once it is, or is about to be, released
	// early is the exchange before it is submitted, where the body is read into it.
	early pyhost.Exchange
	out   pyhost.Output
	// given is how many of out.Chunks were given back.
	given int

	req       pyhost.Request
	rec, path []byte   // memory for the environ record and the decoded path
	file      *os.File // the spooled body, open until Release
	held      bodyHeld // what the body takes of Server.bodies

	wanted coding    // by the client, where the server compresses
	coded  *encoding // the body is compressed

	sends *namedFile // instead of the app's body

	log requestLog
	id  []byte // X-Request-ID, in rec; nil: none

	head, http10, keepAlive bool
	where                   [120]byte // "GET /path" for the log
	whereLen                int

	continueOwed bool // the client waits for 100 Continue
	expects      bool // it is one of Server.expecting
	begun        bool // the response has begun: nobody else may answer
	over         bool // the response has ended; what the app still gives is dropped
	writing      bool // the goroutine of respwriter.go has it, and alone calls Take, Sent and Release
	gone         bool // the client left while it was writing
	done         bool // the app has left the request
	lost         bool // the app's thread may never leave it: nobody waits for that
	w            responseWriter
	problem      string        // for the writer to log: a log that can't be written must not hold up who collects events
	news         chan struct{} // ExchangeReady while writing; holds one
}

var callPool = sync.Pool{New: func() any { return &call{news: make(chan struct{}, 1)} }}

func newCall(c *conn, q *request) *call {
	k := callPool.Get().(*call)
	k.mu.Lock() // an earlier user may still look whether it is k's
	k.s, k.c = c.s, c
	k.mu.Unlock()
	k.head, k.http10, k.keepAlive = q.head, q.http10, q.keepAlive
	n := copy(k.where[:], q.method)
	n += copy(k.where[n:], " ")
	k.whereLen = n + copy(k.where[n:], q.raw)
	if c.s.Compress {
		k.wanted = acceptedCoding(q.fields)
	}
	return k
}

// name is the request for the log.
func (k *call) name() string { return string(k.where[:k.whereLen]) }

// logger is the server's, for lines about the request.
func (k *call) logger() *slog.Logger {
	l := k.s.log().With("request", k.name())
	if k.id != nil {
		l = l.With("request_id", string(k.id))
	}
	return l
}

// recycle gives the call back. The exchange is released, or was never submitted.
func (k *call) recycle() {
	if k.file != nil {
		_ = k.file.Close()
	}
	if k.s != nil {
		k.s.bodies.release(&k.held)
		if k.expects {
			k.s.expecting.end()
		}
	}
	if k.early != nil {
		k.early.Release()
	}
	select {
	case <-k.news:
	default:
	}
	if cap(k.rec) > 64<<10 {
		k.rec = nil
	}
	clear(k.out.Chunks[:cap(k.out.Chunks)])
	if cap(k.out.Chunks) > 256 {
		k.out.Chunks = nil
	}
	rec, path, chunks, news := k.rec[:0], k.path[:0], k.out.Chunks[:0], k.news
	k.mu.Lock()
	k.reset(rec, path, chunks, news)
	k.mu.Unlock()
	callPool.Put(k)
}

func (k *call) reset(rec, path []byte, chunks []pyhost.Chunk, news chan struct{}) {
	k.s, k.c, k.x, k.early, k.file = nil, nil, nil, nil, nil
	k.out, k.given = pyhost.Output{Chunks: chunks}, 0
	k.req = pyhost.Request{}
	k.wanted, k.coded, k.sends = identity, nil, nil
	k.rec, k.path, k.news = rec, path, news
	k.continueOwed, k.expects, k.begun, k.over, k.writing, k.gone, k.done, k.lost = false, false, false, false, false, false, false, false
	k.w, k.problem = responseWriter{pieces: k.w.pieces}, ""
	k.log, k.id = requestLog{}, nil
}

// submit hands the request to the app. From then on events may come.
func (k *call) submit() error {
	// The lock keeps an event that comes late for an earlier use of the exchange from taking before it is submitted.
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.x, k.early = k.early, nil; k.x == nil {
		k.x = k.s.App.NewExchange()
	}
	if err := k.x.Submit(&k.req, k); err != nil {
		k.x.Release()
		k.x = nil
		return err
	}
	k.s.calls.Add(1)
	k.s.requests.Add(1)
	return nil
}

// ExchangeReady implements [pyhost.Sink]. On the poller's loop, on a goroutine of the host's or on a Python thread; it never waits for a client.
func (k *call) ExchangeReady(x pyhost.Exchange) {
	k.mu.Lock()
	if k.x != x { // late, for an earlier use
		k.mu.Unlock()
		return
	}
	if k.writing && k.sends == nil {
		k.signal() // under the lock: a writer that ends takes once more after it
		k.mu.Unlock()
		return
	}
	x = k.released(k.protectedStep())
	k.mu.Unlock()
	k.release(x)
}

// signal tells the writer that there is news.
func (k *call) signal() { signal(k.news) }

// released takes the exchange out of the call where it is finished, so that exactly one goroutine releases it. k.mu is held.
func (k *call) released(finished bool) (x pyhost.Exchange) {
	if finished {
		x, k.x = k.x, nil
	}
	return x
}

// release gives back the exchange and the call, where released returned one: the app is done, and so is the connection.
func (k *call) release(x pyhost.Exchange) {
	if x == nil {
		return
	}
	s, lost := k.s, k.lost
	x.Release()
	k.recycle()
	if !lost {
		s.calls.Add(-1)
	}
}

// protectedStep is step; a panic in it costs the connection, not the process.
func (k *call) protectedStep() (finished bool) {
	defer func() {
		if r := recover(); r != nil {
			k.s.logPanic(k.name(), r)
			k.log.ended = accesslog.Cut
			k.x.Cancel()
			if k.writing {
				k.c.shutdown() // the writer ends
				return
			}
			k.end(endCut)
			finished = k.done
		}
	}()
	return k.step()
}

// step takes what is new and acts on it. k.mu is held and nobody writes. True: the call is to be released.
func (k *call) step() bool {
	k.take()
	switch {
	case k.over:
	case k.sends != nil:
		if k.out.WantBody {
			k.wantBody()
		}
		k.giveBack()
	default:
		k.respond()
	}
	if k.writing {
		return false
	}
	if k.over && !k.done {
		k.giveBack()
	}
	return k.over && k.done
}

// giveBackTo gives back the first n chunks of the last take, giveBack all.
func (k *call) giveBackTo(n int) {
	if n > k.given {
		k.x.Sent(n - k.given)
		k.given = n
	}
}

func (k *call) giveBack() {
	k.giveBackTo(len(k.out.Chunks))
	k.out.Chunks, k.given = k.out.Chunks[:0], 0
}

func (k *call) take() {
	k.x.Take(&k.out)
	k.done = k.done || k.out.Done
	if k.out.Lost && !k.lost {
		k.lost = true
		k.s.calls.Add(-1)
	}
	if k.out.Done && !k.out.Complete {
		k.out.Failed = true
	}
	if k.out.Complete {
		k.out.Failed, k.out.TimedOut = false, false // close() may raise or block afterwards: the client has the whole body
	}
}

// end detaches the connection from the call and tells it how the response ended. k.mu is held.
func (k *call) end(how ending) {
	c := k.c
	if c != nil && k.log.began != 0 {
		k.log.add(k, c, how)
	}
	k.begun, k.over, k.c = true, true, nil
	if c != nil {
		c.responseOver(how)
	}
}

// clientGone cancels the request of a client that left. On the connection's goroutine, which then waits until c is not busy.
func (k *call) clientGone(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c != c {
		return // the response is over already
	}
	k.x.Cancel()
	if k.writing {
		k.gone = true
		c.shutdown()
		k.signal()
		return
	}
	k.end(endCut)
}

// takeOver takes the response away from the app where it has not begun, makes the app's reads of the body fail, and returns what the
// connection is to answer instead; nil where it is not to. On the connection's goroutine.
func (k *call) takeOver(c *conn, why error, status int) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c != c {
		return nil
	}
	if k.x != nil && !k.done {
		k.x.EndBody(why)
	}
	if k.begun {
		return nil
	}
	if k.x != nil {
		k.x.Cancel()
	}
	b := appendPlainOf(nil, status, k.id, k.head, false, false)
	k.log.taken(status, b)
	k.end(endByReader)
	return b
}

// push gives a piece of the body to the app. over: the response has ended, nobody reads it.
func (k *call) push(c *conn, p []byte) (waiting int64, over bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c != c || k.done {
		return 0, true
	}
	if k.log.began != 0 {
		k.log.bytesIn = c.came()
	}
	waiting, err := k.x.PushBody(p)
	if err != nil {
		k.x.EndBody(err)
		return 0, true
	}
	return waiting, false
}

func (k *call) endBody(c *conn, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == c && !k.done {
		k.x.EndBody(err)
	}
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// wantBody passes on that the app waits for its body. The first time it sends 100 Continue, if that is owed and the response has not
// begun (RFC 9110 section 10.1.1). k.mu is held, or the caller is the writer.
func (k *call) wantBody() {
	if k.continueOwed && !k.begun {
		k.continueOwed = false
		k.log.headOut += int64(len(continueLine))
		if n, err := k.c.tryWrite(continueLine); err != nil || n < len(continueLine) || k.c.unsent() {
			k.x.Cancel()
			k.end(endCut)
			return
		}
	}
	k.c.appWantsBody()
}

// respond begins the response as soon as it is known, and ends it at once where it is small and whole. k.mu is held.
func (k *call) respond() {
	o := &k.out
	switch {
	case o.Refused:
		k.log.ended = accesslog.Refused
		k.answerPlain(503)
		return
	case o.TimedOut: // nothing was sent: else there would be a writer
		k.x.Cancel()
		k.log.ended = accesslog.Timeout
		k.answerPlain(504)
		return
	}
	if o.WantBody {
		if k.wantBody(); k.over {
			return
		}
	}
	if !o.Committed {
		if o.Failed || o.Complete {
			k.log.ended = accesslog.AppError
			k.answerPlain(500)
		}
		return
	}
	k.begun = true
	var h responseHead
	if err := h.check(o.Status, o.Headers); err != nil {
		k.x.Cancel()
		k.problem = err.Error()
		k.log.ended = accesslog.AppError
		p, b, keep := k.plain(500)
		k.writeRest(p, b, keep)
		return
	}
	if k.s.SendFile != nil {
		var file *namedFile
		if o.Headers, file = findFile(k.s.SendFile, o.Headers); file != nil && h.mayName() {
			k.startFile(file)
			return
		}
	}
	total, small := int64(0), o.Complete
	for i := range o.Chunks {
		total += chunkSizeOf(&o.Chunks[i])
		small = small && o.Chunks[i].Data != nil
	}
	headers := o.Headers
	if k.s.Compress {
		taken := false
		if headers, taken = k.startCoded(&h, total); taken {
			return
		}
	}
	f, length := h.frame(k.head, k.http10, o.Complete, total)
	keep := k.keepAlive && f != untilClose && k.c.mayKeepAlive(k)
	small = small && total <= maxSmall && (f == noBody || f == byLength && length == total)
	n := len(o.Status) + len(headers) + 256
	if small {
		n += int(total)
	}
	p := getBuffer(n)
	b := k.appendHead(p.b[:0], &h, headers, f, length, keep)
	if !small {
		k.startWriter(p, b, f, length, keep)
		return
	}
	if f != noBody {
		for i := range o.Chunks {
			b = append(b, o.Chunks[i].Data...)
		}
	}
	if !k.done { // else the release gives back what is left
		k.giveBack()
	}
	k.writeWhole(p, b, keep)
}

// appendHead appends the head of the app's response.
func (k *call) appendHead(dst []byte, h *responseHead, headers []byte, f framing, length int64, keep bool) []byte {
	h.id = k.id
	n := len(dst)
	dst = h.append(dst, k.out.Status, headers, f, length, k.http10, keep)
	k.log.status, k.log.headers = h.code, k.out.Headers
	k.log.headOut += int64(len(dst) - n)
	return dst
}

// maxSmall is the longest body in bytes that is copied behind its head and written at once, by who collects events.
const maxSmall = 64 << 10

// writeWhole writes a whole response and ends it, by the writer where the client does not take it at once. p is the memory of b.
func (k *call) writeWhole(p *buffer, b []byte, keep bool) {
	n, err := k.c.tryWrite(b)
	if err == nil && !keep && n == len(b) {
		k.c.endTLS()
	}
	switch {
	case err != nil:
		p.put()
		k.x.Cancel()
		k.end(endCut)
	case n < len(b), k.c.unsent():
		k.writeRest(p, b[n:], keep)
	default:
		p.put()
		k.end(endOf(keep))
	}
}

// writeRest has the writer end the response with b. p is its memory.
func (k *call) writeRest(p *buffer, b []byte, keep bool) {
	k.out.Complete, k.out.Failed = true, false // nothing follows b
	k.startWriter(p, b, noBody, 0, keep)
}

// answerPlain answers instead of the app.
func (k *call) answerPlain(code int) { k.writeWhole(k.plain(code)) }

// plain is the response that answers instead of the app; p is the memory of b.
func (k *call) plain(code int) (p *buffer, b []byte, keep bool) {
	k.begun = true
	keep = k.keepAlive && k.c.mayKeepAlive(k)
	p = getBuffer(512)
	b = appendPlainOf(p.b[:0], code, k.id, k.head, k.http10, keep)
	k.log.plain(code, b)
	return p, b, keep
}
