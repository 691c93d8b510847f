/* Importing apps, and the other calls of Go that run on Python's main thread. */
#define _GNU_SOURCE
#include "interp.h"
#include <stdlib.h>
#include <string.h>

int ph_app_refused(ph_app_error *e, PyObject *tuple) {
  Py_ssize_t n = py.PyTuple_Size(tuple);
  e->reason = ph_text(py.PyTuple_GetItem(tuple, n - 2), NULL); /* borrowed */
  if (e->reason) e->traceback = ph_text(py.PyTuple_GetItem(tuple, n - 1), NULL);
  return e->traceback ? 0 : -1;
}

void ph_app_failed(ph_app_error *e, const char *reason) {
  free(e->reason);
  free(e->traceback);
  e->reason = strdup(reason);
  e->traceback = ph_exception_text();
}

/* host.py's load gives the app, or a tuple of two strings: reason and traceback. It raises only in a forked process and where memory is
 * out. */
int ph_app_load_here(const char *spec, ph_app_error *e) {
  int number = -1;
  memset(e, 0, sizeof *e);
  PyObject *name = py.PyUnicode_DecodeFSDefault(spec), *result = NULL, *app;
  ph_crash_doing("importing ", spec);
  if (name) result = ph_helper_call("load", name, NULL);
  ph_crash_doing(NULL, NULL);
  if (ph_forked) ph_forked_exit();
  if (!result) goto fail;
  app = py.PyTuple_GetItem(result, 0); /* borrowed */
  if (app == ph_none) {
    if (ph_app_refused(e, result) != 0) goto fail;
    goto done;
  }
  number = ph_app_add(app);
  if (number < 0) e->reason = strdup("there are too many apps in this process"), e->traceback = strdup("");
  goto done;
fail:
  ph_app_failed(e, "the host failed while it loaded the app");
done:
  PY_XDECREF(name);
  PY_XDECREF(result);
  return number;
}

struct load {
  const char *spec;
  ph_app_error *error;
  int app;
};

static void load(void *arg) {
  struct load *l = arg;
  l->app = ph_app_load_here(l->spec, l->error);
  ph_main_settle();
}

int ph_app_load(const char *spec, ph_app_error *e) {
  struct load l = {spec, e, -1};
  ph_main_call(load, &l);
  return l.app;
}

static void postfork(void *arg) {
  struct load *l = arg;
  ph_crash_doing("running ", "gowsgi.postfork functions");
  PyObject *r = ph_helper_call("run_postfork", NULL);
  ph_crash_doing(NULL, NULL);
  if (ph_forked) ph_forked_exit();
  if (r == ph_none)
    l->app = 0;
  else if (!r || ph_app_refused(l->error, r) != 0)
    ph_app_failed(l->error, "the host failed while it called gowsgi.postfork functions");
  PY_XDECREF(r);
  ph_main_settle(); /* a function may call signal.signal */
}

int ph_postfork(ph_app_error *e) {
  memset(e, 0, sizeof *e);
  struct load l = {NULL, e, -1};
  ph_main_call(postfork, &l);
  return l.app;
}

struct call {
  int n;
  char *text, *error;
  size_t len;
};

static void run(void *arg) {
  struct call *c = arg;
  if (ph_threads_start(c->n) != 0) c->error = ph_exception_text();
}

char *ph_run(int n) {
  struct call c = {.n = n};
  ph_main_call(run, &c);
  return c.error;
}

static void take_texts(struct call *c, PyObject *r) {
  if (ph_forked) ph_forked_exit();
  if (!r || !(c->text = ph_text(r, &c->len))) c->error = ph_exception_text();
  PY_XDECREF(r);
}

static char *texts(void (*ask)(void *), int n, size_t *len, char **error) {
  struct call c = {.n = n};
  ph_main_call(ask, &c);
  *len = c.len;
  *error = c.error;
  return c.text;
}

static void info(void *arg) { take_texts(arg, ph_helper_call("info", NULL)); }

char *ph_info(size_t *len, char **error) { return texts(info, 0, len, error); }

static void static_folders(void *arg) {
  struct call *c = arg;
  PyObject *app = py.PyLong_FromLong(c->n);
  take_texts(c, app ? ph_helper_call("static_folders", app, NULL) : NULL);
  PY_XDECREF(app);
}

char *ph_static_folders(int app, size_t *len, char **error) { return texts(static_folders, app, len, error); }

struct question {
  struct call call; /* first */
  const char *function, *text;
};

static void ask(void *arg) {
  struct question *q = arg;
  PyObject *name = py.PyUnicode_FromString(q->function), *text = py.PyUnicode_FromString(q->text);
  ph_crash_doing("running ", q->function);
  PyObject *r = name && text ? ph_helper_call("ask", name, text, NULL) : NULL;
  ph_crash_doing(NULL, NULL);
  take_texts(&q->call, r);
  PY_XDECREF(name);
  PY_XDECREF(text);
  ph_main_settle(); /* it may import, or fork */
}

char *ph_ask(const char *function, const char *text, size_t *len, char **error) {
  struct question q = {{0}, function, text};
  ph_main_call(ask, &q);
  *len = q.call.len;
  *error = q.call.error;
  return q.call.text;
}

static void end(void *arg) {
  struct call *c = arg;
  PyObject *r = ph_helper_call("shutdown", NULL);
  if (ph_forked) ph_forked_exit();
  if (!r) c->error = ph_exception_text();
  PY_XDECREF(r);
}

char *ph_shutdown(void) {
  struct call c = {0};
  ph_main_call(end, &c);
  return c.error;
}
