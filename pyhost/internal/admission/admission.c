/* GIL-aware admission.
 *
 * The thread that holds the GIL takes the next request without letting go of it: many threads that compute in turns only hand the GIL, and
 * the app's own locks, to and fro. A forced switch that stops a thread inside one of the app's locks makes every later acquisition of that
 * lock a hand-over (a lock convoy: half the throughput). So another thread is let in for a reason:
 *
 *   - Nobody runs requests.
 *   - The GIL is let go. A thread looks: it asks for the GIL, and the time it takes tells. Had the holder let go for longer (I/O, or pbkdf2,
 *     zlib, numpy), the thread serves, and admission is open for a while: with each request that is taken the next thread asks at once,
 *     so that it has the GIL as soon as the holder blocks. After looks in vain the next ones are rare.
 *   - A request computes for longer than the switch interval (a hog): short ones need company beside it.
 *   - There is no GIL: threads are let in while those that run leave cores free.
 *
 * Whether the GIL is the bottleneck only looking tells. CPU clocks can't: threads that compute without the GIL use much of it, and on a
 * machine that others use too the one thread that holds the GIL all the time uses little. Only well over one core's worth is a proof. Nor does
 * being handed the GIL tell: an app lets it go for microseconds many times in a request (stat(), a log line, a row of SQLite), and wants it
 * back. So a thread that was handed it gives it back and looks again, some times: only a GIL that is free each time was let go for longer. A
 * look that is forced (the holder was made to let go) costs the holder two thread switches, but starts no convoy, as long as the thread that
 * looked does not run the app.
 *
 * The other way round, a thread that comes back from I/O has to wait until the holder is made to let go. It is seen by its CPU clock, and the
 * holder gives way between two requests; the one that has the GIL then goes on with the queue. */
#include "admission.h"

#define US 1000ull
#define MS 1000000ull

/* Short against any wait worth a second thread, long against a sleeping core's wake-up; reading a thread's clock costs 0.05 % of it. */
const uint64_t ADM_TICK = MS;
/* One connection that asks for page after page needs no ticks, and each costs its thread a place in the caches or on its core. */
const uint64_t ADM_CALM_TICK = 5 * MS;
/* Four looks with these gaps span 50 us: longer than a hole in which an app lets the GIL go for a system call. */
const uint64_t ADM_GAP = 16 * US;
/* What waking two threads one after the other takes: one that waits for the GIL has it by then, even if it is not the first in line. */
const uint64_t ADM_YIELD_TIME = 80 * US;

/* Taking a free GIL takes less than a microsecond; being woken for it takes 5 to 50. */
static const uint64_t AT_ONCE = 20 * US;
/* A wait that blocks comes again: long enough to bridge a gap between two, short enough not to cost when the load changes. */
static const uint64_t OPEN = 50 * MS;
/* The switch interval is the app's own measure of what may keep others waiting, 5 ms unless it was changed; this is CPython's default. */
static const uint64_t HOG = 5 * MS;
/* An app that lets the GIL go for a third of the time, in holes, is taken for one that blocks once in a hundred looks. */
static const int LOOKS = 4;
/* Looks in vain in a row that end the time for which admission is open. Each takes the GIL from its holder in some hole, and an app with many
 * holes (SQLite has one for each row) pays two thread switches for it. */
static const int VAIN = 3;
/* The distance of looks doubles from a tick up to here: ten forced switches per second cost less than 0.1 % of a core. */
static const uint64_t LOOK_RARELY = 100 * MS;
/* Of one core: the rest is what waking and the kernel's own work leave unused of a core that is used up. */
static const double BUSY = 0.85;
/* Of one core: more than the GIL can account for, so that threads compute without it. Threads that only fight for it use up to 1.25: the kernel's
 * work for their switches is without it too. */
static const double WITHOUT_GIL = 1.4;
/* CPU clocks tell something after a few scheduler slices. */
static const uint64_t MEASURE = 10 * MS;
/* Of a measure's time: a thread that uses less is waiting for the most part. */
static const double COMPUTES = 0.05;
/* Replies that Go is told of together, at most: from there on the wake-up is cheap against the replies themselves. */
static const int GROUP = 8;
/* How long one short request tells that company pays. */
static const uint64_t REMEMBER = 1000 * MS;
/* Ticks that a thread which computed waits for its turn: the switch interval's. */
static const int TURN = 5;
/* Ticks without any request taken that are a reason to look, while looks were in vain: the switch interval's. */
static const int STILL = 5;

static void set_state(admission *a, adm_thread *t, adm_state to) {
  a->idle += (to == ADM_IDLE) - (t->state == ADM_IDLE);
  bool was = t->state == ADM_COMING || t->state == ADM_ASKING || (t->state == ADM_DELIVERING && t->counted);
  a->coming += (to == ADM_COMING || to == ADM_ASKING || to == ADM_DELIVERING) - was;
  a->delivering += (to == ADM_DELIVERING) - t->counted;
  t->counted = to == ADM_DELIVERING;
  t->state = to;
}

