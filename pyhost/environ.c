/* The environ: a flat record becomes a dict. Keys are interned once and kept; everything that is the same for all requests is copied, and
 * what is the same as in an earlier request of the same form with it (environ_form.c). */
#include "environ.h"
#include <stdlib.h>
#include <string.h>

bool ph_multiprocess;

static PyObject *base; /* what every environ begins with */
static PyObject *key_input, *key_deadline, *key_disconnected, *str_empty;

/* Interned keys, found by their bytes. Filled with the GIL held, never emptied: at most KEYS of at most KEY_MAX bytes, so that a client which
 * makes up header names costs nothing but the making of its own strings. */
enum { KEYS = 1024, KEY_MAX = 64, PROBES = 4 };
typedef struct key {
  PyObject *str;
  uint32_t len;
  char bytes[KEY_MAX];
} key;
static _Atomic(key *) keys[KEYS];

PyObject *environ_key(const char *p, uint32_t n) {
  if (n > KEY_MAX) return py.PyUnicode_DecodeLatin1(p, n, NULL);
  uint32_t h = 2166136261u;
  for (uint32_t i = 0; i < n; i++) h = (h ^ (uint8_t)p[i]) * 16777619u;
  int room = -1;
  for (uint32_t i = 0; i < PROBES; i++) {
    key *k = atomic_load_explicit(&keys[(h + i) % KEYS], memory_order_acquire);
    if (!k) {
      room = (int)((h + i) % KEYS);
      break;
    }
    if (k->len == n && !memcmp(k->bytes, p, n)) {
      py.Py_IncRef(k->str);
      return k->str;
    }
  }
  PyObject *str = py.PyUnicode_DecodeLatin1(p, n, NULL);
  if (!str || room < 0) return str;
  py.PyUnicode_InternInPlace(&str);
  key *k = malloc(sizeof *k), *none = NULL;
  if (!k) return str;
  k->str = str, k->len = n;
  memcpy(k->bytes, p, n);
  if (atomic_compare_exchange_strong(&keys[room], &none, k))
    py.Py_IncRef(str); /* the table's */
  else
    free(k);
  return str;
}

PyObject *environ_value(const char *p, uint32_t n) {
  if (n) return py.PyUnicode_DecodeLatin1(p, n, NULL); /* PEP 3333: "native strings" whose code points are the bytes */
  py.Py_IncRef(str_empty);
  return str_empty;
}

int record_next(const char **at, const char *end, pair *out) {
  const char *p = *at;
  uint32_t n[2];
  if (p == end) return 0;
  if ((size_t)(end - p) < sizeof n) return -1;
  memcpy(n, p, sizeof n);
  p += sizeof n;
  if ((uint64_t)(end - p) < (uint64_t)n[0] + n[1]) return -1;
  *out = (pair){p, p + n[0], n[0], n[1]};
  *at = p + n[0] + n[1];
  return 1;
}

/* Writes "GET /path" for the crash line. */
static void note(const pair *method, const pair *uri) {
  static _Thread_local char text[200];
  uint32_t n = method->value_len < 20 ? method->value_len : 20, room = sizeof text - 1 - n, len = uri->value_len;
  memcpy(text, method->value, n);
  text[n++] = ' ';
  if (len > room) len = room;
  memcpy(text + n, uri->value, len);
  ph_crash_note(text, n + len);
}

PyObject *environ_base(void) { return py.PyDict_Copy(base); }

int environ_set_input(PyObject *environ, PyObject *input, bool timed) {
  if (py.PyDict_SetItem(environ, key_input, input) < 0 || py.PyDict_SetItem(environ, key_disconnected, input) < 0) return -1;
  return timed ? py.PyDict_SetItem(environ, key_deadline, input) : 0;
}

int environ_add(PyObject *environ, const pair *p) {
  PyObject *k = environ_key(p->key, p->key_len), *v = k ? environ_value(p->value, p->value_len) : NULL;
  int r = v ? py.PyDict_SetItem(environ, k, v) : -1;
  PY_XDECREF(k);
  PY_XDECREF(v);
  return r;
}

