/* Python's main thread: a C thread that starts CPython, imports the apps, and then waits for work with the GIL released. Only here do
 * Python's signal handlers run. It is no thread of Go's scheduler: CPython takes its signal stack, its limits and its name. Where CPython was
 * started before Go it is the process's first thread, which Go's scheduler leaves alone. */
#define _GNU_SOURCE
#include "interp.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
  STACK = 8 << 20, /* as `python` has it under the usual ulimit -s; a C thread's own default may be 128 KiB (musl) */
  ASK_MS = 100,    /* how often signals are looked for where the app keeps signal.set_wakeup_fd for itself */
};

typedef struct command {
  void (*fn)(void *);
  void *arg;
  bool done;
} command;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* never held while the GIL is waited for */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static command *posted; /* one at a time; under mu */

static int wake_fd = -1;              /* eventfd */
static int signal_pipe[2] = {-1, -1}; /* CPython's handler writes, the loop reads */
static int exit_pipe[2] = {-1, -1};   /* codes for Go */
static bool wakeup_ours;              /* signal.set_wakeup_fd is ours; the app's otherwise. GIL */
static _Atomic uint64_t asked;        /* bit n - 1: call the app's handler for signal n */

int ph_exit_fd(void) { return exit_pipe[0]; }

void ph_main_wake(void) {
  int saved = errno;
  uint64_t one = 1;
  ssize_t n = write(wake_fd, &one, sizeof one);
  (void)n; /* fails only where the counter is full: awake already */
  errno = saved;
}

void ph_signal(int sig) {
  if (sig < 1 || sig > 64) return;
  atomic_fetch_or(&asked, UINT64_C(1) << (sig - 1));
  ph_main_wake();
}

void ph_main_call(void (*fn)(void *), void *arg) {
  command c = {fn, arg, false};
  pthread_mutex_lock(&mu);
  while (posted) pthread_cond_wait(&changed, &mu);
  posted = &c;
  ph_main_wake();
  while (!c.done) pthread_cond_wait(&changed, &mu);
  pthread_mutex_unlock(&mu);
}

static void run_command(void) {
  pthread_mutex_lock(&mu);
  command *c = posted;
  pthread_mutex_unlock(&mu);
  if (!c) return;
  c->fn(c->arg);
  if (ph_forked) ph_forked_exit();
  pthread_mutex_lock(&mu);
  posted = NULL;
  c->done = true;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mu);
}

/* After a handler of the app ran: SystemExit is for Go, what else was raised is logged. */
static void handler_ended(void) {
  if (ph_forked) ph_forked_exit();
  if (!py.PyErr_Occurred()) return;
  if (!py.PyErr_ExceptionMatches(ph_exc_SystemExit)) {
    ph_log_exception(NULL, "a signal handler raised");
    return;
  }
  PyObject *type, *value, *tb, *code = NULL;
  py.PyErr_Fetch(&type, &value, &tb);
  py.PyErr_NormalizeException(&type, &value, &tb);
  int32_t status = 1;
  if (value && (code = ph_helper_call("exit_code", value, NULL))) status = (int32_t)py.PyLong_AsLong(code);
  py.PyErr_Clear();
  PY_XDECREF(code);
  PY_XDECREF(type);
  PY_XDECREF(value);
  PY_XDECREF(tb);
  ssize_t n = write(exit_pipe[1], &status, sizeof status);
  (void)n; /* full: many exits were asked for already */
}

/* came: CPython's handler has said so. */
static void run_signals(bool came) {
  bool ran = came;
  if (py.PyErr_CheckSignals() != 0) handler_ended(), ran = true;
  if (ph_forked) ph_forked_exit();
  uint64_t set = atomic_exchange(&asked, 0);
  for (int sig = 1; set; sig++, set >>= 1) {
    if (!(set & 1)) continue;
    PyObject *number = py.PyLong_FromLong(sig), *r = NULL;
    if (number) r = ph_helper_call("run_signal_handler", number, NULL);
    handler_ended();
    PY_XDECREF(number);
    PY_XDECREF(r);
    ran = true;
  }
  if (ran) ph_main_settle(); /* a handler may call signal.signal: this is Python's main thread */
}

