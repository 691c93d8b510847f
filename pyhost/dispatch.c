/* The queue of requests and the Python threads that take them. Which thread takes a request, and when another is let in, is the admission
 * policy's to say (internal/admission); here are what it has not: the lock, the threads' sleep, the GIL, the clocks.
 *
 * Idle threads are woken last in, first out, so that few of them hold database connections. */
#define _GNU_SOURCE
#include "internal/admission/admission.h"
#include "dispatch.h"
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
  CALM_TICKS = 10 /* after which the ticker slows down: to have it tick again costs a thread's wake-up */
};
static const uint64_t ASLEEP_AFTER = 200000000ull;   /* without any request */
static const uint64_t WATCH_EVERY = 5000000ull;      /* how exact deadlines are */
static const uint64_t INTERVAL_READ = 1000000000ull; /* the app may change the switch interval; reading it is a call into Python */

pthread_mutex_t dispatch_mu = PTHREAD_MUTEX_INITIALIZER;
thread *dispatch_threads;
int dispatch_n;
uint32_t ph_queued;

static pthread_cond_t ticker_woken; /* by CLOCK_MONOTONIC */
static admission policy;
static thread *idle_top;
static slot *queue_first, *queue_last;
static enum { TICKING, CALM, ASLEEP } pace; /* the ticker's: each ADM_TICK, each ADM_CALM_TICK, not at all */
static int calm_ticks;                      /* in a row that were not needed, since the pace changed */
static _Atomic bool calm;                   /* pace is not TICKING, for who does not have the lock */

uint64_t dispatch_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

uint64_t ph_now(void) { return dispatch_now(); }

static uint64_t nanoseconds(double seconds) { return (uint64_t)(seconds * 1e9); }

/* dispatch_mu held; a thread is idle. */
static void wake_one(void) {
  thread *t = idle_top;
  idle_top = t->idle_next;
  t->wake = true;
  adm_woken(&policy, (int)(t - dispatch_threads));
  pthread_cond_signal(&t->woken);
}

/* dispatch_mu held. */
static void set_pace(int to) {
  pace = to;
  calm_ticks = 0;
  atomic_store(&calm, to != TICKING);
}

/* Wakes the ticker, to tick or only to note that there is work. dispatch_mu held. */
static void tick_on(bool tick) {
  if (pace == TICKING) return;
  set_pace(tick ? TICKING : CALM);
  pthread_cond_signal(&ticker_woken);
}

/* What others read of policy.queued without the lock. dispatch_mu held. */
static void publish_queued(void) { __atomic_store_n(&ph_queued, (uint32_t)policy.queued, __ATOMIC_RELAXED); }

/* dispatch_mu held. */
static void enqueue(slot *s) {
  s->queue_next = NULL;
  s->queue_prev = queue_last;
  if (queue_last)
    queue_last->queue_next = s;
  else
    queue_first = s;
  queue_last = s;
  s->queued = true;
}

/* dispatch_mu held. */
static void dequeue(slot *s) {
  if (s->queue_prev)
    s->queue_prev->queue_next = s->queue_next;
  else
    queue_first = s->queue_next;
  if (s->queue_next)
    s->queue_next->queue_prev = s->queue_prev;
  else
    queue_last = s->queue_prev;
  s->queued = false;
}

/* Takes a request off the queue that no thread is to run. dispatch_mu held. */
static void drop(slot *s, uint32_t flags) {
  dequeue(s);
  adm_dropped(&policy);
  publish_queued();
  output_flags(s, flags | PH_DONE, true);
}

void dispatch_submit(slot *s) {
  pthread_mutex_lock(&dispatch_mu);
  if (watchdog_held() || (s->pub.backlog && (uint32_t)policy.queued >= s->pub.backlog)) {
    output_flags(s, PH_REFUSED | PH_DONE, true);
    pthread_mutex_unlock(&dispatch_mu);
    return;
  }
  enqueue(s);
  uint64_t at = dispatch_now();
  __atomic_store_n(&s->pub.queued_at, at, __ATOMIC_RELAXED);
  if (adm_queued(&policy, at)) wake_one();
  publish_queued();
  bool tick = adm_needs_ticks(&policy);
  if (tick || pace == ASLEEP) tick_on(tick);
  pthread_mutex_unlock(&dispatch_mu);
}

void dispatch_cancel(slot *s) {
  pthread_mutex_lock(&dispatch_mu);
  if (s->queued) drop(s, PH_FAILED);
  pthread_mutex_unlock(&dispatch_mu);
}

void dispatch_refuse_all(void) {
  while (queue_first) drop(queue_first, PH_REFUSED);
}

