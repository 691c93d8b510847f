/* Which Python thread takes which request, and when another thread is let in: GIL-aware admission.
 *
 * The thread that holds the GIL takes the next request without letting go of it; many threads that compute in turns only hand the GIL, and
 * the app's own locks, to and fro (a lock convoy: half the throughput). Another thread is let in for a reason:
 *   - the holder blocked: one standby thread waits for the GIL. Getting it sooner than the switch interval means that the holder let go by
 *     itself (I/O): the standby takes the next request, and for IO_WINDOW a new standby is woken at once for each request;
 *   - the holder was forced off: the standby gives the GIL back, if the queue went on meanwhile; if it did not, the holder is a hog (a long
 *     computation), and the standby is the company that short requests need;
 *   - the queue stands still for a tick although threads are idle;
 *   - there is no GIL: then every idle thread is let in.
 * A ticker measures, each 10 ms, the CPU that the threads use: from SATURATED of a core on the GIL is the bottleneck, no thread is added for
 * I/O, and those above one and the hogs stop after their request.
 * Idle threads are woken last in, first out, so that few of them hold database connections. */
#include "slot.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
enum { GROUP = 8 }; /* replies that Go is told of together, at most */
static const uint64_t TICK = MS, IO_WINDOW = 50 * MS, HOG = 5 * MS, TICKS_ALIVE = 200;
static const double SATURATED = 0.85;

typedef struct thread {
  pthread_cond_t woken;
  bool ready, wake, busy, computes; /* computes: used more than half a millisecond of CPU in the last 10 ms */
  struct thread *idle_next;
  uint64_t since; /* when it took the request in hand */
  clockid_t clock;
  uint64_t cpu;
} thread;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* guards all of this; held for short, never while waiting for the GIL */
static pthread_cond_t tick_wanted = PTHREAD_COND_INITIALIZER;
static thread *threads, *idle_top;
static slot *queue_first, *queue_last;
static int nthreads, idle, waking, standby, in_app, queued, stop_after_request;
static uint64_t taken, io_until, switch_interval;
static bool saturated, have_gil, ticking;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* mu held. */
static void wake_one(void) {
  thread *t = idle_top;
  if (!t) return;
  idle_top = t->idle_next;
  t->wake = true;
  idle--;
  waking++;
  pthread_cond_signal(&t->woken);
}

/* Whether a request that was just queued, or still waits, should have a thread woken for it. mu held. */
static bool admit(void) {
  if (!idle) return false;
  if (!have_gil) return queued > standby + waking;
  return standby + waking == 0 && (in_app == 0 || (!saturated && now() < io_until));
}

void dispatch_submit(slot *s) {
  s->queue_next = NULL;
  pthread_mutex_lock(&mu);
  if (queue_last)
    queue_last->queue_next = s;
  else
    queue_first = s;
  queue_last = s;
  queued++;
  if (admit()) wake_one();
  if (!ticking) pthread_cond_signal(&tick_wanted);
  pthread_mutex_unlock(&mu);
}

/* Threads that compute for long in one request. mu held. */
static int hogs(uint64_t at) {
  int n = 0;
  for (int i = 0; i < nthreads; i++) n += threads[i].busy && threads[i].computes && at - threads[i].since > HOG;
  return n;
}

/* Waits for the GIL until it was got for a reason. mu held, GIL not; returns with both. */
static void standby_for_gil(PyThreadState *ts) {
  standby++;
  for (;;) {
    bool others = in_app > 0;
    uint64_t taken_before = taken, from = now();
    pthread_mutex_unlock(&mu);
    py.PyEval_RestoreThread(ts);
    pthread_mutex_lock(&mu);
    uint64_t at = now();
    if (!queue_first || !have_gil || !others || !in_app) break;
    bool forced = at - from >= switch_interval;
    if (!forced) {
      io_until = at + IO_WINDOW;
      break;
    }
    if (taken == taken_before || hogs(at)) break;
    pthread_mutex_unlock(&mu);
    py.PyEval_SaveThread();
    pthread_mutex_lock(&mu);
  }
  standby--;
}