/* Whether there was something. */
static bool drain(int fd) {
  char sink[256];
  bool any = false;
  while (read(fd, sink, sizeof sink) > 0) any = true;
  return any;
}

_Noreturn static void loop(void) {
  for (;;) {
    struct pollfd fds[2] = {{.fd = wake_fd, .events = POLLIN}, {.fd = signal_pipe[0], .events = POLLIN}};
    PyThreadState *ts = py.PyEval_SaveThread();
    poll(fds, 2, wakeup_ours ? -1 : ASK_MS);
    drain(wake_fd);
    bool came = drain(signal_pipe[0]);
    py.PyEval_RestoreThread(ts);
    run_signals(came);
    ph_release_objects();
    run_command();
  }
}

/* A handler may run, and raise, inside the calls here: then all is done again. True: settled. */
static bool settle(void) {
  PyObject *fd = py.PyLong_FromLong(signal_pipe[1]), *taken = NULL, *plain = ph_helper_call("sigint_is_default", NULL);
  ph_signals_settle(plain && py.PyObject_IsTrue(plain) == 1);
  if (fd && plain) taken = ph_helper_call("take_wakeup_fd", fd, NULL);
  wakeup_ours = taken && py.PyObject_IsTrue(taken) == 1;
  if (!taken) handler_ended();
  PY_XDECREF(fd);
  PY_XDECREF(plain);
  PY_XDECREF(taken);
  return taken != NULL;
}

void ph_main_settle(void) {
  for (int tries = 0; tries < 10 && !settle(); tries++) {
  }
}

void ph_main_child(void) {
  /* Before the descriptors are closed: CPython's handler would write into whatever file gets the number next. */
  PyObject *fd = py.PyLong_FromLong(signal_pipe[1]), *r = NULL;
  if (fd) r = ph_helper_call("drop_wakeup_fd", fd, NULL);
  py.PyErr_Clear();
  PY_XDECREF(fd);
  PY_XDECREF(r);
}

static PyThreadState *left; /* Python's main thread, from before Go's start */

void ph_main_leave(void) { left = py.PyEval_SaveThread(); }

void ph_main_run(void) {
  py.PyEval_RestoreThread(left);
  loop();
}

struct start {
  const ph_start_options *options;
  char *error;
};

static void *main_thread(void *arg) {
  struct start *s = arg;
  sigset_t none;
  sigemptyset(&none); /* a mask is inherited by every program that the app starts */
  pthread_sigmask(SIG_SETMASK, &none, NULL);
  pthread_setname_np(pthread_self(), "gowsgi-main");
  ph_crash_thread_start();
  char *error = ph_python_start(s->options);

  pthread_mutex_lock(&mu);
  s->error = error;
  posted = NULL;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mu);
  /* s is gone from here on. Where CPython failed it may hold the GIL or not exist at all: the thread has nothing to give back. */
  if (!error) loop();
  return NULL;
}

char *ph_main_descriptors(void) {
  wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0 || pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0 || pipe2(exit_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    char *text = NULL;
    if (asprintf(&text, "descriptors for Python's main thread: %s", strerror(errno)) < 0) return strdup("no memory");
    return text;
  }
  ph_fd_own(wake_fd, 1);
  for (int i = 0; i < 2; i++) ph_fd_own(signal_pipe[i], 1), ph_fd_own(exit_pipe[i], 1);
  return NULL;
}

char *ph_start(const ph_start_options *o) {
  char *error = ph_main_descriptors();
  if (error) return error;
  ph_signals_record(o->signals);
  for (int sig = 1; sig <= 64; sig++)
    if (ph_crash_serves(sig)) ph_crash_install(sig, NULL);

  struct start s = {o, NULL};
  command started = {NULL, NULL, false}; /* keeps ph_main_call waiting until CPython runs */
  posted = &started;
  pthread_attr_t attr;
  pthread_t thread;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, STACK);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  int err = pthread_create(&thread, &attr, main_thread, &s);
  pthread_attr_destroy(&attr);
  if (err) {
    posted = NULL;
    return asprintf(&error, "a thread for Python: %s", strerror(err)) < 0 ? strdup("no memory") : error;
  }
  pthread_mutex_lock(&mu);
  while (posted == &started) pthread_cond_wait(&changed, &mu);
  pthread_mutex_unlock(&mu);
  return s.error;
}
