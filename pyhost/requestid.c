/* The id of the request that a thread runs: the header X-Request-ID of its record, which the gateway made or let through. */
#include "interp.h"
#include <string.h>

enum { ID_MAX = 128 };

/* What can stand in a log as it is. Without the gateway's ids the header is the client's. */
static bool sane(const char *p, uint32_t n) {
  if (n == 0 || n > ID_MAX) return false;
  for (uint32_t i = 0; i < n; i++) {
    char c = p[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && !memchr("._:+/=@-", c, 8)) return false;
  }
  return true;
}

const char *ph_request_id(const ph_slot *s, uint32_t *len) {
  static const char key[] = "HTTP_X_REQUEST_ID";
  const char *at = s->rec, *end = at + s->rec_len;
  for (uint32_t k, v; end - at >= 8; at += 8 + (size_t)k + v) {
    memcpy(&k, at, sizeof k);
    memcpy(&v, at + 4, sizeof v);
    if ((uint64_t)(end - at) < 8 + (uint64_t)k + v) break;
    if (k != sizeof key - 1 || memcmp(at + 8, key, k) != 0) continue;
    if (!sane(at + 8 + k, v)) break;
    *len = v;
    return at + 8 + k;
  }
  *len = 0;
  return NULL;
}

/* _request_id(): the id as a str, or None. */
static PyObject *request_id(PyObject *self, PyObject *unused) {
  (void)self, (void)unused;
  uint32_t len = 0;
  ph_slot *s = ph_current_slot();
  const char *id = s ? ph_request_id(s, &len) : NULL;
  if (id) return py.PyUnicode_DecodeLatin1(id, len, NULL);
  py.Py_IncRef(ph_none);
  return ph_none;
}
static PyMethodDef request_id_def = {"_request_id", request_id, METH_NOARGS, NULL};

int ph_request_id_init(PyObject *dict) {
  PyObject *f = py.PyCFunction_NewEx(&request_id_def, NULL, NULL);
  int rc = f ? py.PyDict_SetItemString(dict, request_id_def.ml_name, f) : -1;
  PY_XDECREF(f);
  return rc;
}
