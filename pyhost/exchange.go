package pyhost

import "time"

// Request is what the HTTP side hands to Python. All of it is copied by [Exchange.Submit], but for BodyFile and what lies in the exchange's own
// memory (BodyRoom).
type Request struct {
	// App is the number that Host.Load gave.
	App int
	// Environ is the record of CGI variables and wsgi.* strings that differ from request to request; see [AppendPair]. Values are
	// latin-1 bytes (PEP 3333, "Unicode Issues"). What is the same for all requests (wsgi.version, wsgi.errors, ...) and wsgi.input
	// are the host's.
	Environ []byte
	// Body is the body, or its first part where Stream is set.
	Body []byte
	// BodyFile holds the whole body from offset 0 where it is > 0 (then Body is empty). The caller keeps it open until Release.
	BodyFile int
	// ContentLength is the body's length in bytes, -1 where it is not known before its end.
	ContentLength int64
	// Timeout is how long the app may take, from its call on; 0: without limit. After that Output.TimedOut is reported, the log gets the
	// thread's Python stack, and gowsgi.RequestTimeout is raised in the app.
	Timeout time.Duration
	// QueueTimeout is how long the request may wait for a Python thread; 0: without limit. It is the same for all requests: they are looked
	// at in their order.
	QueueTimeout time.Duration
	// Backlog is how many requests may wait for a Python thread before this one; 0: any number.
	Backlog int
	// Timed has the host measure Times.Python to the end, for one more look at the clock.
	Timed bool
	// Stream says that the body goes on after Submit by PushBody and ends with EndBody.
	Stream bool
}

// Sink learns that an exchange has news. The call comes from who collects the host's events (a goroutine of the host's, the loop that borrowed
// them, a Python thread): it must not block, and should call [Exchange.Take] from there or hand over to a goroutine that does. Calls for one
// exchange never overlap. One may come late, with nothing new to take.
type Sink interface {
	ExchangeReady(x Exchange)
}

// Exchange carries one request to the app and the response back. Its life:
//
//	x := host.NewExchange()
//	x.Submit(&req, sink)                    // queued
//	sink.ExchangeReady(x) -> x.Take(&out)   // any number of times, until out.Done
//	x.Sent(n)                               // as chunks are written
//	x.Release()                             // after Done, all chunks given to Sent
//
// Methods may be called by any goroutine, Take, Sent and Release by one at a time. None of them waits for Python.
type Exchange interface {
	// BodyRoom returns memory of the exchange for n bytes of a body that Submit then takes without a copy, where Request.Body is the
	// beginning of it. A further call gives more of it and moves what is there. It is valid until Submit or Release.
	BodyRoom(n int) ([]byte, error)
	// Submit queues the request. An error means that memory is out or the record is over 1 GiB; the exchange is then to be released.
	Submit(r *Request, s Sink) error
	// PushBody adds a piece of a streamed body (copied) and returns the bytes that the app has not read yet. The caller stops reading from
	// its client while they are many, and goes on when Take reports WantBody.
	PushBody(p []byte) (waiting int64, err error)
	// EndBody ends a streamed body. A non-nil err (the client went away, a bad chunk) makes the app's reads raise OSError.
	EndBody(err error)
	// Take fills out with what is new since the last Take.
	Take(out *Output)
	// Sent gives back the n oldest chunks that Take returned and were not given back yet.
	Sent(n int)
	// Cancel says that the client is gone. The app's reads and writes raise OSError, its iteration ends at the next chunk, and close() is
	// called. Done still comes.
	Cancel()
	// Times says how the request fared up to now. Between Submit and Release.
	Times() Times
	// Release gives the exchange back, with the chunks that Sent did not. Only after Take reported Done, or where it was never submitted; the
	// exchange must not be used again.
	Release()
}

// Output is a part of a response. The byte slices are lent: Status and Headers until Release, Chunks until Sent.
type Output struct {
	// Status is the status line after the version ("200 OK") and Headers the record of the response's headers, in the app's order and
	// case (see [NextPair]); both are set once Committed is.
	Status, Headers []byte
	// Committed says that status and headers are final.
	Committed bool
	// Complete says that the body ends with these chunks. It can come before Done, while the app's close() runs.
	Complete bool
	// Failed says that the app failed: answer 500 where Committed is not set, else cut the connection so that the client can tell.
	Failed bool
	// Done says that the Python thread has left the request.
	Done bool
	// Refused says that the app never saw the request: too many waited, or it had waited for too long. Done and Failed are set too.
	Refused bool
	// TimedOut says that the app took too long: answer 504 where nothing was sent, else cut the connection; where Complete is not set.
	TimedOut bool
	// Lost says that the thread did not come back in time after that, or can't, since another holds the GIL. Done may come much later, or
	// never.
	Lost bool
	// WantBody says that the app waits for more of a streamed body.
	WantBody bool
	// Chunks are appended to; reset them to [:0] between calls.
	Chunks []Chunk
}

// Times is how a request fared with the Python threads.
type Times struct {
	// Queue is how long it waited for a thread; 0 where it was refused at once.
	Queue time.Duration
	// Python is how long the thread was busy with it, the wait for the GIL and for slow clients included: up to now, where it still is, or
	// where Request.Timed was not set.
	Python time.Duration
	// Thread is the number of that thread, as in its name (gowsgi-1). 0: none took it.
	Thread int
}

// Chunk is a piece of a response body: Data, or Size bytes of the file descriptor File from Offset on (Data is nil then).
type Chunk struct {
	Data   []byte
	File   int
	Offset int64
	Size   int64
}
