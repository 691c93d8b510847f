/* Deadlines of requests. The ticker sees that one has passed and tells the client's side; neither needs the GIL. The keeper, which has it,
 * shows where the thread is and raises gowsgi.RequestTimeout in it. A thread that does not come back after that is lost: another takes its
 * place, and its slot waits until it does. */
#include "dispatch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAST UINT64_MAX

static const uint64_t GRACE = 2000000000ull;       /* for the exception to be raised and to unwind the app's frames */
static const uint64_t STACK_AFTER = 1000000000ull; /* without the GIL: then the stack is shown without it */
static const uint64_t START_AGAIN = 1000000000ull; /* after a thread did not start */
static const uint64_t TICK_MAX = 100000000ull;     /* of the time between two ticks counts: a stopped process can't come back */
static const uint64_t HELD_AFTER = 100000000ull;   /* without the GIL: then nobody can come back */

PyObject *exc_RequestTimeout;

/* A thread that is away. */
typedef struct lost {
  struct lost *next;
  task task;
} lost;

static lost *away; /* as what follows, guarded by dispatch_mu */
static int naway;
static int last_number; /* of a thread; 0: those that began */
static uint64_t start_after;

void request_name(slot *s, char *name, size_t size) {
  const char *at = s->pub.rec, *end = at + s->pub.rec_len, *method = "?", *url = "?";
  uint32_t method_len = 1, url_len = 1, id_len, k, v;
  for (; end - at >= 8; at += 8 + k + v) {
    memcpy(&k, at, sizeof k);
    memcpy(&v, at + 4, sizeof v);
    if ((uint64_t)(end - at) < 8 + (uint64_t)k + v) break;
    const char *value = at + 8 + k;
    if (k == 14 && !memcmp(at + 8, "REQUEST_METHOD", k)) method = value, method_len = v;
    if (k == 7 && !memcmp(at + 8, "RAW_URI", k)) url = value, url_len = v;
  }
  const char *id = ph_request_id(&s->pub, &id_len), *before = id ? " request_id=" : "";
  size_t rest = size - strlen(before) - id_len - 22; /* the method, a space, the end */
  snprintf(name, size, "%.*s %.*s%s%.*s", (int)(method_len < 20 ? method_len : 20), method, (int)(url_len < rest ? url_len : rest),
           url, before, (int)id_len, id ? id : "");
}

/* ---- the slot's side ---- */

bool deadline_disarm(slot *s) {
  atomic_store(&s->closing, true); /* before the look at deadline: who interrupts sees one of the two */
  if (atomic_load(&s->deadline) != PAST) return false;
  pthread_mutex_lock(&s->mu);
  bool interrupted = s->interrupted;
  pthread_mutex_unlock(&s->mu);
  if (interrupted) py.PyThreadState_SetAsyncExc((unsigned long)pthread_self(), NULL);
  return interrupted;
}

void deadline_reset(slot *s) {
  s->deadline = 0;
  s->closing = s->interrupted = false;
}

bool deadline_passed(slot *s) { return atomic_load(&s->deadline) == PAST; }

int deadline_extend(slot *s, uint32_t generation, int64_t ns) {
  pthread_mutex_lock(&s->mu); /* the request does not end meanwhile */
  uint64_t d = atomic_load(&s->deadline);
  bool live = s->generation == generation;
  while (live && d && d != PAST) {
    uint64_t to = d + (uint64_t)ns;
    if (to < d || to == PAST) to = PAST - 1; /* the app gave it more than centuries */
    if (atomic_compare_exchange_weak(&s->deadline, &d, to)) break;
  }
  pthread_mutex_unlock(&s->mu);
  return live && d != PAST ? 0 : -1;
}

/* ---- the ticker's side ---- */