/* Refuses requests that waited for too long: the first in line waits longest. dispatch_mu held. */
static void refuse_overdue(uint64_t at) {
  for (slot *s; (s = queue_first) && s->pub.queue_timeout && at - s->pub.queued_at >= (uint64_t)s->pub.queue_timeout;)
    drop(s, PH_REFUSED);
}

void dispatch_lose(thread *t) {
  adm_lost(&policy, (int)(t - dispatch_threads));
  t->task.s = NULL;
  t->ready = false;
  t->task.number = VACANT;
}

uint64_t dispatch_taken(void) { return policy.taken; }

bool dispatch_busy(void) { return policy.queued || policy.in_app; }

void dispatch_tell_soon(void) {
  if (!atomic_load(&calm)) return;
  pthread_mutex_lock(&dispatch_mu);
  tick_on(true);
  pthread_mutex_unlock(&dispatch_mu);
}

/* Lets others have the GIL. dispatch_mu held, GIL not. Spins, since the kernel's timers are coarser than this. */
static void stay_off_gil(uint64_t time) {
  pthread_mutex_unlock(&dispatch_mu);
  uint64_t until = dispatch_now() + time;
  while (dispatch_now() < until) sched_yield();
  pthread_mutex_lock(&dispatch_mu);
}

static void release_gil(void) {
  pthread_mutex_unlock(&dispatch_mu);
  py.PyEval_SaveThread();
  pthread_mutex_lock(&dispatch_mu);
}

/* Asks for the GIL until the policy is content. dispatch_mu held, GIL not. True: serve, with both. False: go idle, with dispatch_mu. */
static bool ask(int me, PyThreadState *ts, bool first) {
  for (;;) {
    adm_ask(&policy, me, dispatch_now(), first);
    pthread_mutex_unlock(&dispatch_mu);
    py.PyEval_RestoreThread(ts);
    pthread_mutex_lock(&dispatch_mu);
    adm_verdict v = adm_got(&policy, me, dispatch_now());
    if (v == ADM_SERVE) return true;
    release_gil();
    if (v == ADM_REST) return false;
    if (v == ADM_PAUSE_ASK) stay_off_gil(ADM_GAP);
    first = false;
  }
}

/* dispatch_mu not held, GIL held. */
static void run(thread *t, slot *s, uint64_t at) {
  ph_release_objects();
  if (at - t->interval_read > INTERVAL_READ) {
    double interval = thread_switch_interval();
    t->interval_read = at;
    pthread_mutex_lock(&dispatch_mu);
    adm_set_interval(&policy, nanoseconds(interval));
    pthread_mutex_unlock(&dispatch_mu);
  }
  request_run(s);
}

/* Takes the first request off the queue. dispatch_mu held. */
static void take(thread *t, slot *s, uint64_t at) {
  dequeue(s);
  t->task.s = s;
  t->task.generation = atomic_load_explicit(&s->generation, memory_order_relaxed);
  t->task.since = at;
  t->task.stage = IN_TIME;
  __atomic_store_n(&s->pub.taken_at, at, __ATOMIC_RELAXED);
  __atomic_store_n(&s->pub.thread, (uint32_t)t->task.number + 1, __ATOMIC_RELEASE); /* who sees it sees taken_at */
  if (s->pub.timeout) atomic_store(&s->deadline, at + (uint64_t)s->pub.timeout);
  if (adm_took(&policy, (int)(t - dispatch_threads), at)) wake_one();
  publish_queued();
}

void dispatch_note_end(slot *s) {
  if (s->pub.timed) __atomic_store_n(&s->pub.ran, dispatch_now() - s->pub.taken_at, __ATOMIC_RELAXED);
}

/* Runs requests until there are none, or the policy stops it. dispatch_mu and GIL held before, dispatch_mu after. False, with the GIL
 * alone: the thread was taken for lost meanwhile, and its place is another's. */
static bool serve(thread *t, int number, PyThreadState *ts) {
  int me = (int)(t - dispatch_threads), untold = 0;
  slot *s;
  while ((s = queue_first)) {
    uint64_t at = dispatch_now();
    take(t, s, at);
    pthread_mutex_unlock(&dispatch_mu);
    run(t, s, at);
    pthread_mutex_lock(&dispatch_mu);
    if (t->task.number != number) {
      deadline_returned((unsigned long)pthread_self());
      pthread_mutex_unlock(&dispatch_mu);
      ph_event_notify();
      return false;
    }
    at = dispatch_now();
    if (t->task.stage != IN_TIME) deadline_ended(&t->task);
    t->task.s = NULL;
    int todo = adm_finished(&policy, me, at, ++untold);
    if (todo & ADM_TELL) {
      untold = 0;
      pthread_mutex_unlock(&dispatch_mu);
      ph_event_notify();
      pthread_mutex_lock(&dispatch_mu);
    } else if (queue_first) {
      tick_on(true);
    }
    if (todo & ADM_STOP) break;
    if (todo & ADM_YIELD) {
      release_gil();
      stay_off_gil(ADM_YIELD_TIME);
      if (!ask(me, ts, false)) return true;
    }
  }
  if (untold) adm_deliver(&policy, me, dispatch_now());
  release_gil();
  if (!untold) return true;
  pthread_mutex_unlock(&dispatch_mu);
  ph_event_deliver();
  pthread_mutex_lock(&dispatch_mu);
  return true;
}

