/* start_response, write and the iteration: PEP 3333 from the call of the app to close(). */
#include "slot.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static PyObject *type_list, *type_tuple, *type_file_wrapper, *name_close;

void response_reset(slot *s) {
  s->head_set = false;
  if (s->head_cap > 1 << 16) {
    free(s->head);
    s->head = NULL, s->head_cap = 0;
  }
}

static bool committed(slot *s) { return atomic_load_explicit(&s->flags, memory_order_relaxed) & PH_COMMITTED; }

/* "The start_response callable must not actually transmit the response headers. Instead, it must store them for the server or gateway to
 * transmit only after the first iteration of the application return value that yields a non-empty bytestring, or upon the application's
 * first invocation of the write() callable." */
static int commit(slot *s) {
  if (committed(s)) return 0;
  if (!s->head_set) {
    py.PyErr_SetString(ph_exc_AssertionError, "the app made a part of the body before it called start_response()");
    return -1;
  }
  atomic_fetch_or(&s->flags, PH_COMMITTED); /* publishes the head */
  return 0;
}

/* ---- write() ---- */

static PyObject *do_write(PyObject *input, PyObject *data) {
  handle *h = handle_live(input, "write()");
  if (!h) return NULL;
  char *p;
  Py_ssize_t n;
  if (py.PyBytes_AsStringAndSize(data, &p, &n) < 0) {
    py.PyErr_Clear();
    py.PyErr_Format(ph_exc_TypeError, "write() takes bytes, not %R", py_type_borrowed(data));
    return NULL;
  }
  if (commit(h->s) < 0 || output_bytes(h->s, data, p, n, BODY_MORE) < 0) return NULL;
  py.Py_IncRef(ph_none);
  return ph_none;
}
static PyMethodDef write_def = {"write", (PyCFunction)do_write, METH_O, "write(data): sends a part of the body (PEP 3333)."};

/* ---- start_response() ---- */

/* exc_info: "if exc_info is supplied, and the HTTP headers have already been sent, start_response must raise an error, and should re-raise
 * using the exc_info tuple". -1 with that exception. */
static int reraise(PyObject *exc_info) {
  PyObject *e[3] = {NULL};
  if (py.PyTuple_Size(exc_info) == 3)
    for (int i = 0; i < 3; i++) e[i] = py.PyTuple_GetItem(exc_info, i); /* borrowed */
  py.PyErr_Clear();
  if (e[0] == ph_none) {
    py.PyErr_SetString(ph_exc_AssertionError, "start_response() was called again after the headers were sent");
    return -1;
  }
  /* Not PyErr_Restore, which trusts what it is given. */
  int is_exception = e[1] ? py.PyObject_IsInstance(e[1], ph_exc_BaseException) : 0;
  if (is_exception > 0) {
    if (py.PyException_SetTraceback(e[1], e[2]) == 0) py.PyErr_SetObject(py_type_borrowed(e[1]), e[1]);
  } else if (is_exception == 0) {
    py.PyErr_SetString(ph_exc_TypeError, "start_response(): exc_info must be the tuple that sys.exc_info() returns");
  }
  return -1;
}

static PyObject *start_response(PyObject *input, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
  handle *h = handle_live(input, "start_response()");
  if (!h) return NULL;
  slot *s = h->s;
  Py_ssize_t nkw = kwnames ? py.PyTuple_Size(kwnames) : 0;
  if (nkw == 1) { /* exc_info by name is not in the PEP, but wsgiref and others take it */
    const char *name = py.PyUnicode_AsUTF8AndSize(py.PyTuple_GetItem(kwnames, 0), NULL);
    if (!name) return NULL;
    if (n != 2 || strcmp(name, "exc_info")) nkw = 2;
  }
  if (nkw > 1 || n + nkw < 2 || n + nkw > 3) {
    py.PyErr_SetString(ph_exc_TypeError, "start_response(status, response_headers, exc_info=None) takes 2 or 3 arguments");
    return NULL;
  }
  PyObject *exc_info = n + nkw == 3 ? args[2] : ph_none;
  if (exc_info != ph_none) {
    if (committed(s)) {
      reraise(exc_info);
      return NULL;
    }
  } else if (s->head_set) {
    /* "it is a fatal error to call start_response without the exc_info argument if start_response has already been called within the
     * current invocation of the application" */
    py.PyErr_SetString(ph_exc_AssertionError, "start_response() was called a second time without exc_info");
    return NULL;
  }
  s->head_set = false;
  if (head_set(s, args[0], args[1]) < 0) return NULL;
  s->head_set = true;
  return py.PyCFunction_NewEx(&write_def, input, NULL);
}
PyMethodDef start_response_def = {"start_response", (PyCFunction)(void *)start_response, METH_FASTCALL | METH_KEYWORDS,
                                  "start_response(status, response_headers, exc_info=None) -> write (PEP 3333)."};

