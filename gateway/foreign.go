package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/gateway/static"
	"github.com/gowsgi/gowsgi/pyhost"
)

// HandlerOptions are the settings of [Handler] and [HTTPHandler]; the server they run in has its own for the rest.
type HandlerOptions struct {
	// Logger gets errors; slog.Default where it is nil.
	Logger *slog.Logger
	// MaxBodySize is the longest request body in bytes; a longer one is answered 413. 0: 1 GiB. Negative: no limit.
	MaxBodySize int64
	// StreamInput gives a request to the app before its body is whole; else bodies are read ahead, over 1 MiB into a file, but for those with
	// Expect: 100-continue. HTTPHandler only.
	StreamInput bool
	// SpoolDir is where long bodies are kept, in files without a name (HTTPHandler only). "": os.TempDir.
	SpoolDir string
	// Compress and SendFile are as in [Server]; HTTPHandler only.
	Compress bool
	SendFile *static.Sender
	// TrustedProxies, ForwardedHeaders and HeaderPolicy are as in [Server].
	TrustedProxies   []TrustedProxy
	ForwardedHeaders ForwardedHeaders
	HeaderPolicy     HeaderPolicy
	// AccessLog and RequestIDs are as in [Server] (HTTPHandler only).
	AccessLog  *accesslog.Log
	RequestIDs bool
}

// foreignHandler is what both handlers for somebody else's server share.
type foreignHandler struct {
	app    App
	mounts []Mount
	HandlerOptions
	proxies *proxies
	ids     *requestIDs // nil: requests have none

	expecting                    *expecting
	server                       *Server // whose requests they are; nil in somebody else's server
	requestTimeout, queueTimeout time.Duration
	backlog                      int
}

func newForeignHandler(app App, mounts []Mount, o HandlerOptions) *foreignHandler {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxBodySize == 0 {
		o.MaxBodySize = defaultMaxBodySize
	}
	return &foreignHandler{
		app: app, mounts: sortMounts(mounts), HandlerOptions: o, proxies: newProxies(o.TrustedProxies, o.ForwardedHeaders),
		ids: requestIDsFor(o.RequestIDs, o.AccessLog), expecting: &expecting{most: expectingMost(app)},
	}
}

// trust notes what the other end is, and what is done with header fields.
func (h *foreignHandler) trust(e *endpoints, local net.Addr) {
	e.headerPolicy, e.requestIDs = h.HeaderPolicy, h.ids != nil
	e.proxies = h.proxies.ofPeer(e.remoteAddr, local != nil && local.Network() == "unix")
}

// checkForeign fills in what the parser would have, for a request that another server parsed: method, raw, http10 and fields are set. It
// returns 0, or the status to refuse it with.
func (q *request) checkForeign(p HeaderPolicy) (status int) {
	if status := checkMethod(q.method); status != 0 {
		return status
	}
	var err error
	if q.target, err = splitTarget(q.method, q.raw); err != nil {
		return 400
	}
	if q.target.form == authorityForm {
		return 501
	}
	q.head = string(q.method) == "HEAD"
	if q.target.authority != nil {
		q.host = q.target.authority
	}
	if len(q.host) > 0 && !validAuthority(q.host) {
		return 400
	}
	types := 0
	for _, f := range q.fields {
		if !all(f.name, tokenChar) || len(f.name) == 0 || !all(f.value, fieldChar) {
			return 400
		}
		if equalFold(f.name, "content-type") {
			types++
		}
	}
	if types > 1 {
		return 400
	}
	return p.check(q)
}

// foreignCall is an exchange that one goroutine waits for.
type foreignCall struct {
	x    pyhost.Exchange
	out  pyhost.Output
	file *os.File // the spooled body, open until Release
	news chan struct{}
	s    *Server // nil in somebody else's server
	lost bool    // the app's thread may never leave it: nobody waits for that

	last  pyhost.Output // what was known, and how it fared, when nobody waited for more
	times pyhost.Times

	mu    sync.Mutex // guards what follows, and PushBody and EndBody against Release
	done  bool
	wants chan struct{} // the app waits for more of its body; holds one
}

// submit hands the request to the app.
func (h *foreignHandler) submit(r *pyhost.Request) (*foreignCall, error) {
	k := &foreignCall{s: h.server, x: h.app.NewExchange(), news: make(chan struct{}, 1), wants: make(chan struct{}, 1)}
	if err := k.x.Submit(r, k); err != nil {
		k.x.Release()
		return nil, err
	}
	if k.s != nil {
		k.s.calls.Add(1)
		k.s.requests.Add(1)
	}
	return k, nil
}

// ExchangeReady implements [pyhost.Sink].
func (k *foreignCall) ExchangeReady(pyhost.Exchange) {
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// take takes what is new; the chunks of the last call must have been given back.
func (k *foreignCall) take() {
	k.out.Chunks = k.out.Chunks[:0]
	k.x.Take(&k.out)
	if k.out.Lost && !k.lost {
		k.lost = true
		k.left()
	}
	if k.out.Done && !k.out.Complete {
		k.out.Failed = true
	}
	if k.out.Complete {
		k.out.Failed, k.out.TimedOut = false, false
	}
	if k.out.TimedOut {
		k.x.Cancel()
	}
	if k.out.WantBody {
		select {
		case k.wants <- struct{}{}:
		default:
		}
	}
}

// instead is the status to answer with where the app gave no response.
func (k *foreignCall) instead() int {
	switch {
	case k.out.Refused:
		return 503
	case k.out.TimedOut:
		return 504
	}
	return 500
}

// sent gives back all chunks that were taken.
func (k *foreignCall) sent() {
	k.x.Sent(len(k.out.Chunks))
	k.out.Chunks = k.out.Chunks[:0]
}

// finish drops what the app still gives and releases the exchange once the app has left it. It does not wait.
func (k *foreignCall) finish() {
	k.sent()
	k.last, k.times = k.out, k.x.Times()
	if k.out.Done {
		k.release()
		return
	}
	go func() {
		for !k.out.Done {
			<-k.news
			k.take()
			k.sent()
		}
		k.release()
	}()
}

// left says that the server need not wait for the call any more.
func (k *foreignCall) left() {
	if k.s != nil {
		k.s.calls.Add(-1)
	}
}

func (k *foreignCall) release() {
	if !k.lost {
		defer k.left()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.done = true
	k.x.Release()
	if k.file != nil {
		_ = k.file.Close()
	}
}

// push gives a piece of the body to the app. False: the app has left the request.
func (k *foreignCall) push(p []byte) (waiting int64, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done {
		return 0, false
	}
	waiting, err := k.x.PushBody(p)
	if err != nil {
		k.x.EndBody(err)
	}
	return waiting, err == nil
}

func (k *foreignCall) endBody(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.done {
		k.x.EndBody(err)
	}
}

var errCut = errors.New("gateway: the app failed after its response began")

// chunkReader reads the bytes of a chunk.
type chunkReader struct {
	ch   *pyhost.Chunk
	done int64
}

// read returns the next bytes, in p where they come from a file, else lent. io.EOF: there are no more.
func (r *chunkReader) read(p []byte) ([]byte, error) {
	left := chunkSizeOf(r.ch) - r.done
	if left <= 0 {
		return nil, io.EOF
	}
	if r.ch.Data != nil {
		b := r.ch.Data[r.done:]
		r.done += left
		return b, nil
	}
	p = p[:min(left, int64(len(p)))]
	n, err := ignoreEINTR(func() (int, error) { return syscall.Pread(r.ch.File, p, r.ch.Offset+r.done) })
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	r.done += int64(n)
	return p[:n], nil
}
