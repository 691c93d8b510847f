// Package gateway serves WSGI apps over HTTP: a server of its own ([Server]) and handlers for fasthttp ([Handler]) and net/http
// ([HTTPHandler]). It is plain Go; what runs the apps is an [App], in practice *pyhost.Host.
//
// # The life of a request in Server
//
//  1. conn.serve, the connection's goroutine, waits in rawConn.fill; while nothing comes it holds no buffer.
//  2. readHead finds the end of the header section (scan.go); request.parse (parse.go) reads it, strictly, into slices of the buffer.
//  3. The body is read whole (body.go; chunked.go; spool.go), or, with StreamInput or Expect: 100-continue, while the app runs.
//  4. appendEnviron (environ.go) makes the environ record; call.submit gives both to the app, which copies them.
//  5. The goroutine goes on reading (conn.await): an end or a reset cancels the request, pipelined bytes (16 KiB, then it stops reading) wait
//     in the buffer, unparsed.
//  6. The app's host calls call.ExchangeReady on its event goroutine; call.step takes what is new.
//  7. responseHead.check (respheader.go) passes the status line and the fields, or the answer is a plain 500.
//  8. A whole response of up to 64 KiB is written there and then, by one write that never waits.
//  9. Anything else, and what that write left, gets a goroutine of its own (respwriter.go) that waits for the client and gives chunks back as
//     they are written.
//  10. call.end tells the connection how the response ended (conn.responseOver): it goes on, is closed, cut or reset.
//  11. The goroutine in await sees it, drops what is left of the body, and parses what comes next.
//  12. When the exchange reports Done, maybe while the next request is served, it is released and the call goes back to its pool.
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
// Reading the socket and parsing: the connection's goroutine alone. Writing it: whoever answers, and only one does. That is the event
// goroutine until it starts a writer (call.writing), then the writer; or the connection's goroutine, where no call is attached or call.takeOver
// won. Take and Sent: who holds call.mu while nobody writes, else the writer. Release: the one whom call.released gave the exchange. call.mu is
// taken before conn.mu, and Server.mu before conn.mu. No lock is held while anybody waits for a client or for the app.
package gateway
