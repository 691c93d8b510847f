/* The admission policy: which Python thread takes a request, and when another is let in.
 *
 * A state machine that is told what happens and answers what to do. It has no locks, no clock, no threads and no Python, so that a test can
 * drive it in virtual time; dispatch.c has all these. Every function is called with the caller's lock held, times are monotonic
 * nanoseconds, nothing blocks, nothing is allocated.
 *
 * A thread goes round: IDLE -(woken)-> COMING -(adm_ask)-> ASKING for the GIL -(adm_got: ADM_SERVE)-> SERVING requests, one adm_took and
 * one adm_finished each -> then IDLE, or by way of DELIVERING the replies to COMING or IDLE. */
#ifndef PYHOST_ADMISSION_H
#define PYHOST_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

typedef enum { ADM_OFF, ADM_IDLE, ADM_COMING, ADM_ASKING, ADM_SERVING, ADM_DELIVERING } adm_state;

typedef struct adm_thread {
  adm_state state;
  bool in_app;    /* a request of its is in the app */
  bool computes;  /* used much CPU in the last measure */
  uint64_t spent; /* CPU that its request used, by the measures so far */
  bool counted;   /* DELIVERING, and expected back at once */
  int free_looks; /* ASKING: times in a row that the GIL was found free */
  bool yielded;   /* ASKING: after ADM_YIELD */
  bool others;    /* ASKING: others were in the app when it began */
  int waits;      /* ticks in a row in which it used little CPU in the app */
  uint64_t taken_before, asked;
  uint64_t since; /* when it took the request in hand, or began to deliver */
  uint64_t cpu;   /* its CPU clock, set by the caller where adm_wants_clocks says so */
  uint64_t cpu_ticked, cpu_measured;
} adm_thread;

typedef struct admission {
  adm_thread *threads;
  int n, cores;
  bool gil;
  uint64_t interval;                /* of the GIL's forced switch */
  int idle, coming, in_app, queued; /* coming: COMING, ASKING, and DELIVERING for less than a tick */
  int delivering;                   /* of coming */
  uint64_t taken;
  uint64_t open_until, next_look, short_seen;
  int vain;      /* looks in a row that found the GIL in use */
  bool busy;     /* the threads use up a core, or all of them where there is no GIL */
  bool parallel; /* the threads use more than a core */
  int waiting;   /* threads in the app that used hardly any CPU in the last tick */
  int leave;     /* threads that are to stop after their request */
  bool watched;  /* the clocks of the threads in the app were read at the last tick */
  bool returned; /* a thread seems to have come back from a wait, and to want the GIL */
  int last;      /* the thread that took a request last */
  uint64_t ticked, measured, taken_at_tick;
  bool emptied; /* the queue was empty once since the last tick */
  int still;
} admission;

typedef enum {
  ADM_SERVE,     /* take requests */
  ADM_ASK,       /* give the GIL back and ask again */
  ADM_PAUSE_ASK, /* the same, with ADM_GAP between */
  ADM_REST       /* give the GIL back and go idle */
} adm_verdict;

enum { ADM_TELL = 1, ADM_STOP = 2, ADM_YIELD = 4 }; /* what adm_finished answers, or'ed */

/* How long a thread stays off the GIL for ADM_PAUSE_ASK, and for ADM_YIELD. */
extern const uint64_t ADM_GAP, ADM_YIELD_TIME;
/* How often adm_tick is to be called while adm_needs_ticks, and else while requests are in the app. */
extern const uint64_t ADM_TICK, ADM_CALM_TICK;

/* threads: n of them, zeroed, the caller's. interval: the GIL's. cores: CPUs that the process may use. All threads are OFF until their first
 * adm_rest. */
void adm_init(admission *a, adm_thread *threads, int n, uint64_t interval, bool gil, int cores);
void adm_set_interval(admission *a, uint64_t interval);

/* A request was queued. Whether to wake an idle thread. */
bool adm_queued(admission *a, uint64_t at);
void adm_woken(admission *a, int me); /* IDLE to COMING */
/* A thread has no request, or has just started. True: it is IDLE now. False: it is COMING, since requests wait and nobody else comes for
 * them. */
bool adm_rest(admission *a, int me, uint64_t at);
/* A thread asks for the GIL. first: not after an ADM_ASK or ADM_PAUSE_ASK. */
void adm_ask(admission *a, int me, uint64_t at, bool first);
/* It got the GIL. After ADM_REST call adm_rest. */
adm_verdict adm_got(admission *a, int me, uint64_t at);
/* It took a request off the queue. Whether to wake another thread. */
bool adm_took(admission *a, int me, uint64_t at);
/* The request is over. untold: replies of its that nobody was told of. ADM_TELL: tell of them now. ADM_STOP: take no other, but adm_rest.
 * ADM_YIELD: let go of the GIL for ADM_YIELD_TIME, then ask (adm_ask, not first). */
int adm_finished(admission *a, int me, uint64_t at, int untold);
/* The queue is empty: the thread goes off to deliver the replies. After that call adm_rest. */
void adm_deliver(admission *a, int me, uint64_t at);
/* A request left the queue, and no thread took it. */
void adm_dropped(admission *a);
/* A thread that has a request in the app is counted no more, and is OFF; another will take its place by adm_rest. */
void adm_lost(admission *a, int me);
/* Whether a request waits for which a tick may have a thread woken. */
bool adm_needs_ticks(const admission *a);
/* Whether adm_tick wants threads[].cpu set to their CPU clocks, in nanoseconds: of all, else of those in the app. */
bool adm_wants_clocks(const admission *a, uint64_t at, bool *all);
/* Whether to wake an idle thread. */
bool adm_tick(admission *a, uint64_t at);

#pragma GCC visibility pop
#endif
