// Package devlog writes what a developer reads in a terminal: a line for each request, and the server's own messages.
//
// What a client sent can't move the cursor, change colours or pass for another line: of it only printable ASCII is written as it is.
package devlog

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/gowsgi/gowsgi/gateway/accesslog"
	"github.com/gowsgi/gowsgi/pyhost"
)

const (
	slow     = 500 * time.Millisecond // from here on it is said where the time went
	verySlow = time.Second

	mostMethod = 20  // bytes of a method that are shown
	mostTarget = 120 // of a path with its query
)

// own are the server's own pages, whose requests are of no interest.
const own = "/__gowsgi__/"

// Log writes a line for each request.
type Log struct {
	paint paint

	mu   sync.Mutex // guards what follows
	w    io.Writer
	line []byte
}

// New returns a log that writes to w, each line by one call of Write; in colours where color is true, see [Color].
func New(w io.Writer, color bool) *Log { return &Log{w: w, paint: paint(color)} }

// Add writes the line of a request and waits for the writer. It keeps nothing of e, and may be called by any goroutine. e is from a log that
// wants times; see [accesslog.NewEach]. Errors of the writer are passed over: there is nobody to tell.
func (l *Log) Add(e *accesslog.Entry) {
	r := requestOf(e)
	if bytes.HasPrefix(r.target, []byte(own)) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = append(l.append(l.line[:0], e, &r, time.Now()), '\n')
	_, _ = l.w.Write(l.line)
}

// request is what a line shows of an environ.
type request struct {
	method, target []byte
	body           bool // it has one
}

func requestOf(e *accesslog.Entry) (r request) {
	if e.Line != nil { // it could not be parsed
		r.target = e.Line
		return r
	}
	for rec := e.Environ; ; {
		key, value, rest, ok := pyhost.NextPair(rec)
		if !ok {
			return r
		}
		switch string(key) {
		case "REQUEST_METHOD":
			r.method = value
		case "RAW_URI":
			r.target = value
		case "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING":
			r.body = true
		}
		rec = rest
	}
}

// append appends a line: 15:04:05 GET /polls/?page=2 200 12 ms 3.4 kB.
func (l *Log) append(dst []byte, e *accesslog.Entry, r *request, now time.Time) []byte {
	dst = l.paint.append(dst, dim, now.Format(time.TimeOnly))
	if len(r.method) > 0 {
		dst = appendText(append(dst, ' '), r.method, mostMethod)
	}
	dst = appendText(append(dst, ' '), r.target, mostTarget)
	status := "-"
	if e.Status != 0 {
		status = strconv.Itoa(e.Status)
	}
	dst = l.paint.append(append(dst, ' '), statusColor(e.Status), status)
	took := e.End - e.Start
	dst = l.paint.append(append(dst, ' '), slowness(took), duration(took))
	dst = l.paint.append(append(dst, ' '), dim, size(e.BytesOut-e.HeadOut))
	if why := reasons[e.Ended]; why != "" {
		dst = l.paint.append(append(dst, "  "...), red, why)
	}
	if took >= slow {
		dst = l.paint.append(append(dst, "  "...), slowness(took), whereTimeWent(e, r))
	}
	return dst
}

// reasons are why a request ended, where it is not because the client has the response.
var reasons = map[accesslog.Ended]string{
	accesslog.ClientGone: "the client left",
	accesslog.Timeout:    "timed out",
	accesslog.AppError:   "the app failed",
	accesslog.Refused:    "refused by the server",
	accesslog.Cut:        "cut off by the server",
}

// whereTimeWent splits the time of a request. What is neither waiting for a Python thread nor such a thread's is the network's.
func whereTimeWent(e *accesslog.Entry, r *request) string {
	rest := "sending"
	if r.body {
		rest = "receiving and sending"
	}
	return "queue " + duration(e.Queue) + ", Python " + duration(e.Python) + ", " + rest + " " + duration(e.End-e.Start-e.Queue-e.Python)
}

func statusColor(status int) color {
	switch status / 100 {
	case 1, 2:
		return green
	case 3:
		return cyan
	case 4:
		return yellow
	}
	return red
}

func slowness(d time.Duration) color {
	switch {
	case d >= verySlow:
		return red
	case d >= slow:
		return yellow
	}
	return plain
}