static PyObject *environ_of(const char *p, const char *end, PyObject *input, bool timed) {
  PyObject *environ = environ_base();
  if (!environ || environ_set_input(environ, input, timed) < 0) goto fail;
  for (pair f; record_next(&p, end, &f) > 0;)
    if (environ_add(environ, &f) < 0) goto fail;
  return environ;
fail:
  PY_XDECREF(environ);
  return NULL;
}

static bool is(const pair *p, const char *name, uint32_t n) { return p->key_len == n && !memcmp(p->key, name, n); }

PyObject *environ_new(slot *s, PyObject *input) {
  static const pair none = {.value = "?", .value_len = 1};
  pair fields[FORM_FIELDS + 1], method = none, uri = none; /* the last one: for all that have no form */
  const char *p = s->pub.rec, *end = p + s->pub.rec_len;
  int n = 0, r;
  for (pair *f = fields; (r = record_next(&p, end, f)) > 0; f = &fields[n < FORM_FIELDS ? n : FORM_FIELDS]) {
    n++;
    if (is(f, "REQUEST_METHOD", 14)) method = *f;
    if (is(f, "RAW_URI", 7)) uri = *f;
  }
  if (r < 0) {
    py.PyErr_SetString(ph_exc_ValueError, "gowsgi: the environ record is malformed");
    return NULL;
  }
  note(&method, &uri);
  form *known = n <= FORM_FIELDS ? form_find(fields, n) : NULL;
  bool timed = s->pub.timeout != 0;
  return known ? form_environ(known, fields, input, timed) : environ_of(s->pub.rec, end, input, timed);
}

/* Steals value. */
static int base_set(const char *name, PyObject *value) {
  PyObject *k = value ? py.PyUnicode_InternFromString(name) : NULL;
  int r = k ? py.PyDict_SetItem(base, k, value) : -1;
  PY_XDECREF(k);
  PY_XDECREF(value);
  return r;
}

static PyObject *borrowed(PyObject *o) {
  if (o) py.Py_IncRef(o);
  return o;
}

int environ_init(void) {
  PyObject *version = py.PyTuple_New(2), *util = NULL;
  int r = -1;
  if (!version) return -1;
  py.PyTuple_SetItem(version, 0, py.PyLong_FromLong(1));
  py.PyTuple_SetItem(version, 1, py.PyLong_FromLong(0));
  base = py.PyDict_New();
  str_empty = py.PyUnicode_InternFromString("");
  key_input = py.PyUnicode_InternFromString("wsgi.input");
  key_deadline = py.PyUnicode_InternFromString("gowsgi.deadline");
  key_disconnected = py.PyUnicode_InternFromString("gowsgi.client_disconnected");
  if (!base || !str_empty || !key_input || !key_deadline || !key_disconnected) goto out;
  if (!(util = py.PyImport_ImportModule("wsgiref.util"))) goto out;
  py.Py_IncRef(version);
  if (base_set("wsgi.version", version) < 0) goto out;
  if (base_set("wsgi.errors", borrowed(ph_helper("errors"))) < 0) goto out;
  if (base_set("wsgi.multithread", py.PyBool_FromLong(1)) < 0) goto out;
  if (base_set("wsgi.multiprocess", py.PyBool_FromLong(ph_multiprocess)) < 0) goto out;
  if (base_set("wsgi.run_once", py.PyBool_FromLong(0)) < 0) goto out;
  if (base_set("wsgi.input_terminated", py.PyBool_FromLong(1)) < 0) goto out;
  if (base_set("wsgi.file_wrapper", py.PyObject_GetAttrString(util, "FileWrapper")) < 0) goto out;
  if (base_set("gowsgi.deadline", input_new(NULL)) < 0) goto out; /* extend() does nothing */
  r = 0;
out:
  py.Py_DecRef(version);
  PY_XDECREF(util);
  return r;
}
