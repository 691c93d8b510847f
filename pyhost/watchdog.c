/* The GIL watchdog. While requests wait or run and none is taken, the keeper is made to ask for the GIL now and then; where it does not get
 * it for --gil-timeout, somebody holds it inside C, and nothing in Python can run. Then all that Go can do without Python is done: stacks are
 * written, clients in hand are told, no request is let in. Nothing here takes the GIL. */
#define _GNU_SOURCE
#include "dispatch.h"
#include <stdio.h>
#include <stdlib.h>

/* At most so much of the time between two ticks counts: a process that was stopped, or starved, did not wait for the GIL. */
static const uint64_t TICK_MAX = 100000000ull;
static const uint64_t ASK_AFTER = 4; /* a quarter of the time without progress, the rest the keeper waits */

/* All guarded by dispatch_mu, but timeout, which is set before. */
static uint64_t timeout;
static uint64_t ticked, still, waited, taken;
static bool held;
static ph_notices notices;
uint32_t ph_notice_count;

void ph_gil_timeout(int64_t ns) { timeout = ns > 0 ? (uint64_t)ns : 0; }

bool watchdog_held(void) { return held; }

uint64_t watchdog_waited(void) { return waited; }

void watchdog_relieved(void) {
  if (held) ph_logf(4, -1, "the GIL is free again");
  held = false;
  waited = still = 0;
}

static void tell(void) {
  __atomic_fetch_add(&ph_notice_count, 1, __ATOMIC_RELAXED);
  ph_event_notify();
}

void notice_lost(int now) {
  if ((uint32_t)now > notices.lost) notices.losses++;
  notices.lost = (uint32_t)now;
  tell();
}

void notice_gil_held(uint64_t ns) {
  notices.holds++;
  notices.held = (int64_t)ns;
  tell();
}

ph_notices ph_notices_take(void) {
  pthread_mutex_lock(&dispatch_mu);
  ph_notices n = notices;
  pthread_mutex_unlock(&dispatch_mu);
  return n;
}

static void bark(uint64_t at) {
  held = true;
  deadline_pass_all(at);
  dispatch_refuse_all();
  pthread_mutex_unlock(&dispatch_mu);
  char *text = stacks_without_gil();
  char *line = NULL;
  int n =
      asprintf(&line, "the GIL is held for %.1f s: a thread is inside C code that does not let it go; no request can be served\n%s",
               (double)timeout / 1e9, text ? text : "");
  if (n >= 0) {
    ph_log(8, -1, line, (size_t)n);
    free(line);
  }
  free(text);
  pthread_mutex_lock(&dispatch_mu);
  notice_gil_held(timeout);
}

void watchdog_tick(uint64_t at) {
  uint64_t time = at - ticked;
  ticked = at;
  if (time > TICK_MAX) time = TICK_MAX;
  if (keeper_asks()) {
    waited += time;
    if (timeout && !held && waited >= timeout - timeout / ASK_AFTER) bark(at);
    return;
  }
  waited = 0;
  if (!timeout) return;
  bool moved = taken != dispatch_taken() || !dispatch_busy();
  taken = dispatch_taken();
  still = moved ? 0 : still + time;
  if (still < timeout / ASK_AFTER) return;
  still = 0;
  keeper_wake();
}
