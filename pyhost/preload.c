/* CPython before Go: a template process imports the apps and forks workers, in which the Go runtime then starts. It has no Go, and no
 * thread but its first, which is Python's main thread, in the workers too. */
#define _GNU_SOURCE
#include "interp.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool preloaded;
static char *specs; /* of the apps, each ended by a NUL */
static size_t specs_len;

int ph_preloaded(void) { return preloaded; }

const char *ph_preloaded_apps(size_t *len) {
  *len = specs_len;
  return specs;
}

char *ph_preload_start(const ph_start_options *o, const char *preload, void (*log)(int level, const char *text, size_t len)) {
  ph_errlog_early = log;
  ph_signals_record(0); /* as the process was started; there is no Go */
  for (int sig = 1; sig <= 64; sig++)
    if (ph_crash_serves(sig)) ph_crash_install(sig, NULL);
  ph_crash_thread_start();
  char *error = ph_python_start(o);
  if (error) return error;
  PyObject *r = NULL;
  if (ph_helpers_add(preload, "<gowsgi>/preload.py") != 0 || !(r = ph_helper_call("begin", NULL))) error = ph_exception_text();
  PY_XDECREF(r);
  return error;
}

int ph_preload_ask(const char *function, const char *text, ph_app_error *e) {
  int rc = -1;
  memset(e, 0, sizeof *e);
  PyObject *f = py.PyUnicode_FromString(function), *t = py.PyUnicode_FromString(text), *r = NULL;
  ph_crash_doing("running ", function);
  if (f && t) r = ph_helper_call("asked", f, t, NULL);
  ph_crash_doing(NULL, NULL);
  if (ph_forked) ph_forked_exit();
  if (r == ph_none)
    rc = 0;
  else if (!r || ph_app_refused(e, r) != 0)
    ph_app_failed(e, "the host failed in a call of the program's own");
  PY_XDECREF(f);
  PY_XDECREF(t);
  PY_XDECREF(r);
  return rc;
}

static bool add_spec(const char *spec) {
  size_t n = strlen(spec) + 1;
  char *grown = realloc(specs, specs_len + n);
  if (!grown) return false;
  memcpy(grown + specs_len, spec, n);
  specs = grown, specs_len += n;
  return true;
}

int ph_preload_app(const char *prefix, const char *spec, ph_app_error *e) {
  if (ph_app_load_here(spec, e) < 0) return -1;
  PyObject *p = py.PyUnicode_DecodeFSDefault(prefix), *s = py.PyUnicode_DecodeFSDefault(spec), *r = NULL;
  if (p && s) r = ph_helper_call("mount", p, s, NULL);
  int rc = r && add_spec(spec) ? 0 : -1;
  if (rc != 0) ph_app_failed(e, "the host failed after it loaded the app");
  PY_XDECREF(p);
  PY_XDECREF(s);
  PY_XDECREF(r);
  return rc;
}

int ph_preload_warm(const char *path, char **spec, ph_app_error *e) {
  int rc = -1;
  memset(e, 0, sizeof *e);
  *spec = NULL;
  PyObject *p = py.PyUnicode_DecodeFSDefault(path), *many = py.PyBool_FromLong(ph_multiprocess), *r = NULL;
  ph_crash_doing("warming up with ", path);
  if (p && many) r = ph_helper_call("warm", p, many, NULL);
  ph_crash_doing(NULL, NULL);
  if (ph_forked) ph_forked_exit();
  if (r == ph_none)
    rc = 0;
  else if (!r || !(*spec = ph_text(py.PyTuple_GetItem(r, 0), NULL)) || ph_app_refused(e, r) != 0)
    ph_app_failed(e, "the host failed in a warm-up request");
  PY_XDECREF(p);
  PY_XDECREF(many);
  PY_XDECREF(r);
  return rc;
}

char *ph_preload_seal(ph_app_error *e) {
  memset(e, 0, sizeof *e);
  PyObject *r = ph_helper_call("seal", NULL);
  char *names = r ? ph_text(r, NULL) : NULL;
  if (!names) ph_app_failed(e, "the host failed after the import");
  PY_XDECREF(r);
  return names;
}

void ph_preload_wait(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  PyThreadState *ts = py.PyEval_SaveThread(); /* for threads of the app, where it may have some */
  while (poll(&p, 1, -1) < 0 && errno == EINTR) {
  }
  py.PyEval_RestoreThread(ts);
}

/* Calls a function of py/preload.py that can fail only where memory is out. */
static void call(const char *name) {
  PyObject *r = ph_helper_call(name, NULL);
  if (!r) ph_log_exception(NULL, name);
  PY_XDECREF(r);
}

void ph_preload_flush(void) { call("_flush"); }

/* In the process between: forks the worker, tells its id, or -errno, and is gone, so that the worker gets another parent. 0 in the worker. */
static int fork_again(int tell) {
  pid_t pid = fork();
  if (pid == 0) return 0;
  if (pid < 0) pid = -errno;
  ssize_t n = write(tell, &pid, sizeof pid);
  _exit(n == sizeof pid ? 0 : 1);
}

/* Waits for the process between to be gone, since only then the worker has its parent, and takes the SIGCHLD that its end sent: the app has
 * not started that process. Signals are blocked. */
static int take_pid(pid_t between, int from) {
  static const struct timespec at_once;
  pid_t pid;
  sigset_t chld;
  while (waitpid(between, NULL, 0) < 0 && errno == EINTR) {
  }
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigtimedwait(&chld, NULL, &at_once);
  if (read(from, &pid, sizeof pid) != sizeof pid) pid = -ECHILD;
  if (pid > 0) return pid;
  errno = -pid;
  return -1;
}

/* Two forks, of which Python sees one: os.register_at_fork's functions run once. */
int ph_preload_fork(void) {
  int ends[2], pid, err;
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  ph_fork_worker = true;
  py.PyOS_BeforeFork();
  pid_t between = fork();
  if (between == 0) {
    pid = fork_again(ends[1]);
    py.PyOS_AfterFork_Child();
  } else {
    err = errno;
    close(ends[1]); /* a process between that was killed is then an end to read */
    py.PyOS_AfterFork_Parent();
    errno = err;
    pid = between < 0 ? -1 : take_pid(between, ends[0]);
  }
  err = errno;
  ph_fork_worker = false;
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  close(ends[0]);
  if (between == 0) close(ends[1]);
  errno = err;
  return pid;
}

char *ph_preload_leave(void) {
  call("enter_worker");
  ph_fork_before_go();
  char *error = ph_main_descriptors();
  if (error) return error;
  ph_errlog_early = NULL;
  ph_signals_suspend();
  stack_t none = {.ss_flags = SS_DISABLE}; /* Go gives the thread one that is large enough for its own handlers */
  sigaltstack(&none, NULL);
  preloaded = true;
  ph_main_leave();
  return NULL;
}

struct adoption {
  const ph_start_options *options;
  char *error;
};

static void adopt(void *arg) {
  struct adoption *a = arg;
  PyObject *plain = ph_helper_call("sigint_is_default", NULL);
  ph_signals_resume(a->options->signals, plain && py.PyObject_IsTrue(plain) == 1);
  PY_XDECREF(plain);
  ph_fork_after_go();
  if (!ph_spool_set(a->options)) a->error = strdup("no memory");
  ph_main_settle();
}

char *ph_adopt(const ph_start_options *o) {
  struct adoption a = {o, NULL};
  ph_main_call(adopt, &a);
  return a.error;
}
