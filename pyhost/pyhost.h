/* The whole C surface that Go calls. C calls Go in one place, gowsgi_deliver.
 *
 * Each prototype says: GIL (does the caller hold it), thread (who may call), memory (who frees). "Any thread" means any thread that does
 * not hold the GIL; no function here takes the GIL on the caller's thread unless it says so. */
#ifndef PYHOST_H
#define PYHOST_H

#include <stdint.h>

/* A piece of a response body, made by a Python thread, written to the client by Go, freed by ph_sent. */
typedef struct ph_chunk {
  struct ph_chunk *next;
  const char *data; /* NULL: the bytes are in fd */
  int64_t size;
  int64_t offset; /* in fd */
  int fd;         /* -1 where data is set */
  uint8_t kind;   /* private */
  void *owner;    /* private */
} ph_chunk;

enum {                    /* ph_slot.state, after ph_take */
       PH_COMMITTED = 1,  /* status and headers are final: the first byte may go out */
       PH_COMPLETE = 2,   /* the body has ended: nothing follows the chunks taken with or before this */
       PH_FAILED = 4,     /* the app failed: without PH_COMMITTED answer 500, with it cut the connection */
       PH_DONE = 8,       /* the Python thread has left the request: ph_release may be called */
       PH_REFUSED = 32,   /* with PH_DONE: no thread took the request in time, or the queue was full. The app never saw it */
       PH_TIMED_OUT = 64, /* the deadline passed: answer 504, or cut the connection where the response had begun */
       PH_LOST = 128,     /* the thread did not come back after that, or the GIL is held; PH_DONE may come much later or never */
       PH_WANT_BODY = 16, /* the app reads the body and waits for more of it (a first sign for 100-continue) */
};

/* One request and its response. Memory: made by ph_slot_new, never freed, used again after ph_release. */
typedef struct ph_slot {
  uint32_t id;
  /* The request: written by Go between ph_slot_new/ph_release and ph_submit. */
  uint32_t app;     /* index given by ph_app_load */
  uint32_t rec_len; /* bytes of rec used: pairs of (u32 key length, u32 value length, key, value), native byte order, latin-1 */
  uint32_t rec_cap; /* see ph_slot_reserve */
  char *rec;        /* the environ record; the caller writes rec_len bytes into it */
  int64_t content_length; /* of the body; -1 where it is not known beforehand (chunked) */
  int body_fd;            /* the whole body in a file from offset 0, or -1; stays Go's, open until ph_release */
  int64_t timeout;        /* ns for the app, from its call on; 0: no limit */
  int64_t queue_timeout;  /* ns in the queue, 0: no limit; requests of one process have the same */
  uint32_t backlog;       /* of so many requests in the queue no more is let in; 0: no limit */
  uint8_t body_stream;    /* the body comes by ph_body_push and ends with ph_body_end */
  uint8_t timed;          /* ran is wanted */
  /* How the request fared: written by who runs it, read atomically at any time before ph_release. Times are those of ph_now. */
  uint32_t thread;    /* number of the Python thread that took it, as in its name; 0: none has */
  uint64_t queued_at; /* 0: it was refused at once */
  uint64_t taken_at;
  uint64_t ran; /* ns until the thread left the request; 0: it has not, or timed is not set */
  /* The response: written by ph_take, lent until ph_release. */
  uint32_t state;
  uint32_t status_len, headers_len;
  const char *status;  /* "200 OK" */
  const char *headers; /* pairs in the form of rec */
  ph_chunk *chunks;    /* what was made since the last ph_take, oldest first; NULL where nothing */
} ph_slot;

