/* The status line and the headers that the app gives to start_response: checked while the app can still be told, then kept as a record. */
#include "slot.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD_MAX = 1 << 20 }; /* bytes: far over what any client takes */

/* A piece of text of the app's: latin-1 bytes. */
typedef struct {
  const char *p;
  uint32_t len;
  bool wide; /* p is UTF-8 with code points up to U+00FF: latin1_copy makes one byte of two */
} text;

/* what: "a header name", for the message. -1 with an exception. */
static int text_of(text *t, PyObject *o, const char *what) {
  Py_ssize_t n;
  const char *p = py.PyUnicode_AsUTF8AndSize(o, &n);
  if (!p) {
    if (py.PyErr_ExceptionMatches(ph_exc_TypeError)) {
      py.PyErr_Clear();
      py.PyErr_Format(ph_exc_TypeError, "start_response(): %s must be str, not %R", what, py_type_borrowed(o));
    }
    return -1;
  }
  if (n > HEAD_MAX) {
    py.PyErr_Format(ph_exc_ValueError, "start_response(): %s is longer than 1 MiB", what);
    return -1;
  }
  *t = (text){p, (uint32_t)n, false};
  for (Py_ssize_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)p[i];
    if (c >= 0xc4) { /* U+0100 or higher */
      py.PyErr_Format(ph_exc_ValueError, "start_response(): %s has a character outside latin-1: %R", what, o);
      return -1;
    }
    if (c >= 0x80) t->wide = true;
    if ((c < 0x20 && c != '\t') || c == 0x7f) {
      py.PyErr_Format(ph_exc_ValueError, "start_response(): %s has a control character: %R", what, o);
      return -1;
    }
  }
  return 0;
}

/* RFC 9110, section 5.5: a field value has no leading or trailing whitespace. Django's Set-Cookie begins with a space. */
static void trim(text *t) {
  while (t->len && (*t->p == ' ' || *t->p == '\t')) t->p++, t->len--;
  while (t->len && (t->p[t->len - 1] == ' ' || t->p[t->len - 1] == '\t')) t->len--;
}

static char *latin1_copy(char *out, text t) {
  if (!t.wide) {
    memcpy(out, t.p, t.len);
    return out + t.len;
  }
  for (uint32_t i = 0; i < t.len; i++) {
    unsigned char c = (unsigned char)t.p[i];
    *out++ = c < 0x80 ? (char)c : (char)(c << 6 | (t.p[++i] & 0x3f)); /* C2 xx, C3 xx */
  }
  return out;
}

static int room(slot *s, uint32_t used, uint64_t more) {
  uint64_t need = used + more;
  if (need > HEAD_MAX) {
    py.PyErr_SetString(ph_exc_ValueError, "start_response(): the headers are longer than 1 MiB");
    return -1;
  }
  if (need <= s->head_cap) return 0;
  char *head = realloc(s->head, need * 2);
  if (!head) {
    py.PyErr_NoMemory();
    return -1;
  }
  s->head = head, s->head_cap = (uint32_t)need * 2;
  return 0;
}

/* RFC 9110, section 5.6.2: token. */
static bool is_token(text t) {
  if (!t.len || t.wide) return false;
  for (uint32_t i = 0; i < t.len; i++) {
    char c = t.p[i];
    bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("!#$%&'*+-.^_`|~", c);
    if (!ok) return false;
  }
  return true;
}

/* PEP 3333: "applications and middleware are forbidden from using HTTP/1.1 'hop-by-hop' features or headers". */
static bool is_hop_by_hop(text t) {
  static const char *const names[] = {"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
                                      "TE",         "Trailers",   "Transfer-Encoding",  "Upgrade"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strlen(names[i]) == t.len && !strncasecmp(names[i], t.p, t.len)) return true;
  return false;
}

static int set_status(slot *s, PyObject *status) {
  text t;
  if (text_of(&t, status, "the status") < 0) return -1;
  bool ok = t.len >= 4 && t.p[0] >= '2' && t.p[0] <= '9' && t.p[3] == ' '; /* 1xx is the server's to send */
  for (int i = 1; ok && i < 3; i++) ok = t.p[i] >= '0' && t.p[i] <= '9';
  if (!ok) {
    py.PyErr_Format(ph_exc_ValueError, "start_response(): the status must be like '200 OK', not %R", status);
    return -1;
  }
  if (room(s, 0, t.len) < 0) return -1;
  s->status_len = (uint32_t)(latin1_copy(s->head, t) - s->head);
  return 0;
}

static int add_header(slot *s, uint32_t *used, PyObject *item) {
  text name, value;
  if (py.PyTuple_Size(item) != 2) {
    py.PyErr_Clear();
    py.PyErr_Format(ph_exc_TypeError, "start_response(): a header must be a tuple (name, value), not %R", item);
    return -1;
  }
  PyObject *k = py.PyTuple_GetItem(item, 0), *v = py.PyTuple_GetItem(item, 1); /* borrowed */
  if (text_of(&name, k, "a header name") < 0) return -1;
  if (!is_token(name)) {
    py.PyErr_Format(ph_exc_ValueError, "start_response(): %R is not a header name", k);
    return -1;
  }
  if (is_hop_by_hop(name)) {
    py.PyErr_Format(ph_exc_AssertionError, "start_response(): %R is a hop-by-hop header, which PEP 3333 forbids to apps", k);
    return -1;
  }
  char what[100];
  snprintf(what, sizeof what, "the value of %.*s", name.len < 64 ? (int)name.len : 64, name.p);
  if (text_of(&value, v, what) < 0) return -1;
  trim(&value);
  if (room(s, *used, 8 + (uint64_t)name.len + value.len) < 0) return -1;
  char *p = s->head + *used, *end = latin1_copy(latin1_copy(p + 8, name), value);
  uint32_t n[2] = {name.len, (uint32_t)(end - p) - 8 - name.len};
  memcpy(p, n, sizeof n);
  *used = (uint32_t)(end - s->head);
  return 0;
}

int head_set(slot *s, PyObject *status, PyObject *headers) {
  if (set_status(s, status) < 0) return -1;
  uint32_t used = s->status_len;
  Py_ssize_t n = py.PyList_Size(headers);
  if (n < 0) {
    py.PyErr_Clear();
    py.PyErr_Format(ph_exc_TypeError, "start_response(): the headers must be a list, not %R", py_type_borrowed(headers));
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *item = py.PyList_GetItem(headers, i); /* borrowed */
    if (!item) return -1;
    py.Py_IncRef(item);
    int r = add_header(s, &used, item);
    py.Py_DecRef(item);
    if (r < 0) return -1;
  }
  s->headers_len = used - s->status_len;
  return 0;
}