/* Tells the client's side that the time is over. even: though it is not. False: nothing is to be done, or no more. */
static bool pass(task *t, uint64_t at, bool even) {
  slot *s = t->s;
  uint64_t d = atomic_load(&s->deadline);
  if (d == PAST || (!even && (!d || at < d))) return false;
  pthread_mutex_lock(&s->mu);
  bool passed = s->generation == t->generation && atomic_compare_exchange_strong(&s->deadline, &d, PAST);
  if (passed) {
    request_name(s, t->name, sizeof t->name);
    atomic_fetch_or(&s->flags, PH_TIMED_OUT);
    pthread_cond_broadcast(&s->cv); /* no exception reaches a thread that waits for its client */
  }
  pthread_mutex_unlock(&s->mu);
  if (!passed) return false; /* it ended, or was given more time; the next tick sees */
  ph_event_push(&s->pub, true);
  t->stage = PASSED;
  t->passed_at = at;
  t->shown = even; /* the watchdog shows all */
  return true;
}

static double seconds(uint64_t ns) { return (double)ns / 1e9; }

static void show(const task *t, const char *text) {
  size_t size = strlen(text) + sizeof t->name + 200;
  char *line = malloc(size);
  if (!line) return;
  snprintf(line, size, "the request took too long, %.1f s in the app: %s (thread gowsgi-%d)\n%s", seconds(t->passed_at - t->since),
           t->name, t->number + 1, text);
  ph_log(8, -1, line, strlen(line));
  free(line);
}

/* Tells the client's side that nobody knows whether the thread will leave the request. False: it has, or is about to. */
static bool give_up(task *t) {
  slot *s = t->s;
  pthread_mutex_lock(&s->mu);
  bool here = s->generation == t->generation;
  if (here) atomic_fetch_or(&s->flags, PH_LOST);
  pthread_mutex_unlock(&s->mu);
  if (here) ph_event_push(&s->pub, true);
  return here;
}

/* Takes the place of a thread that was interrupted and did not come back. */
static void lose(thread *place) {
  task *t = &place->task;
  lost *l = calloc(1, sizeof *l);
  if (!l || !give_up(t)) { /* without memory the next tick tries again */
    free(l);
    return;
  }
  *l = (lost){away, *t};
  away = l;
  ph_logf(8, -1, "thread gowsgi-%d does not come back from the app, %s; another takes its place (%d away)", t->number + 1, t->name,
          ++naway);
  dispatch_lose(place);
  notice_lost(naway);
  keeper_wake();
}

/* Shows the stack where the keeper does not get the GIL: the threads stand still then. dispatch_mu is released meanwhile. */
static void show_without_gil(task *t) {
  task was = *t;
  t->shown = true;
  pthread_mutex_unlock(&dispatch_mu);
  char *all = stacks_without_gil(), head[40];
  snprintf(head, sizeof head, "hread 0x%016lx", was.ident); /* Thread, or Current thread */
  char *its = all ? strstr(all, head) : NULL, *from = its ? strchr(its, '\n') : NULL, *end = from ? strstr(from, "\n\n") : NULL;
  if (end) *end = 0;
  show(&was, from ? from + 1 : "(its stack can't be read)");
  free(all);
  pthread_mutex_lock(&dispatch_mu);
}

void deadline_tick(uint64_t at) {
  static uint64_t ticked;
  uint64_t time = at - ticked, counts = watchdog_waited() >= HELD_AFTER ? 0 : time < TICK_MAX ? time : TICK_MAX;
  ticked = at;
  for (int i = 0; i < dispatch_n; i++) {
    task *t = &dispatch_threads[i].task;
    if (t->number == VACANT && at >= start_after) keeper_wake();
    if (!t->s) continue;
    switch (t->stage) {
    case IN_TIME:
      if (pass(t, at, false)) keeper_wake();
      break;
    case PASSED:
      if (!t->shown && watchdog_waited() >= STACK_AFTER) show_without_gil(t);
      break;
    case INTERRUPTED:
      keeper_wake(); /* shows whether the GIL is held */
      t->counted += counts;
      if (t->counted >= GRACE) lose(&dispatch_threads[i]);
    }
  }
}

void deadline_pass_all(uint64_t at) {
  for (int i = 0; i < dispatch_n; i++) {
    task *t = &dispatch_threads[i].task;
    if (!t->s) continue;
    pass(t, at, true);
    give_up(t);
  }
  keeper_wake();
}

