/* What the C files of CPython's life share: pyapi, runtime, mainthread, signals, fork, crash, rlimit, apps, preload, errlog.
 * Not for Go. */
#ifndef PYHOST_INTERP_H
#define PYHOST_INTERP_H

#include "internal.h"
#include "lifecycle.h"

#pragma GCC visibility push(hidden)

/* ---- runtime.c ---------------------------------------------------------------------------------------------------------------------- */
/* Starts CPython on the calling thread, which becomes Python's main thread and holds the GIL afterwards. NULL, or a malloc'ed text. */
char *ph_python_start(const ph_start_options *o);
/* Takes what the options say of spooling. GIL: either. False where memory is out. */
bool ph_spool_set(const ph_start_options *o);
/* Runs a further text in py/host.py's namespace. GIL: held. 0, or -1 with an exception. */
int ph_helpers_add(const char *text, const char *file);
/* Calls py/host.py's name(args...), NULL-terminated: new reference, or NULL with an exception. Ends a forked process in which the call
 * returned. GIL: held. */
PyObject *ph_helper_call(const char *name, ...);
/* The exception that is set as text with traceback, malloc'ed, and clears it. Never NULL unless memory is out. GIL: held. */
char *ph_exception_text(void);
/* A malloc'ed copy of a str's text in UTF-8; NULL with an exception where o is no str. GIL: held. */
char *ph_text(PyObject *o, size_t *len);

/* ---- apps.c ---------------------------------------------------------------------------------------------------------------------------- */
/* ph_app_load for Python's main thread itself. GIL: held. */
int ph_app_load_here(const char *spec, ph_app_error *e);
/* Fills e with the exception that is set. GIL: held. */
void ph_app_failed(ph_app_error *e, const char *reason);
/* Fills e with a tuple's last two strings, reason and traceback. GIL: held. 0, or -1 with an exception. */
int ph_app_refused(ph_app_error *e, PyObject *tuple);

/* ---- mainthread.c ---------------------------------------------------------------------------------------------------------------------- */
/* Runs fn(arg) on Python's main thread with the GIL held, and waits. GIL: no. Thread: any but that one. */
void ph_main_call(void (*fn)(void *), void *arg);
/* After imports and handlers of the app: settles who owns which signal, and takes signal.set_wakeup_fd where the app left it free. GIL:
 * held, Python's main thread. */
void ph_main_settle(void);
/* Makes the descriptors of the main thread's loop. NULL, or a malloc'ed text. GIL: either. */
char *ph_main_descriptors(void);
/* Keeps the thread state with which ph_main_run goes on, and releases the GIL. GIL: held, Python's main thread. */
void ph_main_leave(void);
/* In a forked process: gives up signal.set_wakeup_fd, before the loop's descriptors are closed. GIL: held. */
void ph_main_child(void);

/* ---- signals.c ---------------------------------------------------------------------------------------------------------------------- */
/* Notes the handlers that Go set. Thread: any, before CPython starts. wanted: ph_start_options.signals. */
void ph_signals_record(uint64_t wanted);
/* In a worker that is about to start Go: puts handlers back as they were when CPython started, and keeps the app's. */
void ph_signals_suspend(void);
/* After Go's start: ph_signals_record, and the app's handlers as they were. sigint_default as below. Thread: Python's main thread. */
void ph_signals_resume(uint64_t wanted, bool sigint_default);
/* Gives each signal to its owner. sigint_default: Python's handler for SIGINT is its own, not the app's. GIL: either. Thread: Python's main
 * thread. */
void ph_signals_settle(bool sigint_default);
/* Lets the signal module believe that no handler was set when CPython started, as in python: Go's would read as None, which
 * signal.signal() does not take back. GIL: held, Python's main thread, before any app is imported. 0, or -1 with an exception. */
int ph_signals_pretend(void);
/* In a forked process: no signal goes to Go or to us any more. Async-signal-safe. */
void ph_signals_child(void);
/* Go's handler for a signal, as noted. Async-signal-safe. */
const struct sigaction *ph_signals_go(int sig);

/* ---- crash.c ------------------------------------------------------------------------------------------------------------------------ */
/* Whether crash.c serves a signal. */
bool ph_crash_serves(int sig);
/* Takes a signal; what handled it before (faulthandler, a handler of the app) is called after the last words. */
void ph_crash_install(int sig, const struct sigaction *before);
/* Whether a is our handler. */
bool ph_crash_is(const struct sigaction *a);
/* As ph_crash_note, for other work than a request: "importing ", "app:app". what stays valid until the next call. NULL, NULL: nothing. */
void ph_crash_doing(const char *verb, const char *what);
/* What is to handle the signal in a forked process: what the app set, or NULL for the default. */
const struct sigaction *ph_crash_before(int sig);

/* ---- fork.c ------------------------------------------------------------------------------------------------------------------------- */
/* Registers what happens in a forked process, and finds the descriptors of Go's poller. GIL: held, Python's main thread, before any app
 * is imported. 0, or -1 with an exception. */
int ph_fork_init(void);

/* Notes which descriptors there are before Go's: they are not Go's poller. GIL: either. */
void ph_fork_before_go(void);
/* Finds the descriptors of Go's poller. GIL: either. */
void ph_fork_after_go(void);
/* Set while the template forks a worker, which is none of the app's processes. GIL. */
extern bool ph_fork_worker;

/* ---- rlimit.c ----------------------------------------------------------------------------------------------------------------------- */
/* Gives the calling process the soft RLIMIT_NOFILE that this one was started with. Async-signal-safe. */
void ph_rlimit_restore(void);

/* ---- errlog.c: the C functions of py/host.py -------------------------------------------------------------------------------------------- */
/* Puts them into host.py's namespace. GIL: held. 0, or -1 with an exception. */
int ph_errlog_init(PyObject *dict);
/* The same for requestid.c. */
int ph_request_id_init(PyObject *dict);
/* Where the log's lines go in a process without Go; NULL elsewhere. GIL. */
extern void (*ph_errlog_early)(int level, const char *text, size_t len);

#pragma GCC visibility pop
#endif
