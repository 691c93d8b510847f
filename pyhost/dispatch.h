/* What the files around the queue share: the places of the Python threads, and who watches over them. */
#ifndef PYHOST_DISPATCH_H
#define PYHOST_DISPATCH_H

#include "slot.h"

#pragma GCC visibility push(hidden)

enum { VACANT = -1, NAME_MAX_LEN = 300 };

/* A request in the hands of a Python thread. */
typedef struct task {
  slot *s; /* NULL: none. It may be given back, and be used for another request, as soon as its generation differs */
  uint32_t generation;
  int number;          /* of the thread; its name is one more */
  unsigned long ident; /* threading.get_ident() of it */
  uint64_t since;
  enum {
    IN_TIME,
    PASSED,     /* its deadline; the client was told, the keeper is to show the stack and to interrupt the thread */
    INTERRUPTED /* it was shown, and an exception was raised in the thread unless it was in close() */
  } stage;
  uint64_t passed_at;
  uint64_t counted;        /* ns since INTERRUPTED in which it could have come back */
  bool shown;              /* the log has the stack, or will have it */
  char name[NAME_MAX_LEN]; /* "GET /path" from PASSED on */
} task;

/* One of the --threads places: a Python thread, and another one where it was lost. The policy knows it by its index. */
typedef struct thread {
  pthread_cond_t woken;
  bool ready, wake;
  struct thread *idle_next;
  clockid_t clock;
  uint64_t interval_read;
  task task; /* its number is VACANT where the place is nobody's yet */
} thread;

/* Guards all that is in this file, the queue and the policy. Held for short, never while waiting for the GIL. Before slot.mu. */
extern pthread_mutex_t dispatch_mu;
extern thread *dispatch_threads;
extern int dispatch_n;

/* ---- dispatch.c ---- */
uint64_t dispatch_now(void); /* CLOCK_MONOTONIC in ns */
/* Takes its place from a thread that did not come back. dispatch_mu held. */
void dispatch_lose(thread *t);
/* Requests that were ever taken off the queue, and whether some wait or are in the app. dispatch_mu held. */
uint64_t dispatch_taken(void);
bool dispatch_busy(void);
/* Refuses all requests that wait. dispatch_mu held. */
void dispatch_refuse_all(void);

/* ---- deadline.c ---- */
/* Acts on deadlines that passed. Thread: the ticker. dispatch_mu held. */
void deadline_tick(uint64_t at);
/* Tells the clients of all requests in the app that they took too long. dispatch_mu held. */
void deadline_pass_all(uint64_t at);
/* The thread has left a request whose deadline passed. dispatch_mu held. */
void deadline_ended(task *t);
/* Shows and interrupts what passed. GIL: held. Thread: the keeper. */
void deadline_interrupt(void);
/* A lost thread has come back. dispatch_mu held. */
void deadline_returned(unsigned long ident);
/* Calls f for each thread with a request in the app: the name of the request, and since when. dispatch_mu held. */
void deadline_each(void (*f)(void *arg, unsigned long ident, int number, const char *name, uint64_t since), void *arg);

/* ---- keeper.c: the Python thread that does what needs the GIL ---- */
/* Starts it. GIL: held. 0, or -1 with an exception. */
int keeper_start(void);
/* Has it look after what is to be done. dispatch_mu held. */
void keeper_wake(void);
/* Whether it waits for the GIL. dispatch_mu held. */
bool keeper_asks(void);
/* A stack dump, malloc'ed; NULL: the GIL was not to be had for a second. GIL: no. dispatch_mu held, and released meanwhile. */
char *keeper_dump(void);

/* ---- watchdog.c: the GIL ---- */
/* Thread: the ticker. dispatch_mu held; released and taken again where it writes stacks. */
void watchdog_tick(uint64_t at);
/* The keeper has got the GIL. dispatch_mu held. */
void watchdog_relieved(void);
/* For how long the keeper has waited for the GIL, in ns of a process that runs. dispatch_mu held. */
uint64_t watchdog_waited(void);
/* Whether the GIL is held for too long just now: no request has a chance. dispatch_mu held. */
bool watchdog_held(void);

/* ---- stacks.c ---- */
/* GIL: held. 0, or -1 with an exception. */
int stacks_init(bool gil);
/* All threads, by the interpreter: malloc'ed, NULL where memory is out. GIL: held. */
char *stacks_by_python(void);
/* All threads without the GIL: malloc'ed; a text that says why not where that can't be done. GIL: not held. dispatch_mu not held. */
char *stacks_without_gil(void);

/* ---- notices: what the Go side is to be told of; dispatch_mu held ---- */
void notice_lost(int now);
void notice_gil_held(uint64_t ns);

#pragma GCC visibility pop
#endif