/* ---- the iteration ---- */

static int bad_item(PyObject *item) {
  py.PyErr_Clear();
  py.PyErr_Format(ph_exc_TypeError, "the app returned an iterable of %R; PEP 3333 asks for bytes", py_type_borrowed(item));
  return -1;
}

static int add_item(slot *s, PyObject *item, body_part part) {
  char *p;
  Py_ssize_t n;
  if (py.PyBytes_AsStringAndSize(item, &p, &n) < 0) return bad_item(item);
  if (!n) return 0;
  return commit(s) < 0 ? -1 : output_bytes(s, item, p, n, part);
}

/* All items exist already, and there is no close(). */
static bool complete_at_once(PyObject *type) { return type == type_list || type == type_tuple; }

/* New reference, or NULL with an exception. */
static PyObject *item_at(PyObject *result, bool list, Py_ssize_t i) {
  PyObject *item = list ? py.PyList_GetItem(result, i) : py.PyTuple_GetItem(result, i); /* borrowed */
  if (item) py.Py_IncRef(item);
  return item;
}

static int check_item(PyObject *item) {
  char *p;
  Py_ssize_t n;
  return py.PyBytes_AsStringAndSize(item, &p, &n) < 0 ? bad_item(item) : 0;
}

/* A list or a tuple: all of it exists, and goes to Go in one piece with the headers, or not at all. */
static int send_list(slot *s, PyObject *result, bool list) {
  Py_ssize_t n = list ? py.PyList_Size(result) : py.PyTuple_Size(result);
  int r = 0;
  PyObject *item;
  for (Py_ssize_t i = 0; n > 1 && i < n && r == 0; i++) { /* all are looked at before the first commits the headers */
    if (!(item = item_at(result, list, i))) return -1;
    r = check_item(item);
    py.Py_DecRef(item);
  }
  for (Py_ssize_t i = 0; i < n && r == 0; i++) {
    if (!(item = item_at(result, list, i))) return -1;
    r = add_item(s, item, BODY_WHOLE);
    py.Py_DecRef(item);
  }
  return r;
}

/* "wsgi.file_wrapper": the file itself where it is one, from its current position. 1 sent, 0 not such a file, -1 with an exception. */
static int send_file(slot *s, PyObject *result) {
  int sent = -1;
  PyObject *file = py.PyObject_GetAttrString(result, "filelike"), *src = NULL;
  if (!file) goto out;
  PyObject *source = ph_helper("sendfile_source");
  if (!source || !(src = py.PyObject_CallFunctionObjArgs(source, file, NULL))) goto out;
  if (src == ph_none) {
    sent = 0;
    goto out;
  }
  long long v[3];
  for (int i = 0; i < 3; i++) {
    PyObject *o = py.PyTuple_GetItem(src, i);
    if (!o) goto out;
    v[i] = py.PyLong_AsLongLong(o);
    if (v[i] == -1 && py.PyErr_Occurred()) goto out;
  }
  if (v[2] > 0 && (commit(s) < 0 || output_file(s, (int)v[0], v[1], v[2]) < 0)) goto out;
  sent = 1;
out:
  PY_XDECREF(file);
  PY_XDECREF(src);
  return sent;
}

static int send_iterable(slot *s, PyObject *result) {
  Py_ssize_t len = py.PyObject_Size(result);
  if (len < 0) py.PyErr_Clear(); /* no __len__: streams */
  PyObject *item, *it = py.PyObject_GetIter(result);
  if (ph_forked) ph_forked_exit();
  if (!it) {
    if (py.PyErr_ExceptionMatches(ph_exc_TypeError)) {
      py.PyErr_Clear();
      py.PyErr_Format(ph_exc_TypeError, "the app returned %R; PEP 3333 asks for an iterable of bytes", py_type_borrowed(result));
    }
    return -1;
  }
  int r = 0;
  body_part part = len == 1 ? BODY_WHOLE : BODY_FIRST;
  while (r == 0 && (item = py.PyIter_Next(it))) {
    if (ph_forked) ph_forked_exit();
    if (atomic_load(&s->cancelled))
      r = 1;
    else
      r = add_item(s, item, part);
    part = BODY_MORE; /* __len__ may not tell the truth */
    py.Py_DecRef(item);
  }
  if (ph_forked) ph_forked_exit();
  if (r == 0 && py.PyErr_Occurred()) r = -1;
  /* A generator's finally blocks run when close() is called or here: an exception of theirs is not the app's answer. */
  py.Py_DecRef(it);
  return r < 0 ? -1 : 0;
}

static int send_result(slot *s, PyObject *result) {
  PyObject *type = py_type_borrowed(result);
  int r = 0;
  if (complete_at_once(type)) {
    r = send_list(s, result, type == type_list);
  } else {
    if (type == type_file_wrapper) r = send_file(s, result);
    if (r == 0) r = send_iterable(s, result);
  }
  if (r < 0) return -1;
  if (atomic_load(&s->cancelled)) return 0;
  if (!s->head_set && !committed(s)) {
    py.PyErr_SetString(ph_exc_AssertionError, "the app never called start_response()");
    return -1;
  }
  return commit(s);
}

