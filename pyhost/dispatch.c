/* The queue of requests and the Python threads that take them. Which thread takes a request, and when another is let in, is the admission
 * policy's to say (internal/admission); here are what it has not: the lock, the threads' sleep, the GIL, the clocks.
 *
 * Idle threads are woken last in, first out, so that few of them hold database connections. */
#define _GNU_SOURCE
#include "internal/admission/admission.h"
#include "slot.h"
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
  CALM_TICKS = 10 /* after which the ticker slows down: to have it tick again costs a thread's wake-up */
};
static const uint64_t ASLEEP_AFTER = 200000000ull;   /* without any request */
static const uint64_t INTERVAL_READ = 1000000000ull; /* the app may change the switch interval; reading it is a call into Python */

typedef struct thread {
  pthread_cond_t woken;
  bool ready, wake;
  struct thread *idle_next;
  clockid_t clock;
  uint64_t interval_read;
} thread;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* guards all of this; held for short, never while waiting for the GIL */
static pthread_cond_t ticker_woken;                    /* by CLOCK_MONOTONIC */
static admission policy;
static thread *threads, *idle_top;
static slot *queue_first, *queue_last;
static enum { TICKING, CALM, ASLEEP } pace; /* the ticker's: each ADM_TICK, each ADM_CALM_TICK, not at all */
static int calm_ticks;                      /* in a row that were not needed, since the pace changed */
static _Atomic bool calm;                   /* pace is not TICKING, for who does not have mu */

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t nanoseconds(double seconds) { return (uint64_t)(seconds * 1e9); }

/* mu held; a thread is idle. */
static void wake_one(void) {
  thread *t = idle_top;
  idle_top = t->idle_next;
  t->wake = true;
  adm_woken(&policy, (int)(t - threads));
  pthread_cond_signal(&t->woken);
}

/* mu held. */
static void set_pace(int to) {
  pace = to;
  calm_ticks = 0;
  atomic_store(&calm, to != TICKING);
}

/* Wakes the ticker, to tick or only to note that there is work. mu held. */
static void tick_on(bool tick) {
  if (pace == TICKING) return;
  set_pace(tick ? TICKING : CALM);
  pthread_cond_signal(&ticker_woken);
}

void dispatch_submit(slot *s) {
  s->queue_next = NULL;
  pthread_mutex_lock(&mu);
  if (queue_last)
    queue_last->queue_next = s;
  else
    queue_first = s;
  queue_last = s;
  if (adm_queued(&policy, now())) wake_one();
  bool tick = adm_needs_ticks(&policy);
  if (tick || pace == ASLEEP) tick_on(tick);
  pthread_mutex_unlock(&mu);
}

void dispatch_tell_soon(void) {
  if (!atomic_load(&calm)) return;
  pthread_mutex_lock(&mu);
  tick_on(true);
  pthread_mutex_unlock(&mu);
}

/* Lets others have the GIL. mu held, GIL not. Spins, since the kernel's timers are coarser than this. */
static void stay_off_gil(uint64_t time) {
  pthread_mutex_unlock(&mu);
  uint64_t until = now() + time;
  while (now() < until) sched_yield();
  pthread_mutex_lock(&mu);
}

static void release_gil(void) {
  pthread_mutex_unlock(&mu);
  py.PyEval_SaveThread();
  pthread_mutex_lock(&mu);
}

/* Asks for the GIL until the policy is content. mu held, GIL not. True: serve, with both. False: go idle, with mu. */
static bool ask(int me, PyThreadState *ts, bool first) {
  for (;;) {
    adm_ask(&policy, me, now(), first);
    pthread_mutex_unlock(&mu);
    py.PyEval_RestoreThread(ts);
    pthread_mutex_lock(&mu);
    adm_verdict v = adm_got(&policy, me, now());
    if (v == ADM_SERVE) return true;
    release_gil();
    if (v == ADM_REST) return false;
    if (v == ADM_PAUSE_ASK) stay_off_gil(ADM_GAP);
    first = false;
  }
}

/* mu not held, GIL held. */
static void run(thread *t, slot *s, uint64_t at) {
  ph_release_objects();
  if (at - t->interval_read > INTERVAL_READ) {
    double interval = thread_switch_interval();
    t->interval_read = at;
    pthread_mutex_lock(&mu);
    adm_set_interval(&policy, nanoseconds(interval));
    pthread_mutex_unlock(&mu);
  }
  request_run(s);
}

