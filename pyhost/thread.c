/* Python threads: threading.Thread objects whose target is the C loop, so that names, threading.local, trace hooks and enumerate() are as
 * in any other server. */
#define _GNU_SOURCE
#include "slot.h"
#include <stdio.h>

static __thread slot *current __attribute__((tls_model("initial-exec")));

ph_slot *ph_current_slot(void) { return current ? &current->pub : NULL; }
void thread_set_current(slot *s) { current = s; }

static PyObject *thread_main(PyObject *self, PyObject *number) {
  (void)self;
  long me = py.PyLong_AsLong(number);
  if (me < 0) return NULL;
  char name[32];
  snprintf(name, sizeof name, "gowsgi-%d", (int)me + 1);
  pthread_setname_np(pthread_self(), name); /* CPython does it from 3.14 on */
  ph_crash_thread_start();
  dispatch_loop((int)me);
  return NULL; /* not reached */
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

int ph_threads_start(int n) {
  PyObject *start = ph_helper("start_thread"), *target = NULL;
  if (!start) return -1;
  if (dispatch_init(n, thread_switch_interval(), gil_enabled()) < 0) {
    py.PyErr_NoMemory();
    return -1;
  }
  if (!(target = py.PyCFunction_NewEx(&thread_main_def, NULL, NULL))) return -1;
  int r = 0;
  for (int i = 0; i < n && r == 0; i++) {
    PyObject *number = py.PyLong_FromLong(i);
    PyObject *t = number ? py.PyObject_CallFunctionObjArgs(start, target, number, NULL) : NULL;
    r = t ? 0 : -1;
    PY_XDECREF(number);
    PY_XDECREF(t);
  }
  py.Py_DecRef(target);
  return r;
}