/* GIL: no. Thread: any. NULL where memory is out. */
ph_slot *ph_slot_new(uint32_t id);
/* Makes rec at least n bytes. GIL: no. Thread: the one that fills the slot. 0, or -1 where memory is out. */
int ph_slot_reserve(ph_slot *s, uint32_t n);
/* Gives the request its body held in memory (copied), before ph_submit. GIL: no. 0, or -1 where memory is out. */
int ph_body_set(ph_slot *s, const void *p, uint64_t n);
/* Memory for n bytes (n > 0) of the body, the slot's until ph_release; again for more, and it moves. GIL: no. NULL where memory is out. */
void *ph_body_room(ph_slot *s, uint64_t n);
/* Makes the first n bytes of it the body. GIL: no. */
void ph_body_filled(ph_slot *s, uint64_t n);
/* CLOCK_MONOTONIC in ns. GIL: either. Thread: any. */
uint64_t ph_now(void);
/* Queues the request; PH_REFUSED comes as news where it may not. GIL: no. Thread: any. */
void ph_submit(ph_slot *s);
/* A further piece of a streamed body (copied). GIL: no. Thread: any. Bytes that wait to be read by the app, or -1 where memory is out. From
 * PH_BODY_HIGH on the caller should stop until PH_WANT_BODY. */
#define PH_BODY_HIGH (256 << 10)
int64_t ph_body_push(ph_slot *s, const void *p, uint32_t n);
/* The streamed body is over: whole, or cut short (failed: the app's reads raise OSError). GIL: no. Thread: any. */
void ph_body_end(ph_slot *s, int failed);
/* The client is gone: a request in the queue leaves it; reads of the body raise OSError, the next chunk ends the iteration, waiting threads
 * wake. GIL: no. Thread: any. */
void ph_cancel(ph_slot *s);
/* Makes an eventfd for ph_event_switch. The descriptor, or -1. Thread: any. */
int ph_event_open(void);
/* From now on C writes this eventfd when there is news; at once the first time. It must never be closed. GIL: no. Thread: any. */
void ph_event_switch(int fd);
/* Not 0 while the one who collects events sleeps, and a Python thread that has nothing else to do had better collect them itself. */
extern uint32_t ph_listener_asleep;
/* Writes ids of slots with news into ids (at most n) and returns how many. GIL: no. Thread: one at a time. */
int ph_events(uint32_t *ids, int n);
/* Fills the response part of s with what is new. GIL: no. Thread: one at a time for a slot. */
void ph_take(ph_slot *s);
/* Frees chunks up to and with last, which were taken before and are written (or not wanted). GIL: no. Thread: any. */
void ph_sent(ph_slot *s, ph_chunk *first, ph_chunk *last);
/* Makes the slot ready for another request. Only after PH_DONE was taken. first to last: the chunks that were taken and not given to ph_sent;
 * NULL where there are none. GIL: no. */
void ph_release(ph_slot *s, ph_chunk *first, ph_chunk *last);

/* How many requests are in the queue. Read it atomically. */
extern uint32_t ph_queued;

/* For how long the GIL may be held by one thread while requests wait for it: ns, 0: for ever. Before ph_run. Thread: any. */
void ph_gil_timeout(int64_t ns);
/* The Python stacks of all threads, as text: malloc'ed, NULL where memory is out. Waits up to a second for the GIL. Thread: any, after
 * ph_run. */
char *ph_stacks(void);
/* What befell the Python threads. Numbers only grow, but for lost and held. */
typedef struct ph_notices {
  uint32_t losses; /* threads that did not come back after a deadline */
  uint32_t lost;   /* of these, the ones that are still away */
  uint32_t holds;  /* times that the GIL was held for too long */
  int64_t held;    /* ns, the last time */
} ph_notices;
/* Changes with each notice; the eventfd is written. Read it atomically. */
extern uint32_t ph_notice_count;
ph_notices ph_notices_take(void); /* Thread: any. GIL: no. */

/* A log line of the app or of the host. Free with ph_log_free. */
typedef struct ph_logline {
  struct ph_logline *next;
  int level;    /* as slog: -4 debug, 0 info, 4 warn, 8 error */
  int32_t slot; /* the request's slot, or -1 */
  uint32_t len;
  char text[];
} ph_logline;
/* The lines since the last call, oldest first, or NULL. GIL: no. Thread: one at a time. */
ph_logline *ph_log_take(void);
void ph_log_free(ph_logline *l);
/* Bytes of memory of the lines that were not freed yet. GIL: either. Thread: any. */
int64_t ph_log_waiting(void);

#endif