/* Runs requests until there are none, or the policy stops it. mu and GIL held before, mu after. */
static void serve(int me, PyThreadState *ts) {
  int untold = 0;
  slot *s;
  while ((s = queue_first)) {
    if (!(queue_first = s->queue_next)) queue_last = NULL;
    uint64_t at = now();
    if (adm_took(&policy, me, at)) wake_one();
    pthread_mutex_unlock(&mu);
    run(&threads[me], s, at);
    pthread_mutex_lock(&mu);
    int todo = adm_finished(&policy, me, now(), ++untold);
    if (todo & ADM_TELL) {
      untold = 0;
      pthread_mutex_unlock(&mu);
      ph_event_notify();
      pthread_mutex_lock(&mu);
    } else if (queue_first) {
      tick_on(true);
    }
    if (todo & ADM_STOP) break;
    if (todo & ADM_YIELD) {
      release_gil();
      stay_off_gil(ADM_YIELD_TIME);
      if (!ask(me, ts, false)) return;
    }
  }
  if (untold) adm_deliver(&policy, me, now());
  release_gil();
  if (!untold) return;
  pthread_mutex_unlock(&mu);
  ph_event_deliver();
  pthread_mutex_lock(&mu);
}

void dispatch_loop(int me) {
  thread *t = &threads[me];
  PyThreadState *ts = py.PyEval_SaveThread();
  pthread_mutex_lock(&mu);
  pthread_getcpuclockid(pthread_self(), &t->clock);
  t->ready = true;
  for (;;) {
    if (adm_rest(&policy, me, now())) {
      t->idle_next = idle_top;
      idle_top = t;
      while (!t->wake) pthread_cond_wait(&t->woken, &mu);
      t->wake = false;
    }
    if (ask(me, ts, true)) serve(me, ts);
  }
}

/* mu held. */
static void read_clocks(uint64_t at) {
  bool all;
  if (!adm_wants_clocks(&policy, at, &all)) return;
  for (int i = 0; i < policy.n; i++) {
    struct timespec c;
    adm_thread *t = &policy.threads[i];
    if (!threads[i].ready || !(all || t->in_app) || clock_gettime(threads[i].clock, &c)) continue;
    t->cpu = (uint64_t)c.tv_sec * 1000000000ull + (uint64_t)c.tv_nsec;
  }
}

/* Waits for ADM_CALM_TICK, or until somebody calls tick_on. mu held. */
static void rest_calm(void) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += (long)ADM_CALM_TICK;
  if (until.tv_nsec >= 1000000000l) until.tv_sec++, until.tv_nsec -= 1000000000l;
  while (pace == CALM && !pthread_cond_timedwait(&ticker_woken, &mu, &until)) continue;
}

/* Waits until somebody calls tick_on, and meanwhile holds no memory that nobody needs. mu held. */
static void fall_asleep(void) {
  set_pace(ASLEEP);
  pthread_mutex_unlock(&mu);
  body_trim();
  pthread_mutex_lock(&mu);
  while (pace == ASLEEP) pthread_cond_wait(&ticker_woken, &mu);
}

/* Never takes the GIL. */
static void *ticker(void *arg) {
  (void)arg;
  uint64_t worked = now(), taken = 0;
  pthread_mutex_lock(&mu);
  for (;;) {
    if (calm_ticks > CALM_TICKS) set_pace(CALM);
    if (pace == CALM) rest_calm();
    if (pace == TICKING) {
      pthread_mutex_unlock(&mu);
      nanosleep(&(struct timespec){0, (long)ADM_TICK}, NULL);
      pthread_mutex_lock(&mu);
    }
    if (events_pending()) { /* a chunk of a stream, a reply that waits for its group */
      pthread_mutex_unlock(&mu);
      ph_event_notify();
      pthread_mutex_lock(&mu);
    }
    uint64_t at = now();
    read_clocks(at);
    if (adm_tick(&policy, at)) wake_one();
    calm_ticks = adm_needs_ticks(&policy) ? 0 : calm_ticks + 1;
    if (policy.queued || policy.in_app || policy.taken != taken) worked = at;
    taken = policy.taken;
    if (at - worked > ASLEEP_AFTER) {
      fall_asleep();
      worked = now();
    }
  }
  return NULL;
}

static int cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  long n = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than a cpu_set_t holds */
  return n > 0 ? (int)n : 1;
}

int dispatch_init(int n, double interval, bool gil) {
  adm_thread *state = calloc((size_t)n, sizeof *state);
  if (!state || !(threads = calloc((size_t)n, sizeof *threads))) return -1;
  for (int i = 0; i < n; i++) pthread_cond_init(&threads[i].woken, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&ticker_woken, &monotonic);
  pthread_condattr_destroy(&monotonic);
  adm_init(&policy, state, n, nanoseconds(interval), gil, cores());
  pthread_t t;
  sigset_t all, old; /* no signal is handled here: the app's threads and Go's are there for that */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int err = pthread_create(&t, NULL, ticker, NULL);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (err) return -1;
  pthread_detach(t);
  return 0;
}
