/* The keeper: a Python thread that does for the ticker and for Go what needs the GIL, and by whose waiting the watchdog knows that it is
 * held. It runs no code of the app's. */
#define _GNU_SOURCE
#include "dispatch.h"
#include <stdlib.h>
#include <time.h>

enum { DUMP_PARTS = 10 };
static const uint64_t DUMP_PART = 100000000ull; /* ns */

/* All guarded by dispatch_mu. */
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static pthread_cond_t dumped; /* by CLOCK_MONOTONIC */
static bool wanted, asks;
static enum { NONE, WANTED, BEING_MADE, MADE } dump;
static char *dump_text;

void keeper_wake(void) {
  if (wanted) return;
  wanted = true;
  pthread_cond_signal(&woken);
}

bool keeper_asks(void) { return asks || wanted; }

/* GIL: held. */
static void make_dump(void) {
  pthread_mutex_lock(&dispatch_mu);
  bool make = dump == WANTED;
  if (make) dump = BEING_MADE;
  pthread_mutex_unlock(&dispatch_mu);
  if (!make) return;
  char *text = stacks_by_python();
  pthread_mutex_lock(&dispatch_mu);
  dump = MADE;
  dump_text = text;
  pthread_cond_broadcast(&dumped);
  pthread_mutex_unlock(&dispatch_mu);
}

/* In parts: one may pass at once where the process was stopped. */
char *keeper_dump(void) {
  while (dump != NONE) pthread_cond_wait(&dumped, &dispatch_mu); /* another's */
  dump = WANTED;
  keeper_wake();
  for (int i = 0; i < DUMP_PARTS && dump == WANTED; i++) {
    uint64_t until = dispatch_now() + DUMP_PART;
    struct timespec t = {(time_t)(until / 1000000000ull), (long)(until % 1000000000ull)};
    while (dump == WANTED && !pthread_cond_timedwait(&dumped, &dispatch_mu, &t)) {
    }
  }
  while (dump == BEING_MADE) pthread_cond_wait(&dumped, &dispatch_mu);
  char *text = dump == MADE ? dump_text : NULL;
  dump = NONE;
  dump_text = NULL;
  pthread_cond_broadcast(&dumped);
  return text;
}

static PyObject *keeper_main(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  pthread_setname_np(pthread_self(), "gowsgi-keeper");
  ph_crash_thread_start();
  for (;;) {
    PyThreadState *ts = py.PyEval_SaveThread();
    pthread_mutex_lock(&dispatch_mu);
    while (!wanted) pthread_cond_wait(&woken, &dispatch_mu);
    wanted = false;
    asks = true;
    pthread_mutex_unlock(&dispatch_mu);
    py.PyEval_RestoreThread(ts);
    pthread_mutex_lock(&dispatch_mu);
    asks = false;
    watchdog_relieved();
    pthread_mutex_unlock(&dispatch_mu);
    deadline_interrupt();
    make_dump();
    if (py.PyErr_Occurred()) py.PyErr_Clear();
  }
  return NULL; /* not reached */
}
static PyMethodDef keeper_def = {"gowsgi_keeper", (PyCFunction)keeper_main, METH_O, NULL};

int keeper_start(void) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&dumped, &monotonic);
  pthread_condattr_destroy(&monotonic);
  return thread_start(&keeper_def, "gowsgi-keeper", 0);
}
