/* The objects that an app is given for a request, and their staleness. */
#include "slot.h"

enum { MAX_APPS = 1024, EXTEND_MAX = 1000000000 /* seconds */ };
static PyObject *apps[MAX_APPS];
static int napps;

static PyObject *input_type;
static long data_offset; /* object.__basicsize__: where a type's own data begins, on every build of CPython */

handle *handle_data(PyObject *input) { return (handle *)((char *)input + data_offset); }

handle *handle_live(PyObject *input, const char *what) {
  handle *h = handle_data(input);
  if (ph_forked) {
    py.PyErr_Format(ph_exc_RuntimeError, "%s in a process that the app forked: the request is its parent's", what);
    return NULL;
  }
  if (h->s && atomic_load(&h->s->generation) == h->generation) return h;
  py.PyErr_Format(ph_exc_RuntimeError, "%s was used after its request had ended", what);
  return NULL;
}

PyObject *input_new(slot *s) {
  PyObject *o = py.PyType_GenericAlloc(input_type, 0);
  if (!o) return NULL;
  *handle_data(o) = (handle){s, s ? atomic_load(&s->generation) : 0};
  return o;
}

/* environ["gowsgi.deadline"].extend(seconds) */
PyObject *request_extend(PyObject *self, PyObject *seconds) {
  static const char what[] = "gowsgi.deadline.extend()";
  bool timed = handle_data(self)->s;
  handle *h = timed ? handle_live(self, what) : NULL;
  if (timed && !h) return NULL;
  double d = py.PyFloat_AsDouble(seconds);
  if (d == -1 && py.PyErr_Occurred()) return NULL;
  if (!(d >= 0 && d <= EXTEND_MAX)) {
    py.PyErr_Format(ph_exc_ValueError, "%s takes seconds from 0 to %d, not %R", what, EXTEND_MAX, seconds);
    return NULL;
  }
  if (timed && deadline_extend(h->s, h->generation, (int64_t)(d * 1e9)) < 0) {
    py.PyErr_Format(ph_exc_RuntimeError, "%s was called after the deadline", what);
    return NULL;
  }
  py.Py_IncRef(ph_none);
  return ph_none;
}

/* environ["gowsgi.client_disconnected"](): whether nobody waits for the response any more. */
static PyObject *client_disconnected(PyObject *self, PyObject *args, PyObject *kwargs) {
  if (py.PyTuple_Size(args) > 0 || kwargs) {
    py.PyErr_SetString(ph_exc_TypeError, "gowsgi.client_disconnected() takes no arguments");
    return NULL;
  }
  handle *h = handle_data(self);
  bool gone = ph_forked || !h->s || atomic_load(&h->s->cancelled);
  return py.PyBool_FromLong(gone || atomic_load(&h->s->generation) != h->generation); /* last: cancelled is of the slot's request */
}

static PyObject *input_iter(PyObject *self) {
  py.Py_IncRef(self);
  return self;
}

/* One object is all three: wsgi.input, gowsgi.deadline and gowsgi.client_disconnected. A second and a third would cost a small request as much
 * as the rest of its environ. */
static int type_init(void) {
  PyObject *object = py.PyDict_GetItemString(py.PyEval_GetBuiltins(), "object"); /* borrowed */
  PyObject *size = object ? py.PyObject_GetAttrString(object, "__basicsize__") : NULL;
  if (!size) return -1;
  data_offset = py.PyLong_AsLong(size);
  py.Py_DecRef(size);
  PyType_Slot slots[] = {
      {Py_tp_methods, input_methods},
      {Py_tp_iter, (void *)input_iter},
      {Py_tp_iternext, (void *)input_iternext},
      {Py_tp_call, (void *)client_disconnected},
      {0, NULL},
  };
  PyType_Spec spec = {"gowsgi.Request", (int)(data_offset + (long)sizeof(handle)), 0, Py_TPFLAGS_DEFAULT, slots};
  input_type = py.PyType_FromSpec(&spec);
  return input_type ? 0 : -1;
}

static int exceptions_init(void) {
  PyObject *module = ph_helper("api");
  if (module) exc_RequestTimeout = py.PyObject_GetAttrString(module, "RequestTimeout");
  return exc_RequestTimeout ? 0 : -1;
}

int ph_request_init(void) { return type_init() < 0 || exceptions_init() < 0 || environ_init() < 0 || response_init() < 0 ? -1 : 0; }

int ph_app_add(PyObject *app) {
  if (napps == MAX_APPS) return -1;
  py.Py_IncRef(app);
  apps[napps] = app;
  return napps++;
}

PyObject *app_of(slot *s) { return s->pub.app < (uint32_t)napps ? apps[s->pub.app] : NULL; }