void adm_init(admission *a, adm_thread *threads, int n, uint64_t interval, bool gil, int cores) {
  *a = (admission){.threads = threads, .n = n, .gil = gil, .cores = cores, .last = -1};
  adm_set_interval(a, interval);
}

/* Forced is what took the interval, less 4 %: the wait begins after the interval does. */
void adm_set_interval(admission *a, uint64_t interval) {
  a->interval = interval / 25 * 24;
  if (a->interval < 2 * AT_ONCE) a->interval = 2 * AT_ONCE;
}

static bool open(const admission *a, uint64_t at) { return at < a->open_until; }

/* Whether a request that waits should have a thread woken for it. */
static bool admit(const admission *a, uint64_t at) {
  if (!a->idle) return false;
  if (!a->gil) return a->queued > a->coming && (!a->busy || a->in_app - a->waiting + a->coming < a->cores);
  return a->coming == 0 && (a->in_app == 0 || open(a, at));
}

bool adm_queued(admission *a, uint64_t at) {
  a->queued++;
  return admit(a, at);
}

void adm_woken(admission *a, int me) { set_state(a, &a->threads[me], ADM_COMING); }

bool adm_rest(admission *a, int me, uint64_t at) {
  adm_thread *t = &a->threads[me];
  set_state(a, t, ADM_IDLE);
  if (!a->queued || (a->gil ? a->in_app + a->coming > 0 : !admit(a, at))) return true;
  set_state(a, t, ADM_COMING);
  return false;
}

void adm_ask(admission *a, int me, uint64_t at, bool first) {
  adm_thread *t = &a->threads[me];
  if (first) t->free_looks = 0, t->yielded = false;
  t->others = a->in_app > 0;
  t->taken_before = a->taken;
  t->asked = at;
  set_state(a, t, ADM_ASKING);
}

/* Threads that compute for long in one request: long by their clocks, since every request takes long where many threads share the GIL, or
 * where the machine has other work. */
static bool is_hog(const adm_thread *t) { return t->in_app && t->spent > HOG / 2; }

static int hogs(const admission *a) {
  int n = 0;
  for (int i = 0; i < a->n; i++) n += is_hog(&a->threads[i]);
  return n;
}

static bool short_lately(const admission *a, uint64_t at) { return a->short_seen && at - a->short_seen < REMEMBER; }

static adm_verdict serve(admission *a, adm_thread *t) {
  set_state(a, t, ADM_SERVING);
  return ADM_SERVE;
}

static adm_verdict pays(admission *a, adm_thread *t, uint64_t at) {
  a->open_until = at + OPEN;
  a->vain = 0;
  a->next_look = 0;
  return serve(a, t);
}

static adm_verdict in_vain(admission *a, adm_thread *t, uint64_t at) {
  t->free_looks = 0;
  if (!t->yielded) { /* else it asked so that another could have the GIL, not to see whether it is free */
    a->vain++;
    a->next_look = at + (a->vain < 7 ? ADM_TICK << a->vain : LOOK_RARELY);
    if (a->vain >= VAIN) a->open_until = 0;
  }
  t->yielded = false;
  return open(a, at) ? ADM_ASK : ADM_REST;
}

/* Whether short requests wait beside long ones. A holder that was made to let go, and took no request meanwhile, is taken for a long one
 * before its clock shows it. Where all requests are long, company for one is enough: more would only share the GIL among more. */
static bool needs_company(const admission *a, const adm_thread *t, uint64_t at, bool forced) {
  if (!hogs(a) && !(forced && a->taken == t->taken_before)) return false;
  if (short_lately(a, at)) return true;
  int compute = 0;
  for (int i = 0; i < a->n; i++) {
    const adm_thread *o = &a->threads[i];
    compute += o->in_app && (o->computes || is_hog(o) || at - o->since < HOG);
  }
  return compute < 2;
}

adm_verdict adm_got(admission *a, int me, uint64_t at) {
  adm_thread *t = &a->threads[me];
  uint64_t waited = at - t->asked;
  if (!a->queued || !a->gil || !t->others || !a->in_app) return serve(a, t);
  bool forced = waited >= a->interval;
  if (waited > AT_ONCE && needs_company(a, t, at, forced)) return pays(a, t, at);
  if (forced) return in_vain(a, t, at);
  if (waited > AT_ONCE) { /* handed over */
    if (t->free_looks) return in_vain(a, t, at);
    t->yielded = false;
  } else if (t->yielded) {
    return serve(a, t);
  }
  t->free_looks++;
  if (t->free_looks >= LOOKS || a->parallel || (a->vain == 0 && waited <= AT_ONCE)) return pays(a, t, at);
  return ADM_PAUSE_ASK;
}

bool adm_took(admission *a, int me, uint64_t at) {
  adm_thread *t = &a->threads[me];
  if (--a->queued == 0) a->emptied = true;
  a->taken++;
  a->in_app++;
  a->last = me;
  t->in_app = true;
  t->spent = 0;
  t->since = at;
  return a->queued && admit(a, at);
}