/* Runs requests until there are none. mu and GIL held, before and after. */
static void serve(thread *t) {
  int untold = 0;
  slot *s;
  while ((s = queue_first)) {
    if (!(queue_first = s->queue_next)) queue_last = NULL;
    queued--;
    taken++;
    in_app++;
    t->busy = true;
    t->since = now();
    if (queue_first && admit()) wake_one();
    pthread_mutex_unlock(&mu);

    ph_release_objects();
    request_run(s);
    untold++;

    pthread_mutex_lock(&mu);
    in_app--;
    t->busy = false;
    bool leave = stop_after_request > 0 && in_app > 0;
    if (untold >= GROUP || untold * 3 >= queued || leave) {
      untold = 0;
      pthread_mutex_unlock(&mu);
      ph_event_notify();
      pthread_mutex_lock(&mu);
    }
    if (leave) {
      stop_after_request--;
      return;
    }
  }
}

void dispatch_loop(int me) {
  thread *t = &threads[me];
  PyThreadState *ts = py.PyEval_SaveThread();
  pthread_mutex_lock(&mu);
  pthread_getcpuclockid(pthread_self(), &t->clock);
  t->ready = true;
  for (;;) {
    bool needed = queue_first && (!have_gil || in_app + standby + waking == 0);
    if (!needed) {
      t->idle_next = idle_top;
      idle_top = t;
      idle++;
      while (!t->wake) pthread_cond_wait(&t->woken, &mu);
      t->wake = false;
      waking--;
    }
    standby_for_gil(ts);
    serve(t);
    pthread_mutex_unlock(&mu);
    py.PyEval_SaveThread();
    pthread_mutex_lock(&mu);
  }
}

/* How much of a core the Python threads used since the last call. mu held. */
static void measure(uint64_t at, uint64_t since) {
  uint64_t total = 0;
  int computing = 0;
  for (int i = 0; i < nthreads; i++) {
    struct timespec c;
    if (!threads[i].ready || clock_gettime(threads[i].clock, &c)) continue;
    uint64_t cpu = (uint64_t)c.tv_sec * 1000000000ull + (uint64_t)c.tv_nsec, used = cpu - threads[i].cpu;
    threads[i].cpu = cpu;
    total += used;
    threads[i].computes = used > MS / 2;
    computing += threads[i].computes;
  }
  saturated = have_gil && (double)total > SATURATED * (double)(at - since);
  int wanted = 1 + hogs(at);
  stop_after_request = saturated && computing > wanted ? computing - wanted : 0;
}

/* Ticks while there is work, and for TICKS_ALIVE after. Never takes the GIL. */
static void *ticker(void *arg) {
  (void)arg;
  uint64_t taken_before = 0, measured = now();
  unsigned quiet = 0, still = 0, n = 0;
  pthread_mutex_lock(&mu);
  for (;;) {
    quiet = queue_first || in_app ? 0 : quiet + 1;
    if (quiet > TICKS_ALIVE) {
      ticking = false;
      while (!queue_first && !in_app) pthread_cond_wait(&tick_wanted, &mu);
      quiet = 0;
    }
    ticking = true;
    pthread_mutex_unlock(&mu);
    nanosleep(&(struct timespec){0, (long)TICK}, NULL);
    bool tell = events_pending(); /* a chunk of a stream, a reply that waits for its group */
    if (tell) ph_event_notify();
    pthread_mutex_lock(&mu);
    still = queue_first && taken == taken_before ? still + 1 : 0;
    taken_before = taken;
    bool company = saturated && still && hogs(now());
    if (still && idle && standby + waking == 0 && (company || still >= (saturated ? 10u : 1u))) {
      wake_one();
      still = 0;
    }
    if (++n == 10) {
      uint64_t at = now();
      measure(at, measured);
      measured = at;
      n = 0;
    }
  }
  return NULL;
}

int dispatch_init(int n, double interval, bool gil) {
  if (!(threads = calloc((size_t)n, sizeof *threads))) return -1;
  for (int i = 0; i < n; i++) pthread_cond_init(&threads[i].woken, NULL);
  nthreads = n;
  have_gil = gil;
  switch_interval = (uint64_t)(interval * 0.96e9); /* a little less: the wait begins after the interval does */
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
