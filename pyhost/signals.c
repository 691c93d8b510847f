/* Who owns which signal. Three parties set handlers in this process: the Go runtime at its start, CPython and the app's signal.signal, and
 * crash.c. Go can't do without some, the program around us receives some with signal.Notify, and the rest are the app's. */
#define _GNU_SOURCE
#include "interp.h"
#include <string.h>

enum { NSIG_MAX = 64 };

static struct sigaction go[NSIG_MAX + 1];  /* as Go set them */
static struct sigaction app[NSIG_MAX + 1]; /* the app's, where ours or Go's had to take its place */
static bool app_set[NSIG_MAX + 1];
static struct sigaction kept[NSIG_MAX + 1]; /* the app's and CPython's from before Go's start */
static uint64_t wanted_by_go;
static void *go_handler; /* the one function that Go uses for all signals */

static bool usable(int sig) { return sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33; /* 32 and 33 are libc's */ }

void ph_signals_record(uint64_t wanted) {
  wanted_by_go = wanted;
  for (int sig = 1; sig <= NSIG_MAX; sig++)
    if (usable(sig)) sigaction(sig, NULL, &go[sig]);
  /* Go always handles SIGURG: it preempts goroutines with it. */
  go_handler = (void *)go[SIGURG].sa_sigaction;
}

void ph_signals_suspend(void) {
  for (int sig = 1; sig <= NSIG_MAX; sig++)
    if (usable(sig)) sigaction(sig, &go[sig], &kept[sig]);
}

const struct sigaction *ph_signals_go(int sig) { return &go[sig]; }

static bool is_plain(const struct sigaction *a) {
  return !(a->sa_flags & SA_SIGINFO) && (a->sa_handler == SIG_DFL || a->sa_handler == SIG_IGN);
}

static bool is_go(const struct sigaction *a) { return !is_plain(a) && (void *)a->sa_sigaction == go_handler; }

void ph_signals_resume(uint64_t wanted, bool sigint_default) {
  struct sigaction first[NSIG_MAX + 1];
  memcpy(first, go, sizeof first);
  ph_signals_record(wanted);
  for (int sig = 1; sig <= NSIG_MAX; sig++) {
    const struct sigaction *k = &kept[sig];
    if (!usable(sig)) continue;
    if (ph_crash_serves(sig)) {
      ph_crash_install(sig, ph_crash_is(k) ? ph_crash_before(sig) : is_plain(k) ? NULL : k);
      continue;
    }
    bool same = (void *)k->sa_sigaction == (void *)first[sig].sa_sigaction;
    if (!same && !(sig == SIGINT && sigint_default)) sigaction(sig, k, NULL);
  }
}

/* Signals that Go's runtime itself needs: to preempt goroutines, and for profiles. */
static bool is_runtimes(int sig) { return sig == SIGURG || sig == SIGPROF; }

static void settle(int sig, bool sigint_default) {
  struct sigaction now;
  if (!usable(sig) || sigaction(sig, NULL, &now) != 0) return;
  if (ph_crash_serves(sig)) {
    if (!ph_crash_is(&now)) ph_crash_install(sig, is_go(&now) || is_plain(&now) ? NULL : &now);
    return;
  }
  bool is_app = !is_plain(&now) && !is_go(&now);
  if (sig == SIGPIPE) {
    if (!is_plain(&now) || now.sa_handler != SIG_IGN) {
      struct sigaction ignore = {.sa_handler = SIG_IGN};
      sigaction(sig, &ignore, NULL);
      ph_logf(4, -1, "SIGPIPE stays ignored: with what the app set, a client or a database that goes away would end the process");
    }
    return;
  }
  if (is_runtimes(sig)) {
    if (is_app || (is_plain(&now) && is_go(&go[sig]))) {
      sigaction(sig, &go[sig], NULL);
      ph_logf(4, -1, "the app's handler for %s is not used: Go's runtime needs that signal", sig == SIGURG ? "SIGURG" : "SIGPROF");
    }
    return;
  }
  if (wanted_by_go >> (sig - 1) & 1 || (sig == SIGINT && sigint_default)) {
    /* A signal that was ignored when the process started (nohup) stays so for Go until Notify; a handler of the app changes nothing. */
    if (is_app || (is_plain(&now) && is_go(&go[sig]))) {
      app[sig] = now, app_set[sig] = true;
      sigaction(sig, &go[sig], NULL);
    }
    return;
  }
  /* The app's. On a goroutine's small stack such a handler would overwrite what is beside it, and Go expects its system calls to be
   * restarted. CPython 3.9 and most C extensions set neither flag. */
  if (is_app && (now.sa_flags & (SA_ONSTACK | SA_RESTART)) != (SA_ONSTACK | SA_RESTART)) {
    now.sa_flags |= SA_ONSTACK | SA_RESTART;
    sigaction(sig, &now, NULL);
  }
}

void ph_signals_settle(bool sigint_default) {
  for (int sig = 1; sig <= NSIG_MAX; sig++) settle(sig, sigint_default);
}

int ph_signals_pretend(void) {
  for (int sig = 1; sig <= NSIG_MAX; sig++) {
    struct sigaction now;
    /* SIGPROF is left out: its default ends the process, and a profiler may be at work. For others the window is a few microseconds. */
    if (!usable(sig) || sig == SIGPROF || sigaction(sig, NULL, &now) != 0 || !(is_go(&now) || ph_crash_is(&now))) continue;
    PyObject *number = py.PyLong_FromLong(sig), *r = NULL;
    if (number) r = ph_helper_call("forget_handler", number, NULL);
    sigaction(sig, &now, NULL);
    PY_XDECREF(number);
    PY_XDECREF(r);
    if (!r) return -1;
  }
  return 0;
}

void ph_signals_child(void) {
  /* Go's handlers queue for goroutines that do not exist here: a child would be deaf to SIGTERM. */
  struct sigaction now, deflt;
  memset(&deflt, 0, sizeof deflt);
  deflt.sa_handler = SIG_DFL;
  for (int sig = 1; sig <= NSIG_MAX; sig++) {
    if (!usable(sig) || sigaction(sig, NULL, &now) != 0) continue;
    if (ph_crash_is(&now)) {
      const struct sigaction *before = ph_crash_before(sig);
      sigaction(sig, before ? before : &deflt, NULL);
    } else if (is_go(&now)) {
      sigaction(sig, app_set[sig] ? &app[sig] : &deflt, NULL);
    }
  }
}
