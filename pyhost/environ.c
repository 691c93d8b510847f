/* The environ: a flat record becomes a dict. Keys are interned once and kept; everything that is the same for all requests is copied. */
#include "slot.h"
#include <stdlib.h>
#include <string.h>

bool ph_multiprocess;

static PyObject *base; /* what every environ begins with */
static PyObject *key_input, *str_empty;

/* Interned keys, found by their bytes. Filled with the GIL held, never emptied: at most KEYS of at most KEY_MAX bytes, so that a client which
 * makes up header names costs nothing but the making of its own strings. */
enum { KEYS = 1024, KEY_MAX = 64, PROBES = 4 };
typedef struct key {
  PyObject *str;
  uint32_t len;
  char bytes[KEY_MAX];
} key;
static _Atomic(key *) keys[KEYS];

/* New reference, or NULL with an exception. */
static PyObject *key_str(const char *p, uint32_t n) {
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

static PyObject *value_str(const char *p, uint32_t n) {
  if (n) return py.PyUnicode_DecodeLatin1(p, n, NULL); /* PEP 3333: "native strings" whose code points are the bytes */
  py.Py_IncRef(str_empty);
  return str_empty;
}

/* Writes "GET /path" for the crash line. */
static void note(slot *s, const char *method, uint32_t mlen, const char *uri, uint32_t ulen) {
  uint32_t n = mlen < 20 ? mlen : 20, room = sizeof s->note - 1 - n;
  memcpy(s->note, method, n);
  s->note[n++] = ' ';
  if (ulen > room) ulen = room;
  memcpy(s->note + n, uri, ulen);
  ph_crash_note(s->note, n + ulen);
}

static bool is(const char *p, uint32_t n, const char *name) { return strlen(name) == n && !memcmp(p, name, n); }

PyObject *environ_new(slot *s, PyObject *input) {
  PyObject *k = NULL, *v = NULL, *env = py.PyDict_Copy(base);
  if (!env || py.PyDict_SetItem(env, key_input, input) < 0) goto fail;
  const char *p = s->pub.rec, *end = p + s->pub.rec_len, *method = "?", *uri = "";
  uint32_t method_len = 1, uri_len = 0, n[2];
  while (p != end) {
    if ((size_t)(end - p) < sizeof n) goto malformed;
    memcpy(n, p, sizeof n);
    p += sizeof n;
    if ((uint64_t)(end - p) < (uint64_t)n[0] + n[1]) goto malformed;
    if (n[0] == 14 && is(p, n[0], "REQUEST_METHOD")) method = p + n[0], method_len = n[1];
    if (n[0] == 7 && is(p, n[0], "RAW_URI")) uri = p + n[0], uri_len = n[1];
    if (!(k = key_str(p, n[0])) || !(v = value_str(p + n[0], n[1]))) goto fail;
    if (py.PyDict_SetItem(env, k, v) < 0) goto fail;
    py.Py_DecRef(k);
    py.Py_DecRef(v);
    k = v = NULL;
    p += (size_t)n[0] + n[1];
  }
  note(s, method, method_len, uri, uri_len);
  return env;
malformed:
  py.PyErr_SetString(ph_exc_ValueError, "gowsgi: the environ record is malformed");
fail:
  PY_XDECREF(k);
  PY_XDECREF(v);
  PY_XDECREF(env);
  return NULL;
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
  if (!base || !str_empty || !key_input) goto out;
  if (!(util = py.PyImport_ImportModule("wsgiref.util"))) goto out;
  py.Py_IncRef(version);
  if (base_set("wsgi.version", version) < 0) goto out;
  if (base_set("wsgi.errors", borrowed(ph_helper("errors"))) < 0) goto out;
  if (base_set("wsgi.multithread", py.PyBool_FromLong(1)) < 0) goto out;
  if (base_set("wsgi.multiprocess", py.PyBool_FromLong(ph_multiprocess)) < 0) goto out;
  if (base_set("wsgi.run_once", py.PyBool_FromLong(0)) < 0) goto out;
  if (base_set("wsgi.input_terminated", py.PyBool_FromLong(1)) < 0) goto out;
  if (base_set("wsgi.file_wrapper", py.PyObject_GetAttrString(util, "FileWrapper")) < 0) goto out;
  r = 0;
out:
  py.Py_DecRef(version);
  PY_XDECREF(util);
  return r;
}
