/* The private half of a slot, and what the files of the request path share. */
#ifndef PYHOST_SLOT_H
#define PYHOST_SLOT_H

#include "internal.h"

#pragma GCC visibility push(hidden)

enum { CHUNK_SLOT, CHUNK_COPY, CHUNK_OBJECT, CHUNK_FILE, CHUNK_SPOOL }; /* ph_chunk.kind; up to CHUNK_OBJECT in memory */

/* A piece of a streamed request body. */
typedef struct body_block {
  struct body_block *next;
  uint32_t len;
  char data[];
} body_block;

/* Guarded by mu: out_*, spool_*, blocks, body_eof, want. The rest belongs to Go before ph_submit, then to the Python thread that runs the
 * request until it sets PH_DONE. */
typedef struct slot {
  ph_slot pub; /* first: Go's view */
  pthread_mutex_t mu;
  pthread_cond_t cv;           /* body pushed, chunks sent, cancelled, request over */
  _Atomic uint32_t generation; /* one more when a request ends: what the app keeps of it is then stale */
  _Atomic bool cancelled;      /* the client is gone */

  struct slot *queue_next, *queue_prev; /* dispatch.c */
  bool queued;
  struct slot *event_next; /* events.c */
  _Atomic bool event_queued;

  /* request body (input.c) */
  char *body; /* in memory, whole */
  uint64_t body_cap;
  int64_t body_len;
  body_block *blocks, *blocks_last; /* streamed, not yet read */
  int64_t blocks_len;
  bool body_eof, body_failed, want;
  const char *win; /* the part of the body that is at hand */
  int64_t win_len, win_pos, file_pos;
  char *file_buf;
  body_block *win_block;
  _Atomic bool reading; /* one reader at a time: the window is not for two */
  bool full;            /* Go was told that much waits, and stopped */

  /* deadline.c */
  _Atomic uint64_t deadline; /* when the app has to be done, by dispatch_now; 0: it has no limit; PAST: that time has come */
  _Atomic bool closing;      /* the app's part is over but for close(): it is not interrupted any more */
  bool interrupted;          /* under mu: an exception was raised in the thread, and may be yet to come */

  _Atomic int busy; /* calls of the app that run with the GIL released on this slot; the request's end waits for them */

  /* response (response.c) */
  _Atomic uint32_t flags;
  char *head; /* status, then the header record */
  uint32_t head_cap, status_len, headers_len;
  bool head_set;
  ph_chunk *out_first, *out_last;
  _Atomic int64_t unsent; /* bytes of memory given to Go and not yet given back */
  ph_chunk *own;          /* for the first small piece of a reply; own_cap bytes follow it */
  uint32_t own_cap;
  _Atomic bool own_used;
  int64_t spool_unsent;  /* the same in spool files */
  int64_t spool_pos;     /* end of the spool file */
  uintptr_t spool_files; /* that were opened: tells the chunks of one from another's */
  int spool_fd;
} slot;

/* What the app holds of a request: the data of a wsgi.input object. */
typedef struct handle {
  slot *s;
  uint32_t generation;
} handle;

static inline slot *slot_of(ph_slot *p) { return (slot *)p; }

/* ---- slot.c ---- */
/* Brackets what the app's threads do on the slot with the GIL released. unblocked_begin locks mu, unblocked_end unlocks it. */
PyThreadState *unblocked_begin(slot *s);
void unblocked_end(slot *s, PyThreadState *ts);

/* ---- request.c ---- */
/* The request's handle, where it still is the one that the slot serves, else NULL with RuntimeError set. GIL: held. */
handle *handle_live(PyObject *input, const char *what);
handle *handle_data(PyObject *input);
/* s: NULL for an object that is no request's. */
PyObject *input_new(slot *s);
PyObject *request_extend(PyObject *self, PyObject *seconds);
/* The dict of the request, new reference, or NULL with an exception. GIL: held. */
PyObject *environ_new(slot *s, PyObject *input);
/* Makes ahead what this thread's next request will need, where that is not there yet: a copy of the environ of its latest requests. To be
 * called when a reply was handed over; what was made is used sooner or later. No exception is set. GIL: held. */
