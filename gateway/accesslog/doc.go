// Package accesslog writes one line for each request: in Apache's combined format, as JSON, or as a format string says. Lines are gathered in
// memory and written by one goroutine, so that a slow or full disk, or a pipe that nobody reads, never holds a request.
//
// What a client sent can't forge a line or a field: every byte outside printable ASCII is escaped, and so are quotes and backslashes.
package accesslog

import "time"

// Entry is what a log is told of one request. The byte slices are lent for the call of [Log.Add].
type Entry struct {
	// Start and End of the request: from its first byte on until the response is written or the connection has ended; see [Now]. End is the time
	// of [Log.Add] where it is 0.
	Start, End time.Duration
	// Queue is how long it waited for a Python thread, Python how long such a thread was busy with it, up to End. Both are 0 where no app
	// was asked.
	Queue, Python time.Duration
	// Thread is the number of that thread, as in its name (gowsgi-1); 0: none.
	Thread int
	// Status is that of the response, also where it is not whole; 0: there was none.
	Status int
	Ended  Ended
	// BytesIn and BytesOut are the request and the response as they were read and written, heads and chunk framing included; under TLS before
	// encryption. HeadOut of BytesOut are the response's head.
	BytesIn, BytesOut, HeadOut int64
	// Environ is the request as the app gets it: a record of pairs (pyhost.AppendPair) of latin-1 strings.
	Environ []byte
	// Line is what came instead of a request line, of a request that could not be parsed; Environ then has no REQUEST_METHOD.
	Line []byte
	// Headers is the record of the response's headers; nil where they are the server's own.
	Headers []byte
}

// Ended says why a request ended.
type Ended uint8

const (
	OK         Ended = iota // the client was sent a whole response
	ClientGone              // the client left before it had the whole response
	Timeout                 // the app took longer than the request may
	AppError                // the app failed, or broke PEP 3333
	Refused                 // the server answered instead of the app
	Cut                     // the server ended the connection: it shuts down, or the client took nothing for too long
)

var endings = [...]string{"ok", "client_gone", "timeout", "app_error", "refused", "cut"}

// String is the reason as the log has it.
func (e Ended) String() string { return endings[e] }

var epoch = time.Now()

// Now is the clock of [Entry], which never jumps: the time since this process started. It costs 20 to 40 ns.
func Now() time.Duration { return time.Since(epoch) }

// Statuses of requests that got no response, as nginx logs them.
const (
	statusCut        = 444
	statusClientGone = 499
)

// status is what a log has for the entry.
func (e *Entry) status() int {
	switch {
	case e.Status != 0:
		return e.Status
	case e.Ended == ClientGone:
		return statusClientGone
	}
	return statusCut
}