void dispatch_loop(int number) {
  PyThreadState *ts = py.PyEval_SaveThread();
  pthread_mutex_lock(&dispatch_mu);
  thread *t = dispatch_threads, *end = t + dispatch_n;
  while (t < end && t->task.number != number) t++;
  if (t == end) { /* its start was taken for failed: what the app made of Thread.start raised after it */
    pthread_mutex_unlock(&dispatch_mu);
    py.PyEval_RestoreThread(ts);
    return;
  }
  pthread_getcpuclockid(pthread_self(), &t->clock);
  t->task.ident = (unsigned long)pthread_self(); /* as CPython has it */
  t->ready = true;
  int me = (int)(t - dispatch_threads);
  for (;;) {
    if (adm_rest(&policy, me, dispatch_now())) {
      t->idle_next = idle_top;
      idle_top = t;
      while (!t->wake) pthread_cond_wait(&t->woken, &dispatch_mu);
      t->wake = false;
    }
    if (ask(me, ts, true) && !serve(t, number, ts)) return;
  }
}

/* dispatch_mu held. */
static void read_clocks(uint64_t at) {
  bool all;
  if (!adm_wants_clocks(&policy, at, &all)) return;
  for (int i = 0; i < policy.n; i++) {
    struct timespec c;
    adm_thread *t = &policy.threads[i];
    if (!dispatch_threads[i].ready || !(all || t->in_app) || clock_gettime(dispatch_threads[i].clock, &c)) continue;
    t->cpu = (uint64_t)c.tv_sec * 1000000000ull + (uint64_t)c.tv_nsec;
  }
}

/* Waits for ADM_CALM_TICK, or until somebody calls tick_on. dispatch_mu held. */
static void rest_calm(void) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += (long)ADM_CALM_TICK;
  if (until.tv_nsec >= 1000000000l) until.tv_sec++, until.tv_nsec -= 1000000000l;
  while (pace == CALM && !pthread_cond_timedwait(&ticker_woken, &dispatch_mu, &until)) continue;
}

/* Waits until somebody calls tick_on, and meanwhile holds no memory that nobody needs. dispatch_mu held. */
static void fall_asleep(void) {
  set_pace(ASLEEP);
  pthread_mutex_unlock(&dispatch_mu);
  body_trim();
  pthread_mutex_lock(&dispatch_mu);
  while (pace == ASLEEP) pthread_cond_wait(&ticker_woken, &dispatch_mu);
}

/* Never takes the GIL. */
static void *ticker(void *arg) {
  (void)arg;
  uint64_t worked = dispatch_now(), taken = 0, watched = 0;
  pthread_mutex_lock(&dispatch_mu);
  for (;;) {
    if (calm_ticks > CALM_TICKS) set_pace(CALM);
    if (pace == CALM) rest_calm();
    if (pace == TICKING) {
      pthread_mutex_unlock(&dispatch_mu);
      nanosleep(&(struct timespec){0, (long)ADM_TICK}, NULL);
      pthread_mutex_lock(&dispatch_mu);
    }
    if (events_pending()) { /* a chunk of a stream, a reply that waits for its group */
      pthread_mutex_unlock(&dispatch_mu);
      ph_event_notify();
      pthread_mutex_lock(&dispatch_mu);
    }
    uint64_t at = dispatch_now();
    refuse_overdue(at);
    if (at - watched >= WATCH_EVERY) {
      watched = at;
      deadline_tick(at);
      watchdog_tick(at);
      at = dispatch_now(); /* both may have let go of dispatch_mu */
    }
    read_clocks(at);
    if (adm_tick(&policy, at)) wake_one();
    calm_ticks = adm_needs_ticks(&policy) ? 0 : calm_ticks + 1;
    if (dispatch_busy() || policy.taken != taken || keeper_asks()) worked = at;
    taken = policy.taken;
    if (at - worked > ASLEEP_AFTER) {
      fall_asleep();
      worked = dispatch_now();
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
  if (!state || !(dispatch_threads = calloc((size_t)n, sizeof *dispatch_threads))) return -1;
  for (int i = 0; i < n; i++) {
    pthread_cond_init(&dispatch_threads[i].woken, NULL);
    dispatch_threads[i].task.number = i;
  }
  dispatch_n = n;
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
