package gateway

import (
	"io"
	"runtime/debug"
	"strconv"

	"github.com/gowsgi/gowsgi/pyhost"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// Handler serves the apps inside somebody else's fasthttp.Server, beside its own routes. It promises what that server can keep: requests
// are parsed by it, their bodies are held in memory, 100 Continue is sent before the app reads, chunks of a response with a Content-Length are
// gathered, HTTP/1.0 clients may get chunked responses, Date is always the server's, a client that leaves is noticed when something is written
// to it, and processes that the app forks keep its connections open. A server with StreamRequestBody may read the rest of a body as the next
// request (valyala/fasthttp pull request 2368), so requests with such a body are answered 500 and logged.
func Handler(app App, mounts []Mount, o HandlerOptions) fasthttp.RequestHandler {
	h := newForeignHandler(app, mounts, o)
	return h.serveFastHTTP
}

func (h *foreignHandler) serveFastHTTP(ctx *fasthttp.RequestCtx) {
	defer func() {
		if r := recover(); r != nil {
			h.Logger.Error("gateway: panic", "in", string(ctx.RequestURI()), "panic", r, "stack", string(debug.Stack()))
			fastPlain(ctx, 500)
		}
	}()
	if ctx.Request.IsBodyStream() {
		h.Logger.Error("gateway: fasthttp.Server has StreamRequestBody: set it to false, or serve by gateway.Server or gateway.HTTPHandler")
		fastPlain(ctx, 500)
		ctx.SetConnectionClose()
		return
	}
	q := &request{method: ctx.Method(), raw: ctx.Request.Header.RequestURI(), http10: !ctx.Request.Header.IsHTTP11(), contentLength: -1}
	for name, value := range ctx.Request.Header.All() {
		f := field{name: append([]byte(nil), name...), value: append([]byte(nil), value...)}
		if equalFold(f.name, "host") {
			q.host = f.value
			continue
		}
		q.chunked = q.chunked || equalFold(f.name, "transfer-encoding")
		q.fields = append(q.fields, f)
	}
	q.chunked = q.chunked || ctx.Request.Header.ContentLength() == -1
	if status := q.checkForeign(h.HeaderPolicy); status != 0 {
		fastPlain(ctx, status)
		ctx.SetConnectionClose()
		return
	}
	body := ctx.Request.Body()
	if h.MaxBodySize > 0 && int64(len(body)) > h.MaxBodySize {
		fastPlain(ctx, 413)
		return
	}
	path := unescape(nil, q.target.path)
	mount := findMount(h.mounts, path)
	if mount == nil {
		fastPlain(ctx, 404)
		return
	}
	if mount.Handler != nil {
		fasthttpadaptor.NewFastHTTPHandler(mount.Handler)(ctx)
		return
	}
	scheme := "http"
	if ctx.IsTLS() {
		scheme = "https"
	}
	ends := endpointsOf(ctx.LocalAddr(), ctx.RemoteAddr(), scheme)
	h.trust(&ends, ctx.LocalAddr())
	rec := appendEnviron(nil, q, path, mount, ends.appendPairs(nil), &ends, int64(len(body)))
	k, err := h.submit(&pyhost.Request{App: mount.App, Environ: rec, Body: body, ContentLength: int64(len(body)), Timeout: mount.timeout(0)})
	if err != nil {
		h.Logger.Error("gateway: a request could not be given to the app", "request", string(q.raw), "error", err)
		fastPlain(ctx, 503)
		return
	}
	for !k.out.Committed && !k.out.Failed && !k.out.Complete && !k.out.TimedOut {
		<-k.news
		k.take()
	}
	h.answerFastHTTP(ctx, q, k)
}

// answerFastHTTP turns the beginning of a response into ctx.Response: whole where it is whole, else as a stream.
func (h *foreignHandler) answerFastHTTP(ctx *fasthttp.RequestCtx, q *request, k *foreignCall) {
	var head responseHead
	if !k.out.Committed || k.out.TimedOut {
		status := k.instead()
		k.finish()
		fastPlain(ctx, status)
		return
	}
	if err := head.check(k.out.Status, k.out.Headers); err != nil {
		h.Logger.Error(err.Error(), "request", string(q.raw))
		k.x.Cancel()
		k.finish()
		fastPlain(ctx, 500)
		return
	}
	resp := &ctx.Response
	resp.Header.DisableNormalizing()
	resp.Header.SetNoDefaultContentType(true)
	resp.SetStatusCode(head.code)
	resp.Header.SetStatusMessage(append([]byte(nil), k.out.Status[4:]...))
	for rec := k.out.Headers; ; {
		name, value, rest, ok := pyhost.NextPair(rec)
		if !ok {
			break
		}
		rec = rest
		if !equalFold(name, "content-length") {
			resp.Header.AddBytesKV(name, value)
		}
	}
	total := int64(0)
	for i := range k.out.Chunks {
		total += chunkSizeOf(&k.out.Chunks[i])
	}
	f, length := head.frame(q.head, q.http10, k.out.Complete, total)
	switch f {
	case noBody:
		resp.SkipBody = true
		if head.length >= 0 && head.code != 204 {
			resp.Header.SetContentLength(int(head.length))
		}
		if !k.out.Complete {
			k.x.Cancel() // the app may never end, and nobody would notice that the client left
		}
		k.finish()
		return
	case byLength:
	default:
		length = -1
	}
	resp.SetBodyStream(&fastBody{h: h, k: k, left: length, where: string(q.raw)}, int(length))
	resp.ImmediateHeaderFlush = true
}

// fastPlain answers instead of the app.
func fastPlain(ctx *fasthttp.RequestCtx, code int) {
	ctx.Response.Reset()
	ctx.SetStatusCode(code)
	ctx.Response.Header.Set("Cache-Control", "no-store")
	if code == 503 {
		ctx.Response.Header.Set("Retry-After", "1")
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(strconv.Itoa(code) + " " + fasthttp.StatusMessage(code) + "\n")
}

// fastBody is a response body as fasthttp reads it. An error of Read makes fasthttp cut the connection.
type fastBody struct {
	h     *foreignHandler
	k     *foreignCall
	left  int64 // of the Content-Length; -1: none
	where string
	next  int // chunk of k.out.Chunks
	at    chunkReader
	ended bool
}

func (b *fastBody) Read(p []byte) (int, error) {
	for {
		if b.left == 0 || len(p) == 0 {
			return 0, io.EOF
		}
		if b.next < len(b.k.out.Chunks) {
			b.at.ch = &b.k.out.Chunks[b.next]
			q := p
			if b.left > 0 {
				q = p[:min(b.left, int64(len(p)))]
			}
			got, err := b.at.read(q)
			if err == io.EOF {
				b.next, b.at = b.next+1, chunkReader{}
				continue
			}
			n := copy(q, got)
			b.at.done -= int64(len(got) - n)
			if b.left > 0 {
				b.left -= int64(n)
			}
			return n, err
		}
		b.k.sent()
		b.next = 0
		switch o := &b.k.out; {
		case o.Complete && b.left > 0:
			b.h.Logger.Error("gateway: the app's response is shorter than its Content-Length; the connection was cut", "request", b.where)
			return 0, errCut
		case o.Complete:
			return 0, io.EOF
		case o.Failed, o.TimedOut:
			return 0, errCut
		}
		<-b.k.news
		b.k.take()
	}
}

// Close is called by fasthttp when it needs no more, the client being gone perhaps.
func (b *fastBody) Close() error {
	if b.ended {
		return nil
	}
	b.ended = true
	if o := &b.k.out; !o.Complete {
		b.k.x.Cancel()
	}
	b.k.finish()
	return nil
}
