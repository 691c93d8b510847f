/* Stack dumps: by the interpreter where the GIL can be had, else by faulthandler, which walks the frames from a signal handler and needs
 * nothing. The latter is right only while they stand still: where somebody keeps the GIL. */
#define _GNU_SOURCE
#include "dispatch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lifecycle.h"

static int signal_number;                              /* faulthandler's; 0: there is none */
static int fd = -1;                                    /* where it writes */
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* one dump at a time: fd has one position */

/* Text that grows; text is NULL once memory is out. */
typedef struct {
  char *text;
  size_t len;
  FILE *f;
} report;

static void line_of(void *arg, unsigned long ident, int number, const char *name, uint64_t since) {
  report *r = arg;
  fprintf(r->f, "0x%016lx is gowsgi-%d, for %.1f s in %s\n", ident, number + 1, (double)(dispatch_now() - since) / 1e9, name);
}

/* Copies what faulthandler wrote. */
static void copy_dump(FILE *to) {
  char part[4096];
  ssize_t n;
  off_t at = 0;
  while ((n = pread(fd, part, sizeof part, at)) > 0) {
    fwrite(part, 1, (size_t)n, to);
    at += n;
  }
}

/* A thread of its own, since the signal is to come on a thread with room on its stack whose mask is ours. */
static void *dumper(void *arg) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal_number);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  pthread_kill(pthread_self(), signal_number); /* handled before this returns */
  return arg;
}

static bool dump_to_fd(void) {
  if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0) return false;
  pthread_t t;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int err = pthread_create(&t, NULL, dumper, NULL);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return err == 0 && pthread_join(t, NULL) == 0;
}

char *stacks_without_gil(void) {
  report r = {0};
  if (!(r.f = open_memstream(&r.text, &r.len))) return NULL;
  if (signal_number) {
    pthread_mutex_lock(&mu);
    if (dump_to_fd())
      copy_dump(r.f);
    else
      fputs("(no thread can be started to show the stacks)\n", r.f);
    pthread_mutex_unlock(&mu);
  } else {
    fputs("(the stacks of threads that run can't be read here)\n", r.f);
  }
  pthread_mutex_lock(&dispatch_mu);
  deadline_each(line_of, &r);
  pthread_mutex_unlock(&dispatch_mu);
  return fclose(r.f) == 0 ? r.text : NULL;
}

/* The requests as Python has them: a list of (ident, "GET /path", seconds). */
typedef struct {
  struct item {
    unsigned long ident;
    uint64_t since;
    char name[NAME_MAX_LEN];
  } * items;
  int n, cap;
} items;

static void item_of(void *arg, unsigned long ident, int number, const char *name, uint64_t since) {
  items *l = arg;
  (void)number;
  if (l->n == l->cap) {
    struct item *grown = realloc(l->items, (size_t)(l->cap + 64) * sizeof *grown);
    if (!grown) return;
    l->items = grown, l->cap += 64;
  }
  struct item *i = &l->items[l->n++];
  i->ident = ident, i->since = since;
  snprintf(i->name, sizeof i->name, "%s", name);
}

/* A dict of texts by ident, new reference, or NULL with an exception. */
static PyObject *requests(void) {
  items l = {0};
  pthread_mutex_lock(&dispatch_mu);
  deadline_each(item_of, &l);
  uint64_t at = dispatch_now();
  pthread_mutex_unlock(&dispatch_mu);
  PyObject *dict = py.PyDict_New();
  for (int i = 0; dict && i < l.n; i++) {
    char text[NAME_MAX_LEN + 40];
    snprintf(text, sizeof text, "for %.1f s in %s", (double)(at - l.items[i].since) / 1e9, l.items[i].name);
    PyObject *k = py.PyLong_FromLong((long)l.items[i].ident), *v = py.PyUnicode_DecodeLatin1(text, (Py_ssize_t)strlen(text), NULL);
    if (!k || !v || py.PyDict_SetItem(dict, k, v) < 0) {
      py.Py_DecRef(dict);
      dict = NULL;
    }
    PY_XDECREF(k);
    PY_XDECREF(v);
  }
  free(l.items);
  return dict;
}

char *stacks_by_python(void) {
  PyObject *dict = requests(), *f = dict ? ph_helper("stacks") : NULL, *text = NULL;
  char *out = NULL;
  if (f) text = py.PyObject_CallFunctionObjArgs(f, dict, NULL);
  if (text && py.PyBytes_AsString(text)) out = strdup(py.PyBytes_AsString(text));
  if (!out) {
    ph_log_exception(NULL, "the stacks could not be read");
    out = strdup("(the stacks could not be read; the log says why)\n");
  }
  PY_XDECREF(dict);
  PY_XDECREF(text);
  return out;
}

char *ph_stacks(void) {
  pthread_mutex_lock(&dispatch_mu);
  char *text = keeper_dump();
  pthread_mutex_unlock(&dispatch_mu);
  return text ? text : stacks_without_gil();
}

int stacks_init(bool gil) {
  if (!gil) return 0; /* its threads do not stand still */
  fd = memfd_create("gowsgi-stacks", MFD_CLOEXEC);
  if (fd < 0) return 0; /* a kernel that forbids it: dumps without the GIL then say so */
  ph_fd_own(fd, 1);
  PyObject *file = py.PyLong_FromLong(fd), *number = py.PyLong_FromLong(SIGRTMAX - 1), *r = NULL, *f = ph_helper("dump_on_signal");
  if (file && number && f) r = py.PyObject_CallFunctionObjArgs(f, number, file, NULL);
  PY_XDECREF(file);
  PY_XDECREF(number);
  PY_XDECREF(r);
  if (!r) return -1;
  signal_number = SIGRTMAX - 1;
  return 0;
}
