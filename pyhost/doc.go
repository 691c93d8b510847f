// Package pyhost runs CPython inside a Go process and WSGI apps (PEP 3333) in it.
//
// libpython is found from the app's virtualenv ([Discover]) and loaded with dlopen when the process starts ([Open]): one binary serves every
// CPython from 3.9 on, of the same libc. The package knows nothing of HTTP: package gateway makes an environ record of a request, hands it
// over as an [Exchange], and writes what comes back.
//
// # Threads
//
//   - Python's main thread is a pthread of its own. It starts CPython, imports the apps, then sleeps in poll; it wakes to run the app's signal
//     handlers, to drop references of replies that were sent, and for the calls of [Host] (Load, Start, Info, HandleSignal, Shutdown).
//   - Python threads are threading.Thread objects named gowsgi-1 ... gowsgi-N whose target is a C loop (thread.c, dispatch.c). They run the
//     apps, and no other thread does. They live as long as the process, but for lost ones: threading.local and database connections keep.
//   - Which of them takes a request, and when another is let in, is the admission policy's to say (internal/admission).
//   - A ticker thread reads the CPU clocks of the Python threads, wakes another of them where the queue stands still, tells Go of chunks
//     that wait, and sees deadlines pass (deadline.c) and the GIL being held for too long (watchdog.c). It never takes the GIL.
//   - A Python thread named gowsgi-keeper does what needs the GIL for others (keeper.c): stack dumps, the exceptions of deadlines, a thread in
//     place of one that was lost. It runs no code of the app's.
//   - A goroutine hears of news through an eventfd and calls the [Sink] of each exchange that has some, unless the caller's own poll loop
//     borrowed that ([Host.LendEvents]). The log goroutine writes the lines that C collected, so that a log which can't be written holds up no
//     response. A third waits for exit codes ([Host.ExitRequested]). No goroutine ever takes the GIL.
//   - C calls Go in one place: a Python thread that has nothing else to do, and has let the GIL go, calls the sinks itself while the borrower's
//     loop sleeps (gowsgi_deliver). That saves a thread's wake-up, which is most of what a lone small request costs.
//
// # One request, the two sides of the boundary
//
//	Go (gateway, exchange_cgo.go)                    C (with the GIL where it says so)
//	Submit: record and body copied to the slot
//	ph_submit                                   ->   dispatch.c: queued; a thread is woken where one is needed
//	                                                 request_run (GIL): environ dict, app called
//	                                                 start_response: head checked and stored (head.c)
//	                                                 first chunk: PH_COMMITTED; output_bytes queues it (output.c)
//	ExchangeReady, Take, write, Sent            <-   event list; eventfd in groups, or gowsgi_deliver
//	                                                 iteration ends: PH_COMPLETE; close() runs
//	                                                 generation + 1: what the app kept is stale; PH_DONE
//	ExchangeReady, Take: Done; Release          <-
//
// # Deadlines
//
// A deadline counts from the app's call. When it passes, the ticker marks the slot, which Go hears of as Output.TimedOut: the client is answered
// whatever Python does. The keeper logs the thread's stack and raises gowsgi.RequestTimeout in it, with the GIL held and slot.mu against the
// slot's generation; the thread takes it back, under the same lock, before it calls close(). A thread that is still in the request 2 s later is
// lost: its place, not the thread, is what the policy counts, and a new thread gets it. The slot stays the lost thread's until it returns,
// which is then the end of that thread.
//
// # Memory
//
//	what                           made by                freed by
//	slot (ph_slot)                 NewExchange            never; used again after Release
//	body                           Submit (copied)        Release
//	body in BodyRoom               BodyRoom               Release; rooms of 1 MiB are kept for the next ones while there is work
//	environs that are copied       each Python thread     the thread's end; 16 kinds of requests for a thread
//	environ record                 Submit (copied)        overwritten by the slot's next request; over 64 KiB by Release
//	piece of a streamed body       PushBody (copied)      the first read after it was used up, or Release
//	spooled body (BodyFile)        the caller             the caller, after Release
//	status and headers             start_response         as the environ record; lent until Release
//	chunk < 16 KiB                 copied                 Sent or Release; the first one's memory is the slot's
//	chunk >= 16 KiB                a reference            Sent; dropped by the next request, from 1 MiB on by Python's main thread
//	chunk that is spooled          written to a file      Sent closes its dup of the descriptor
//	spool file, about 4 MiB        the first such chunk   its last chunk's Sent, once the next file was begun or the slot released
//	chunk of wsgi.file_wrapper     dup of the descriptor  Sent
//	note of a lost thread          the ticker             that thread, when it comes back
//	stack dump                     ph_stacks              the caller
//	log line                       ph_log                 the log goroutine, or Shutdown, when it is written
//
// A chunk is spooled where more than 256 KiB of its response would wait in memory; what exists already (a list, the only item) never is. Past
// [Options.SpoolLimit] the Python thread waits for the client.
//
// # Processes that the app forks
//
// They are not ours: descriptors of the server are closed there, Go's signal handlers and its limit on descriptors reset, and a thread that comes
// back from the app ends the process.
//
// # Before Go
//
// Package template forks workers from a process that imported the apps before any Go runtime was there (preload.c). In such a worker Python's
// main thread is the process's first, which the main goroutine keeps; signal handlers that the app set are put back after Go's start, and Open
// and Load find what there is. All else is as in other processes.
package pyhost
