/* The C surface to Go for CPython's life: loading, starting, importing apps, signals, the end.
 *
 * Texts that come back are malloc'ed: the caller frees them. No function here may be called by a thread that holds the GIL. */
#ifndef PYHOST_LIFECYCLE_H
#define PYHOST_LIFECYCLE_H

#include <stddef.h>
#include <stdint.h>

/* Why a library was refused. All texts may be NULL. */
typedef struct ph_load_error {
  char *symbol;  /* the function that is missing */
  char *version; /* Py_GetVersion() where it could be called */
  char *reason;  /* dlerror(), or what is wrong with the version */
} ph_load_error;
/* Loads libpython and fills the table of its functions. Thread: any, once at a time, before ph_start. 0, or -1 with e filled; may be called
 * again after a failure. */
int ph_load(const char *path, ph_load_error *e);

/* What ph_start reads; nothing of it is kept. */
typedef struct ph_start_options {
  const char *python; /* the executable as which CPython starts: it finds prefix and virtualenv from it */
  char *const *args;  /* options of python's command line: -X, -W, -O, ... */
  int nargs;
  const char *dir;    /* absolute; first on sys.path */
  const char *helper; /* the text of py/host.py */
  const char *api;    /* the text of py/gowsgi.py */
  uint64_t signals;   /* bit n - 1: signal n is received by the Go program, whatever handler the app sets */
  const char *spool_dir;
  int64_t spool_limit;
  int multiprocess;
} ph_start_options;
/* Starts Python's main thread and CPython on it, and waits until it is ready for ph_app_load. Thread: any, once. NULL, or a text that says
 * what CPython did not like; CPython can't be started again then. */
char *ph_start(const ph_start_options *o);

/* Why an app can't be loaded: one line, and a traceback or "". */
typedef struct ph_app_error {
  char *reason;
  char *traceback;
} ph_app_error;
/* Imports an app on Python's main thread and waits for it. Its number for ph_slot.app, or -1 with e filled. Thread: any. */
int ph_app_load(const char *spec, ph_app_error *e);
/* Calls what the apps gave gowsgi.postfork, on Python's main thread, and waits for it. 0, or -1 with e filled. Thread: any, once, after the
 * apps were loaded. */
int ph_postfork(ph_app_error *e);
/* Starts n Python threads. NULL, or a text. Thread: any, once, after the apps were loaded. */
char *ph_run(int n);
/* Facts on the interpreter and the apps: texts, each ended by a NUL: prefix, executable, version, "gil" or "free-threaded", then one per app
 * ("" or "Django 5.2"). len counts all bytes. NULL, and a text in *error. Thread: any. */
char *ph_info(size_t *len, char **error);
/* The folders that an app has its static files in: for each three texts, ended by a NUL: URL prefix, folder, and in place of both a problem.
 * Otherwise as ph_info. */
char *ph_static_folders(int app, size_t *len, char **error);
/* Calls a function of a Python module, "module.function", on Python's main thread, with a str (UTF-8) and for a str, and waits for it. What
 * it returned, otherwise as ph_info. Thread: any, after ph_start. */
char *ph_ask(const char *function, const char *text, size_t *len, char **error);
/* Has the app's own handler for a signal, if it set one, called on Python's main thread. Does not wait. Thread: any; async-signal-safe. */
void ph_signal(int sig);
/* The read end of a pipe on which an int32 arrives for each SystemExit that a signal handler of the app raised. */
int ph_exit_fd(void);
/* Ends Python's part of the process: waits for the app's non-daemon threads, runs atexit handlers, flushes. NULL, or a text. The
 * interpreter stays, so that daemon threads find it as it was. Thread: any, once; returns when all is done, however long it takes. */
char *ph_shutdown(void);

/* ---- preload: CPython before Go ---------------------------------------------------------------------------------------------------
 * The calls of a template process, in this order, on its first thread, before the Go runtime starts. From ph_preload_start on the GIL is
 * held. The process forks workers; in one of them the Go runtime starts on that thread, and from then on ph_adopt, ph_main_run and the
 * functions above are for it. */

/* Starts CPython, after ph_load. preload: the text of py/preload.py. log gets the log's lines until a worker is made, level as in ph_logline.
 * NULL, or a text. */
char *ph_preload_start(const ph_start_options *o, const char *preload, void (*log)(int level, const char *text, size_t len));
/* Calls a function, "module.function", with a text: 0, or -1 with e filled where it raised. */
int ph_preload_ask(const char *function, const char *text, ph_app_error *e);
/* Imports an app, the next of its number: 0, or -1 with e filled. */
int ph_preload_app(const char *prefix, const char *spec, ph_app_error *e);
/* Calls the app that is mounted at a path with GET. 0, or -1 with e and *spec (malloc'ed) filled. */
int ph_preload_warm(const char *path, char **spec, ph_app_error *e);
/* Ends the import. "", or the names of threads that a fork would lose, malloc'ed; NULL with e filled. */
char *ph_preload_seal(ph_app_error *e);
/* Writes out what waits in Python's standard streams. */
void ph_preload_flush(void);
/* Waits until a descriptor is readable, without the GIL. */
void ph_preload_wait(int fd);
/* Forks a worker, whose parent is not this process. Its process id here; 0 in the worker; -1 with errno. */
int ph_preload_fork(void);
/* Makes a new worker ready for the Go runtime: after its descriptors were placed. The GIL is not held afterwards. NULL, or a text. */
char *ph_preload_leave(void);

/* Whether CPython was started before Go. Thread: any. */
int ph_preloaded(void);
/* The names of the apps that were imported then, in the order of their numbers, each ended by a NUL. Memory: stays. Thread: any. */
const char *ph_preloaded_apps(size_t *len);
/* Python's main thread, from now on: does not return. Thread: the process's first. */
_Noreturn void ph_main_run(void);
/* What ph_start does that needs Go, where CPython was started before: signals, descriptors; of o, signals, spool_dir and spool_limit are read.
 * Waits for ph_main_run. NULL, or a text. Thread: any, once. */
char *ph_adopt(const ph_start_options *o);

/* Marks a descriptor as the server's: closed in each process that the app forks. Thread: any, GIL either. */
void ph_fd_own(int fd, int own);

#endif