/* "If the iterable returned by the application has a close() method, the server or gateway must call that method upon completion of the
 * current request, whether the request was completed normally, or terminated early due to an application error during iteration or an early
 * disconnect of the browser." */
static void close_result(slot *s, PyObject *result) {
  if (complete_at_once(py_type_borrowed(result))) return;
  PyObject *close = py.PyObject_GetAttr(result, name_close), *r = NULL;
  if (!close) {
    py.PyErr_Clear();
    return;
  }
  r = py.PyObject_CallObject(close, NULL);
  if (ph_forked) ph_forked_exit();
  if (!r) ph_log_exception(&s->pub, "close() of the app's result raised");
  PY_XDECREF(r);
  py.Py_DecRef(close);
}

/* The request is over for the app's objects: what it kept of them is stale from here on. */
static void retire(slot *s) {
  pthread_mutex_lock(&s->mu);          /* who holds mu, and knows the generation, has a request that is not over */
  atomic_fetch_add(&s->generation, 1); /* before the look at busy: who raises busy looks at the generation after that */
  pthread_mutex_unlock(&s->mu);
  while (s->busy || s->reading) {
    /* Another thread of the app is inside a call on this request: it sees the new generation and leaves. */
    PyThreadState *ts = py.PyEval_SaveThread();
    pthread_mutex_lock(&s->mu);
    pthread_cond_broadcast(&s->cv);
    pthread_mutex_unlock(&s->mu);
    usleep(1000);
    py.PyEval_RestoreThread(ts);
  }
}

/* Whether the exception that is set is one that the host itself brought about, and logged where need be. */
static bool expected(slot *s, bool interrupted) {
  return ((atomic_load(&s->cancelled) || deadline_passed(s)) && py.PyErr_ExceptionMatches(ph_exc_OSError)) ||
         (interrupted && py.PyErr_ExceptionMatches(exc_RequestTimeout));
}

void request_run(slot *s) {
  PyObject *input = NULL, *environ = NULL, *sr = NULL, *result = NULL, *app = app_of(s);
  if (atomic_load(&s->cancelled)) { /* the client left as the request was taken */
    deadline_disarm(s);
    retire(s);
    output_flags(s, PH_FAILED | PH_DONE, false);
    return;
  }
  bool failed = true;
  thread_set_current(s);
  if (!app) {
    py.PyErr_Format(ph_exc_RuntimeError, "gowsgi: no app has number %d", (int)s->pub.app);
    goto out;
  }
  if (!(input = input_new(s)) || !(environ = environ_new(s, input)) ||
      !(sr = py.PyCFunction_NewEx(&start_response_def, input, NULL)))
    goto out;
  result = py.PyObject_CallFunctionObjArgs(app, environ, sr, NULL);
  if (ph_forked) ph_forked_exit();
  if (!result) goto out;
  failed = send_result(s, result) < 0;
out:;
  bool interrupted = deadline_disarm(s);
  if (failed) {
    if (!expected(s, interrupted)) ph_log_exception(&s->pub, "the app raised");
    py.PyErr_Clear();
  }
  bool work = result && !failed && !complete_at_once(py_type_borrowed(result));
  if (work) output_flags(s, PH_COMPLETE, false); /* the client has it all while close() runs */
  if (failed && result) output_flags(s, PH_FAILED, true);
  if (result) {
    close_result(s, result);
    py.Py_DecRef(result);
  }
  PY_XDECREF(sr);
  PY_XDECREF(environ);
  PY_XDECREF(input);
  if (ph_forked) ph_forked_exit();           /* by a finalizer of the app's objects, or while an exception of its was shown */
  if (py.PyErr_Occurred()) py.PyErr_Clear(); /* nothing of this request may reach the next */
  ph_errors_end();
  retire(s);
  ph_crash_note(NULL, 0);
  thread_set_current(NULL);
  dispatch_note_end(s);
  output_flags(s, (failed ? PH_FAILED : PH_COMPLETE) | PH_DONE, false);
  request_prepare();
}

int response_init(void) {
  PyObject *builtins = py.PyEval_GetBuiltins(), *util = py.PyImport_ImportModule("wsgiref.util");
  if (!util) return -1;
  type_list = py.PyDict_GetItemString(builtins, "list");
  type_tuple = py.PyDict_GetItemString(builtins, "tuple");
  type_file_wrapper = py.PyObject_GetAttrString(util, "FileWrapper");
  name_close = py.PyUnicode_InternFromString("close");
  py.Py_DecRef(util);
  return type_list && type_tuple && type_file_wrapper && name_close ? 0 : -1;
}