/* ---- the threads' side ---- */

void deadline_ended(task *t) {
  if (!t->shown) show(t, "it has ended meanwhile");
  t->stage = IN_TIME;
}

void deadline_returned(unsigned long ident) {
  for (lost **p = &away; *p; p = &(*p)->next) {
    lost *l = *p;
    if (l->task.ident != ident) continue;
    *p = l->next;
    ph_logf(4, -1, "thread gowsgi-%d came back after %.1f s: %s", l->task.number + 1, seconds(dispatch_now() - l->task.since),
            l->task.name);
    naway--;
    notice_lost(naway);
    free(l);
    return;
  }
}

void deadline_each(void (*f)(void *arg, unsigned long ident, int number, const char *name, uint64_t since), void *arg) {
  for (int i = 0; i < dispatch_n; i++) {
    task *t = &dispatch_threads[i].task;
    char name[NAME_MAX_LEN];
    if (!t->s) continue;
    pthread_mutex_lock(&t->s->mu);
    bool live = t->s->generation == t->generation;
    if (live) request_name(t->s, name, sizeof name);
    pthread_mutex_unlock(&t->s->mu);
    if (live) f(arg, t->ident, t->number, name, t->since);
  }
  for (lost *l = away; l; l = l->next) f(arg, l->task.ident, l->task.number, l->task.name, l->task.since);
}

/* ---- the keeper's side ---- */

/* The Python stack of a thread: malloc'ed. GIL: held. */
static char *stack_of(unsigned long ident) {
  PyObject *id = py.PyLong_FromLong((long)ident), *f = id ? ph_helper("stack") : NULL, *text = NULL;
  char *out = NULL;
  if (f) text = py.PyObject_CallFunctionObjArgs(f, id, NULL);
  if (text && py.PyBytes_AsString(text)) out = strdup(py.PyBytes_AsString(text));
  if (py.PyErr_Occurred()) py.PyErr_Clear();
  PY_XDECREF(id);
  PY_XDECREF(text);
  return out ? out : strdup("(its stack can't be read)");
}

static void interrupt(task *t) {
  pthread_mutex_lock(&dispatch_mu);
  task was = *t;
  if (!t->s || t->stage != PASSED) {
    pthread_mutex_unlock(&dispatch_mu);
    return;
  }
  t->shown = true;
  pthread_mutex_unlock(&dispatch_mu);
  if (!was.shown) {
    char *text = stack_of(was.ident);
    show(&was, text ? text : "(no memory for the stack)");
    free(text);
  }
  slot *s = was.s;
  pthread_mutex_lock(&s->mu);
  if (s->generation == was.generation && !atomic_load(&s->closing)) {
    s->interrupted = true;
    py.PyThreadState_SetAsyncExc(was.ident, exc_RequestTimeout);
  }
  pthread_mutex_unlock(&s->mu);
  pthread_mutex_lock(&dispatch_mu);
  if (t->s == s && t->generation == was.generation && t->stage == PASSED) {
    t->stage = INTERRUPTED;
    t->counted = 0;
  }
  pthread_mutex_unlock(&dispatch_mu);
}

/* Starts a thread in a place that is vacant. */
static void fill(task *t) {
  pthread_mutex_lock(&dispatch_mu);
  uint64_t at = dispatch_now();
  bool vacant = t->number == VACANT && at >= start_after;
  if (!last_number) last_number = dispatch_n - 1;
  if (vacant) t->number = ++last_number;
  int number = last_number;
  pthread_mutex_unlock(&dispatch_mu);
  if (!vacant || thread_start_numbered(number) == 0) return;
  ph_log_exception(NULL, "a Python thread does not start in place of one that was lost; it is tried again");
  pthread_mutex_lock(&dispatch_mu);
  t->number = VACANT;
  start_after = at + START_AGAIN;
  pthread_mutex_unlock(&dispatch_mu);
}

void deadline_interrupt(void) {
  for (int i = 0; i < dispatch_n; i++) interrupt(&dispatch_threads[i].task);
  for (int i = 0; i < dispatch_n; i++) fill(&dispatch_threads[i].task);
}
