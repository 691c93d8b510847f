// Package gateway serves WSGI apps over HTTP: a server of its own ([Server]) and handlers for fasthttp ([Handler]) and net/http
// ([HTTPHandler]). It is plain Go; what runs the apps is an [App], in practice *pyhost.Host.
//
// # The life of a request in Server
//
//  1. The poller (poller.go) waits for all connections in one goroutine, the loop. A connection at rest has no goroutine and holds no buffer.
//  2. conn.polled (polled.go) reads what came. A simple request, whose header section and body came in one read, goes to step 4 on the loop;
//     for anything else conn.serve, a goroutine of the connection's own, takes over, until the connection is idle again.
//  3. readHead finds the end of the header section (scan.go); the body is read whole (body.go; chunked.go; spool.go), or, with StreamInput or
//     Expect: 100-continue, while the app runs.
//  4. request.parse (parse.go) reads the header section, strictly, into slices of the buffer; appendEnviron (environ.go) makes the environ
//     record; call.submit gives both to the app, which copies them.
//  5. Loop or goroutine go on reading (conn.await): an end or a reset cancels the request, pipelined bytes (16 KiB, then nobody reads) wait in
//     the buffer, unparsed.
//  6. The app's host calls call.ExchangeReady: on the loop, which collects the host's events, or on the Python thread itself while the loop
//     sleeps; call.step takes what is new.
//  7. responseHead.check (respheader.go) passes the status line and the fields, or the answer is a plain 500.
//  8. A whole response of up to 64 KiB is written there and then, by one write that never waits.
//  9. Anything else, and what that write left, gets a goroutine of its own (respwriter.go) that waits for the client and gives chunks back as
//     they are written.
//  10. call.end tells the connection how the response ended (conn.responseOver): it goes on, is closed, cut or reset.
//  11. The loop parses what comes next; a goroutine in await sees the end, drops what is left of the body, and does the same.
//  12. When the exchange reports Done, maybe while the next request is served, it is released and the call goes back to its pool.
//
// What the app never saw (Output.Refused: the queue was full, or it waited for too long) is answered 503 in step 6, and what took it too long
// (Output.TimedOut) 504, or cut by the writer where the response had begun. Both come as events; the server itself times neither.
//
// A client that ends its sending side counts as gone: the end of a connection and half of one look the same to a server that waits.
//
// # What lives until when
//
// The parsed request's slices live until submit returns. The call lives from newCall until its response has ended and its exchange reported
// Done, whichever comes last; conn and call know each other only while the response is owed (conn.busy, call.c). The buffer of a connection
// lives while unused bytes are in it. Chunks of the app's are lent until Sent, its status and fields until Release.
//
// # Who may do what
//
// Reading the socket and parsing: conn.owner, which is the loop or the connection's goroutine, alone. The loop never waits for a client.
// Writing: whoever answers, and only one does. That is who collects events until it starts a writer (call.writing), then the writer; or the
// connection's goroutine, where no call is attached or call.takeOver won. Closing: the owner, once no response is owed.
//
// Take and Sent: who holds call.mu while nobody writes, else the writer. Release: the one whom call.released gave the exchange. call.mu is
// taken before conn.mu, and Server.mu before conn.mu. No lock is held while anybody waits for a client or for the app.
package gateway
