/* What the C files of pyhost share. Not for Go. */
#ifndef PYHOST_INTERNAL_H
#define PYHOST_INTERNAL_H

#include "pyapi.h"
#include "pyhost.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* ---- events.c: C to Go ---------------------------------------------------------------------------------------------------------- */
/* Puts the slot on the event list. now: tell Go at once, else by the dispatcher's rule. GIL: either. Thread: any. */
void ph_event_push(ph_slot *s, bool now);
/* Writes the eventfd where Go was not told yet. GIL: either. Thread: any. */
void ph_event_notify(void);
/* Tells Go, or where Go sleeps has this thread do what it would: write the replies that are finished. GIL: released. Thread: Python's. */
void ph_event_deliver(void);
int gowsgi_deliver(void); /* Go's part of it */
/* Copies text, the first MiB of it. slot -1: no request. GIL: either. Thread: any. */
void ph_log(int level, int slot, const char *text, size_t len);
void ph_logf(int level, int slot, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- dispatch.c, thread.c: the queue and the Python threads ----------------------------------------------------------------------- */
/* Starts n Python threads as threading.Thread. GIL: held, Python's main thread, after the apps' import. 0, or -1 with an exception. */
int ph_threads_start(int n);
/* The slot whose request this thread runs, or NULL. Safe in a signal handler. */
ph_slot *ph_current_slot(void);

/* ---- environ.c, request.c, response.c, body.c, input.c, output.c: one request ------------------------------------------------------------ */
/* Makes types, interned keys and the common environ. GIL: held, Python's main thread, once, after host.py was loaded and before any app
 * is. 0, or -1 with an exception set. */
int ph_request_init(void);
/* Adds an app (increfs it): its index for ph_slot.app, or -1 where there are too many. GIL: held, Python's main thread. */
int ph_app_add(PyObject *app);
/* Gives back the objects of replies that were sent. GIL: held. Thread: any. */
void ph_release_objects(void);
/* Set before ph_request_init. */
extern const char *ph_spool_dir; /* where replies are spooled */
extern int64_t ph_spool_limit;   /* bytes of one reply that may wait in its spool file */
extern bool ph_multiprocess;     /* wsgi.multiprocess */

/* ---- runtime.c, mainthread.c: CPython's life, Python's main thread ------------------------------------------------------------------ */
/* Borrowed reference to an attribute of py/host.py, or NULL with an exception. GIL: held. */
PyObject *ph_helper(const char *name);
/* Borrowed, kept for the life of the process, looked up in builtins once. */
extern PyObject *ph_exc_BaseException, *ph_exc_RuntimeError, *ph_exc_TypeError, *ph_exc_ValueError, *ph_exc_OSError,
    *ph_exc_AssertionError, *ph_exc_SystemExit, *ph_none;
/* Wakes Python's main thread to call ph_release_objects. GIL: either. Thread: any; async-signal-safe. */
void ph_main_wake(void);
/* Logs the exception that is set, with its traceback and the request it came from, and clears it. Never exits the process, SystemExit
 * included. what: "the app raised", "close() raised". GIL: held. */
void ph_log_exception(ph_slot *s, const char *what);

/* ---- requestid.c ------------------------------------------------------------------------------------------------------------------------- */
/* The id of a request, ASCII, in the slot's record; NULL where it has none. The slot must not be given back meanwhile. GIL: either. */
const char *ph_request_id(const ph_slot *s, uint32_t *len);

/* ---- errlog.c: wsgi.errors ------------------------------------------------------------------------------------------------------------- */
/* At the end of a request: logs a line that this thread began on wsgi.errors and did not end. GIL: either. */
void ph_errors_end(void);

/* ---- fork.c: a process that the app forked ------------------------------------------------------------------------------------------ */
extern _Atomic bool ph_forked; /* true in such a process: no queue, no events, no client */
/* Leaves a forked process from inside the host: flushes Python's standard streams and calls _exit with the code that the exception that is
 * set asks for (SystemExit's, 1 for another after its traceback went to stderr, 0 for none). GIL: held. Does not return. */
_Noreturn void ph_forked_exit(void);

/* ---- crash.c: the last words ---------------------------------------------------------------------------------------------------------- */
/* Called by each Python thread when it starts (sigaltstack). GIL: either. */
void ph_crash_thread_start(void);
/* What to say if this thread dies by a signal: "GET /path". line points to memory of the thread's own and stays valid until the next
 * call; NULL: nothing in hand. Cheap: two stores. GIL: either. */
void ph_crash_note(const char *line, uint32_t len);

#pragma GCC visibility pop
#endif