void request_prepare(void);
int environ_init(void);
/* Frees what this thread keeps for its next requests. GIL: held. */
void request_thread_end(void);

PyObject *app_of(slot *s);
/* Borrowed: lives as long as o. GIL: held. */
static inline PyObject *py_type_borrowed(PyObject *o) {
  PyObject *t = py.PyObject_Type(o);
  py.Py_DecRef(t);
  return t;
}

/* ---- body.c ---- */
void body_free(slot *s);
/* Gives back to the system the memory that is kept for the next bodies. GIL: either. Thread: any. */
void body_trim(void);

/* ---- deadline.c ---- */
/* gowsgi.RequestTimeout; set once, before any app is imported. */
extern PyObject *exc_RequestTimeout;
/* No exception comes into this request's thread from here on. True: one had been raised in it. GIL: held. */
bool deadline_disarm(slot *s);
void deadline_reset(slot *s);
/* Whether the time is over: nobody waits for the response any more. GIL: either. */
bool deadline_passed(slot *s);
/* Moves the deadline of a request, where it has one. 0, or -1 where the request is over or its deadline has passed. GIL: either. */
int deadline_extend(slot *s, uint32_t generation, int64_t ns);
/* Writes "GET /path" into name, cut at size - 1 bytes. The slot must not be given back meanwhile. GIL: either. */
void request_name(slot *s, char *name, size_t size);

/* ---- input.c ---- */
extern PyMethodDef input_methods[];
PyObject *input_iternext(PyObject *self);
/* Frees what the body holds. GIL: either. Thread: the one that runs the request, or ph_release. */
void input_reset(slot *s);

/* ---- response.c ---- */
int response_init(void);
/* Runs the app for the slot's request; sets PH_DONE. GIL: held. */
void request_run(slot *s);
extern PyMethodDef start_response_def;
void response_reset(slot *s);

/* ---- head.c ---- */
/* Checks a status line and a header list and stores them. 0, or -1 with an exception that names what is wrong. GIL: held. */
int head_set(slot *s, PyObject *status, PyObject *headers);

/* ---- output.c ---- */
typedef enum {
  BODY_WHOLE, /* all of it, or a part of what exists already: goes with the headers, however long */
  BODY_FIRST, /* the end most often follows at once */
  BODY_MORE
} body_part;
/* Adds a piece of the body, the n bytes at p of a bytes object: keeps the object or copies it; blocks (GIL released) where the client is too
 * slow and the spool is full. 0, or -1 with OSError where the client is gone. GIL: held. */
int output_bytes(slot *s, PyObject *bytes, const char *p, Py_ssize_t n, body_part part);
/* Adds size bytes of a file (fd is dup'ed). 0, or -1 with an exception. GIL: held. */
int output_file(slot *s, int fd, int64_t offset, int64_t size);
/* Sets flags and tells Go. GIL: either. */
void output_flags(slot *s, uint32_t flags, bool now);
void output_reset(slot *s);

/* ---- dispatch.c ---- */
/* Queues a request, or refuses it. */
void dispatch_submit(slot *s);
/* Drops a request that is still in the queue. */
void dispatch_cancel(slot *s);
/* Go is to be told within a tick of the events that were pushed. Any thread. */
void dispatch_tell_soon(void);
/* Notes for how long the request ran, where that is wanted. Thread: the one that runs it. */
void dispatch_note_end(slot *s);
/* The life of a Python thread that has a place under this number; returns only where the place was given to another. GIL: held. */
void dispatch_loop(int number);
/* switch_interval: seconds. Once, before dispatch_loop and dispatch_submit. 0, or -1 where memory or threads are short. GIL: either. */
int dispatch_init(int threads, double switch_interval, bool gil);

/* ---- thread.c ---- */
void thread_set_current(slot *s);
/* Starts a daemon thread of Python's that runs def(argument). GIL: held. 0, or -1 with an exception. */
int thread_start(PyMethodDef *def, const char *name, int argument);
/* The same for a thread that has a place under this number. */
int thread_start_numbered(int number);
/* The GIL's switch interval in seconds, as the app last set it. GIL: held. */
double thread_switch_interval(void);

/* ---- events.c ---- */
/* Slots that Go was not told of yet. */
bool events_pending(void);

#pragma GCC visibility pop
#endif
