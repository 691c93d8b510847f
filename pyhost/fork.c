/* A process that the app forks is not ours: it has one thread, copies of all descriptors, and Go's signal handlers without Go behind them.
 * What the hook here does makes it what it would be had a plain python forked it. */
#define _GNU_SOURCE
#include "interp.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FD_MAX = 1 << 20 }; /* descriptors above are not marked: fs.nr_open's default is this number */

_Atomic bool ph_forked;
bool ph_fork_worker;

/* A bit for each descriptor. Pages that are not touched cost no memory. */
static _Atomic uint64_t owned[FD_MAX / 64];
static _Atomic int highest = -1;

void ph_fd_own(int fd, int own) {
  if (fd < 0 || fd >= FD_MAX) return;
  uint64_t bit = UINT64_C(1) << (fd % 64);
  if (!own) {
    atomic_fetch_and(&owned[fd / 64], ~bit);
    return;
  }
  atomic_fetch_or(&owned[fd / 64], bit);
  int h = atomic_load(&highest);
  while (h < fd && !atomic_compare_exchange_weak(&highest, &h, fd)) {
  }
}

static void close_owned(void) {
  int words = atomic_load(&highest) / 64;
  for (int w = 0; w <= words; w++) {
    uint64_t bits = atomic_load(&owned[w]);
    for (; bits; bits &= bits - 1) close(w * 64 + __builtin_ctzll(bits));
  }
}

/* A bit for each descriptor of the kinds that Go's poller uses which was there before Go: the app's. */
static uint64_t others[FD_MAX / 64];

static void note_other(int fd) {
  if (fd >= 0 && fd < FD_MAX) others[fd / 64] |= UINT64_C(1) << (fd % 64);
}

static void own_unless_other(int fd) {
  if (fd >= 0 && fd < FD_MAX && !(others[fd / 64] >> (fd % 64) & 1)) ph_fd_own(fd, 1);
}

/* Go keeps the descriptors of its poller to itself. Whoever shares the epoll descriptor changes what the server waits for. */
static void each_poller(void (*f)(int)) {
  DIR *d = opendir("/proc/self/fd");
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    char link[64];
    ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof link - 1);
    if (n < 0) continue;
    link[n] = 0;
    if (strcmp(link, "anon_inode:[eventpoll]") == 0 || strcmp(link, "anon_inode:[eventfd]") == 0) f(atoi(e->d_name));
  }
  closedir(d);
}

void ph_fork_before_go(void) { each_poller(note_other); }
void ph_fork_after_go(void) { each_poller(own_unless_other); }

/* The forking thread's mask. A signal that came between fork and the reset of its handler would go to Go's handler, where no Go is: a
 * terminate() right after start() would be lost. So signals wait meanwhile. */
static _Thread_local sigset_t mask;

static PyObject *none(void) {
  py.Py_IncRef(ph_none);
  return ph_none;
}

/* The functions of os.register_at_fork, on the thread that forks: right before fork, and before it returns to the app. */
static PyObject *before(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  return none();
}

static PyObject *after_in_parent(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  return none();
}

static PyObject *after_in_child(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  if (ph_fork_worker) return after_in_parent(NULL, NULL);
  atomic_store(&ph_forked, true);
  ph_main_child();
  close_owned();
  ph_signals_child();
  ph_rlimit_restore();
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  return none();
}

static PyMethodDef hooks[] = {
    {"gowsgi_before_fork", before, METH_NOARGS, NULL},
    {"gowsgi_after_fork_in_parent", after_in_parent, METH_NOARGS, NULL},
    {"gowsgi_after_fork_in_child", after_in_child, METH_NOARGS, NULL},
};

int ph_fork_init(void) {
  ph_fork_after_go();
  PyObject *fn[3] = {NULL}, *r = NULL;
  for (int i = 0; i < 3; i++)
    if (!(fn[i] = py.PyCFunction_NewEx(&hooks[i], NULL, NULL))) goto out;
  r = ph_helper_call("register_at_fork", fn[0], fn[1], fn[2], NULL);
out:
  for (int i = 0; i < 3; i++) PY_XDECREF(fn[i]);
  PY_XDECREF(r);
  return r ? 0 : -1;
}

_Noreturn void ph_forked_exit(void) {
  PyObject *type = NULL, *value = NULL, *tb = NULL, *code = NULL;
  py.PyErr_Fetch(&type, &value, &tb);
  int status = type ? 1 : 0;
  if (type) {
    py.PyErr_NormalizeException(&type, &value, &tb);
    if (tb && value) py.PyException_SetTraceback(value, tb);
  }
  code = ph_helper_call("forked_exit", value ? value : ph_none, NULL);
  if (code) {
    long n = py.PyLong_AsLong(code);
    if (!py.PyErr_Occurred()) status = (int)n;
  }
  _exit(status);
}
