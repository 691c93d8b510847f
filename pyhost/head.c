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

/* Sets an exception about o. format: has %s for what it is, "a header name" or, where header is not NULL, the value of that header, then
 * %R for o. -1. */
static int refuse(PyObject *type, const char *format, const char *what, const text *header, PyObject *o) {
  char value[100];
  if (header) snprintf(value, sizeof value, "the value of %.*s", header->len < 64 ? (int)header->len : 64, header->p);
  py.PyErr_Format(type, format, header ? value : what, o);
  return -1;
}

/* 0 where none of the 8 bytes is a control character, DEL or outside ASCII. */
static uint64_t unusual(uint64_t w) {
  const uint64_t ones = 0x0101010101010101, high = ones << 7;
  return (((w - ones * 0x20) & ~w) | ((w ^ ones * 0x7f) - ones) | w) & high;
}

static bool is_plain(const char *p, size_t n) {
  uint64_t w, found = 0;
  if (n < sizeof w) {
    for (size_t i = 0; i < n; i++) found |= (unsigned char)p[i] - 0x20u >= 0x7f - 0x20;
    return !found;
  }
  for (size_t i = 0; i + sizeof w < n; i += sizeof w) {
    memcpy(&w, p + i, sizeof w);
    found |= unusual(w);
  }
  memcpy(&w, p + n - sizeof w, sizeof w);
  return !(found | unusual(w));
}

/* what, header: for the message, as in refuse. -1 with an exception. */
static int text_of(text *t, PyObject *o, const char *what, const text *header) {
  Py_ssize_t n;
  const char *p = py.PyUnicode_AsUTF8AndSize(o, &n);
  if (!p) {
    if (!py.PyErr_ExceptionMatches(ph_exc_TypeError)) return -1;
    py.PyErr_Clear();
    return refuse(ph_exc_TypeError, "start_response(): %s must be str, not %R", what, header, py_type_borrowed(o));
  }
  if (n > HEAD_MAX) return refuse(ph_exc_ValueError, "start_response(): %s is longer than 1 MiB", what, header, o);
  *t = (text){p, (uint32_t)n, false};
  if (is_plain(p, (size_t)n)) return 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)p[i];
    if (c >= 0xc4) /* U+0100 or higher */
      return refuse(ph_exc_ValueError, "start_response(): %s has a character outside latin-1: %R", what, header, o);
    if (c >= 0x80) t->wide = true;
    if ((c < 0x20 && c != '\t') || c == 0x7f)
      return refuse(ph_exc_ValueError, "start_response(): %s has a control character: %R", what, header, o);
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
  /* A bit for each of the first 128 characters: letters, digits and !#$%&'*+-.^_`|~ */
  static const uint64_t tokens[4] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe};
  bool ok = t.len > 0;
  for (uint32_t i = 0; i < t.len; i++) {
    unsigned char c = (unsigned char)t.p[i];
    ok &= tokens[c >> 6] >> (c & 63);
  }
  return ok;
}

/* PEP 3333: "applications and middleware are forbidden from using HTTP/1.1 'hop-by-hop' features or headers". */
static bool is_hop_by_hop(text t) {
  static const char *const names[] = {"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
                                      "TE",         "Trailers",   "Transfer-Encoding",  "Upgrade"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if ((names[i][0] | 0x20) == (*t.p | 0x20) && strlen(names[i]) == t.len && !strncasecmp(names[i], t.p, t.len)) return true;
  return false;
}

static int set_status(slot *s, PyObject *status) {
  text t;
  if (text_of(&t, status, "the status", NULL) < 0) return -1;
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
  if (text_of(&name, k, "a header name", NULL) < 0) return -1;
  if (!is_token(name)) {
    py.PyErr_Format(ph_exc_ValueError, "start_response(): %R is not a header name", k);
    return -1;
  }
  if (is_hop_by_hop(name)) {
    py.PyErr_Format(ph_exc_AssertionError, "start_response(): %R is a hop-by-hop header, which PEP 3333 forbids to apps", k);
    return -1;
  }
  if (text_of(&value, v, NULL, &name) < 0) return -1;
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