int adm_finished(admission *a, int me, uint64_t at, int untold) {
  adm_thread *t = &a->threads[me];
  a->in_app--;
  t->in_app = false;
  if (at - t->since < HOG) a->short_seen = at;
  int todo = 0;
  if (a->leave > 0 && a->in_app > 0) {
    a->leave--;
    todo |= ADM_STOP;
  } else if (a->gil && a->returned && a->in_app > 0 && a->queued) {
    a->returned = false;
    t->yielded = true;
    t->free_looks = 0;
    todo |= ADM_YIELD;
  }
  if (a->queued && (untold >= GROUP || untold * 3 >= a->queued || todo)) todo |= ADM_TELL;
  return todo;
}

void adm_deliver(admission *a, int me, uint64_t at) {
  adm_thread *t = &a->threads[me];
  t->since = at;
  set_state(a, t, ADM_DELIVERING);
}

void adm_dropped(admission *a) {
  if (--a->queued == 0) a->emptied = true;
}

void adm_lost(admission *a, int me) {
  adm_thread *t = &a->threads[me];
  a->in_app--;
  set_state(a, t, ADM_OFF);
  *t = (adm_thread){0}; /* the next one's clock begins anew */
}

/* How much of a core the threads used since the last measure. */
static void measure(admission *a, uint64_t at) {
  double elapsed = (double)(at - a->measured), total = 0;
  int computing = 0;
  for (int i = 0; i < a->n; i++) {
    adm_thread *t = &a->threads[i];
    double used = (double)(t->cpu - t->cpu_measured);
    t->cpu_measured = t->cpu;
    t->computes = used > COMPUTES * elapsed;
    if (t->in_app) {
      uint64_t in_request = at - t->since; /* more it can't have used */
      t->spent += (uint64_t)used < in_request ? (uint64_t)used : in_request;
    }
    total += used;
    computing += t->computes;
  }
  a->measured = at;
  int company = hogs(a);
  if (company > 1 && !short_lately(a, at)) company = 1;
  int wanted = a->gil ? 1 + company : a->cores;
  a->busy = total > BUSY * elapsed * (a->gil ? 1 : a->cores);
  a->parallel = total > WITHOUT_GIL * elapsed;
  bool excess = a->gil ? !a->parallel && (a->busy || !open(a, at)) : a->busy;
  a->leave = excess && computing > wanted ? computing - wanted : 0;
}

/* Finds the threads that wait in the app, by their clocks. One that has used a little CPU in this tick came back and wants the GIL.
 * CPython gets it for it only after the switch interval, and not even then where each hole in the holder's work begins the interval anew.
 * One that has computed may be a hog that waits for its turn: it is given way no sooner than the interval would. */
static void watch(admission *a) {
  a->waiting = 0;
  for (int i = 0; i < a->n; i++) {
    adm_thread *t = &a->threads[i];
    uint64_t used = t->cpu - t->cpu_ticked;
    bool waits = t->in_app && i != a->last && t->since < a->ticked && used < ADM_TICK / 4;
    t->waits = waits ? t->waits + 1 : 0;
    a->waiting += waits;
    if (waits && used > 0 && (!t->computes || t->waits > TURN)) a->returned = true;
  }
}

/* Only where requests wait, and others are not done, is there a reason to see which are waiting. */
static bool watches(const admission *a) { return a->queued && a->in_app > 1 && (a->gil || a->busy); }

bool adm_needs_ticks(const admission *a) { return a->queued && (a->in_app || a->queued > a->coming - a->delivering); }

static bool measures(const admission *a, uint64_t at) { return at - a->measured >= MEASURE; }

bool adm_wants_clocks(const admission *a, uint64_t at, bool *all) {
  *all = measures(a, at);
  return *all || watches(a);
}

bool adm_tick(admission *a, uint64_t at) {
  bool watching = watches(a);
  if (watching && a->watched)
    watch(a);
  else
    a->waiting = 0;
  a->watched = watching;
  for (int i = 0; i < a->n; i++) {
    adm_thread *t = &a->threads[i];
    t->cpu_ticked = t->cpu;
    if (t->state == ADM_DELIVERING && t->counted && at - t->since > ADM_TICK) {
      t->counted = false;
      a->coming--;
      a->delivering--;
    }
  }
  a->still = a->queued && a->taken == a->taken_at_tick ? a->still + 1 : 0;
  a->taken_at_tick = a->taken;
  bool standing = !a->emptied; /* the queue, all through the tick */
  a->emptied = a->queued == 0;
  a->ticked = at;
  if (measures(a, at)) measure(a, at);
  if (!a->queued || !a->idle) return false;
  if (!a->gil) return admit(a, at);
  if (a->coming > 0) return false;
  return a->in_app == 0 || open(a, at) || a->still >= (a->vain < STILL ? 1 : STILL) || (standing && at >= a->next_look);
}
