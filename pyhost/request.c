/* The objects that an app is given for a request, and their staleness. */
#include "slot.h"

enum { MAX_APPS = 1024 };
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
  *handle_data(o) = (handle){s, atomic_load(&s->generation)};
  return o;
}

static PyObject *input_iter(PyObject *self) {
  py.Py_IncRef(self);
  return self;
}

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
      {0, NULL},
  };
  PyType_Spec spec = {"gowsgi.Input", (int)(data_offset + (long)sizeof(handle)), 0, Py_TPFLAGS_DEFAULT, slots};
  input_type = py.PyType_FromSpec(&spec);
  return input_type ? 0 : -1;
}

int ph_request_init(void) { return type_init() < 0 || environ_init() < 0 || response_init() < 0 ? -1 : 0; }

int ph_app_add(PyObject *app) {
  if (napps == MAX_APPS) return -1;
  py.Py_IncRef(app);
  apps[napps] = app;
  return napps++;
}

PyObject *app_of(slot *s) { return s->pub.app < (uint32_t)napps ? apps[s->pub.app] : NULL; }
