/* Importing apps, and the other calls of Go that run on Python's main thread. */
#define _GNU_SOURCE
#include "interp.h"
#include <stdlib.h>
#include <string.h>

struct load {
  const char *spec;
  ph_app_error *error;
  int app;
};

/* host.py's load gives the app, or a tuple of two strings: reason and traceback. It raises only in a forked process and where memory is
 * out. */
static void load(void *arg) {
  struct load *l = arg;
  PyObject *spec = py.PyUnicode_DecodeFSDefault(l->spec), *result = NULL, *app;
  ph_crash_doing("importing ", l->spec);
  if (spec) result = ph_helper_call("load", spec, NULL);
  ph_crash_doing(NULL, NULL);
  if (ph_forked) ph_forked_exit();
  if (!result) goto fail;
  app = py.PyTuple_GetItem(result, 0); /* borrowed, as the next two */
  if (app == ph_none) {
    PyObject *reason = py.PyTuple_GetItem(result, 1), *traceback = py.PyTuple_GetItem(result, 2);
    if (!(l->error->reason = ph_text(reason, NULL)) || !(l->error->traceback = ph_text(traceback, NULL))) goto fail;
    goto done;
  }
  l->app = ph_app_add(app);
  if (l->app < 0) l->error->reason = strdup("there are too many apps in this process"), l->error->traceback = strdup("");
  goto done;
fail:
  free(l->error->reason);
  l->error->reason = strdup("the host failed while it loaded the app");
  l->error->traceback = ph_exception_text();
done:
  PY_XDECREF(spec);
  PY_XDECREF(result);
  ph_main_settle();
}

int ph_app_load(const char *spec, ph_app_error *e) {
  memset(e, 0, sizeof *e);
  struct load l = {spec, e, -1};
  ph_main_call(load, &l);
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

static void info(void *arg) {
  struct call *c = arg;
  PyObject *r = ph_helper_call("info", NULL);
  if (!r || !(c->text = ph_text(r, &c->len))) c->error = ph_exception_text();
  PY_XDECREF(r);
}

char *ph_info(size_t *len, char **error) {
  struct call c = {0};
  ph_main_call(info, &c);
  *len = c.len;
  *error = c.error;
  return c.text;
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
