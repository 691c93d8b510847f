/* The C functions that py/host.py calls: lines of the app's wsgi.errors, and of the host, go to the log. */
#define _GNU_SOURCE
#include "interp.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Level warn for wsgi.errors: Flask sends its whole log there, Python's own errors come with a traceback from elsewhere. */
enum {
  LINE_MAX_BYTES = 64 << 10, /* a longer line goes out in pieces: an app must not fill memory by never ending one */
  LOG_BYTES_MAX = 8 << 20,   /* not written yet; past that wsgi.errors waits */
  WAIT_MS = 100,             /* at most, for one write */
};

/* The line that this thread has begun. A line of one thread is never mixed with another's. */
static _Thread_local char *partial;
static _Thread_local size_t partial_len, partial_cap;
static pthread_key_t partial_key; /* frees partial when the thread ends */

void (*ph_errlog_early)(int level, const char *text, size_t len);

static void put(int level, const char *text, size_t len) {
  if (!ph_forked) {
    if (ph_errlog_early) {
      ph_errlog_early(level, text, len);
      return;
    }
    ph_slot *s = ph_current_slot();
    ph_log(level, s ? (int)s->id : -1, text, len);
    return;
  }
  /* There is no log in a forked process, but its stderr is where the log usually goes. */
  ssize_t n = write(STDERR_FILENO, text, len);
  n = write(STDERR_FILENO, "\n", 1);
  (void)n;
}

static void end_line(void) {
  if (partial_len) put(4, partial, partial_len);
  partial_len = 0;
}

static bool keep(const char *p, size_t n) {
  if (partial_len + n > partial_cap) {
    size_t cap = partial_len + n + 256;
    char *grown = realloc(partial, cap);
    if (!grown) return false;
    partial = grown, partial_cap = cap;
    pthread_setspecific(partial_key, partial);
  }
  memcpy(partial + partial_len, p, n);
  partial_len += n;
  return true;
}

void ph_errors_end(void) {
  if (partial_len) end_line();
}

/* An app that writes faster than the log is written waits, as it would for a pipe, or the lines would fill memory. Not for ever: who reads
 * the log may be waiting for the app. GIL: held. */
static void wait_for_log(void) {
  if (ph_forked || ph_log_waiting() < LOG_BYTES_MAX) return;
  PyThreadState *ts = py.PyEval_SaveThread();
  for (int ms = 0; ms < WAIT_MS && ph_log_waiting() >= LOG_BYTES_MAX; ms++) usleep(1000);
  py.PyEval_RestoreThread(ts);
}

/* errors_write(str): whole lines to the log, the rest is kept for this thread's next call. */
static PyObject *errors_write(PyObject *self, PyObject *text) {
  (void)self;
  size_t len;
  char *data = ph_text(text, &len);
  if (!data) return NULL;
  for (const char *p = data, *end = data + len; p < end;) {
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((nl ? nl : end) - p);
    if (n > LINE_MAX_BYTES) {
      for (n = LINE_MAX_BYTES; (p[n] & 0xc0) == 0x80; n--) { /* not inside a character */
      }
      nl = NULL;
    }
    if (partial_len + n > LINE_MAX_BYTES) end_line();
    if (nl && !partial_len)
      put(4, p, n);
    else if (!keep(p, n))
      put(4, p, n); /* out of memory: rather a broken line than none */
    else if (nl)
      end_line();
    p += n + (nl != NULL);
  }
  free(data);
  wait_for_log();
  py.Py_IncRef(ph_none);
  return ph_none;
}

static PyObject *errors_flush(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  ph_errors_end();
  py.Py_IncRef(ph_none);
  return ph_none;
}

/* log(str): one entry, which may have several lines. */
static PyObject *log_error(PyObject *self, PyObject *text) {
  (void)self;
  size_t len;
  char *data = ph_text(text, &len);
  if (!data) return NULL;
  put(8, data, len);
  free(data);
  py.Py_IncRef(ph_none);
  return ph_none;
}

static PyMethodDef functions[] = {{"_errors_write", errors_write, METH_O, NULL},
                                  {"_errors_flush", errors_flush, METH_NOARGS, NULL},
                                  {"_log", log_error, METH_O, NULL}};

int ph_errlog_init(PyObject *dict) {
  pthread_key_create(&partial_key, free);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    PyObject *fn = py.PyCFunction_NewEx(&functions[i], NULL, NULL);
    int rc = fn ? py.PyDict_SetItemString(dict, functions[i].ml_name, fn) : -1;
    PY_XDECREF(fn);
    if (rc != 0) return -1;
  }
  return 0;
}
