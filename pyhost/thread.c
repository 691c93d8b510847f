/* Python threads: threading.Thread objects whose target is the C loop, so that names, threading.local, trace hooks and enumerate() are as
 * in any other server. */
#define _GNU_SOURCE
#include "dispatch.h"
#include <stdio.h>

static __thread slot *current __attribute__((tls_model("initial-exec")));

ph_slot *ph_current_slot(void) { return current ? &current->pub : NULL; }
void thread_set_current(slot *s) { current = s; }

static PyObject *thread_main(PyObject *self, PyObject *number) {
  (void)self;
  long n = py.PyLong_AsLong(number);
  if (n < 0) return NULL;
  char name[32];
  snprintf(name, sizeof name, "gowsgi-%d", (int)n + 1);
  pthread_setname_np(pthread_self(), name); /* CPython does it from 3.14 on */
  ph_crash_thread_start();
  dispatch_loop((int)n);
  request_thread_end();
  py.Py_IncRef(ph_none);
  return ph_none;
}
static PyMethodDef thread_main_def = {"gowsgi_thread", (PyCFunction)thread_main, METH_O, NULL};

double thread_switch_interval(void) {
  PyObject *get = py.PySys_GetObject("getswitchinterval"); /* borrowed */
  PyObject *v = get ? py.PyObject_CallObject(get, NULL) : NULL;
  double d = v ? py.PyFloat_AsDouble(v) : -1;
  PY_XDECREF(v);
  if (py.PyErr_Occurred()) py.PyErr_Clear();
  return d > 0 ? d : 0.005;
}

static bool gil_enabled(void) {
  PyObject *f = py.PySys_GetObject("_is_gil_enabled"); /* borrowed; from 3.13 on */
  PyObject *v = f ? py.PyObject_CallObject(f, NULL) : NULL;
  bool enabled = !v || py.PyObject_IsTrue(v) != 0;
  PY_XDECREF(v);
  if (py.PyErr_Occurred()) py.PyErr_Clear();
  return enabled;
}

int thread_start(PyMethodDef *def, const char *name, int argument) {
  PyObject *start = ph_helper("start_thread"), *r = NULL;
  PyObject *args[3] = {py.PyCFunction_NewEx(def, NULL, NULL), py.PyUnicode_FromString(name), py.PyLong_FromLong(argument)};
  if (start && args[0] && args[1] && args[2]) r = py.PyObject_CallFunctionObjArgs(start, args[0], args[1], args[2], NULL);
  for (int i = 0; i < 3; i++) PY_XDECREF(args[i]);
  PY_XDECREF(r);
  return r ? 0 : -1;
}

int thread_start_numbered(int number) {
  char name[32];
  snprintf(name, sizeof name, "gowsgi-%d", number + 1);
  return thread_start(&thread_main_def, name, number);
}

int ph_threads_start(int n) {
  bool gil = gil_enabled();
  if (dispatch_init(n, thread_switch_interval(), gil) < 0) {
    py.PyErr_NoMemory();
    return -1;
  }
  if (stacks_init(gil) < 0 || keeper_start() < 0) return -1;
  int r = 0;
  for (int i = 0; i < n && r == 0; i++) r = thread_start_numbered(i);
  return r;
}
