/* Environs made out of earlier ones. Requests of one kind of client have the same keys in the same order (a form), and most of the values too:
 * the host, the client's name, what it accepts. So each Python thread keeps, for the forms that it sees often, a dict with the last values; a
 * request gets a copy of it, which CPython makes at once and in the right size, and only the values that differ are decoded and stored.
 *
 * Each thread has its own forms: no lock and no atomic variable, with or without a GIL. The memory is bounded: FORMS forms of FORM_FIELDS
 * pairs for a thread, values up to VALUE_MAX bytes. The dicts kept are never given to an app. */
#include "environ.h"
#include <stdlib.h>
#include <string.h>

enum {
  FORMS = 16,         /* for a thread; a site sees a few browsers and tools most of the time */
  VALUE_MAX = 128,    /* bytes of a value that is kept: a User-Agent has about 110, a longer one is a cookie or a token */
  KEYS_MAX = 4 << 10, /* bytes of all keys of a form */
  PAUSE = 16,         /* requests of no known form between the making of two, which costs as much as half a request */
};
static const uint32_t NOT_KEPT = UINT32_MAX;

typedef struct field {
  PyObject *key; /* borrowed of the dict */
  const char *key_bytes;
  uint32_t key_len, value_len; /* NOT_KEPT: the dict has "" */
  uint64_t other;              /* sketch of the last value that was another */
  char value[VALUE_MAX];
} field;

struct form {
  PyObject *dict;
  int n;
  field fields[]; /* n, then the bytes of the keys */
};

/* One place for all forms whose sketches share it. A form gets in when it is seen twice in a row there, and not soon after another did, so
 * that made-up header names seldom drive out what is in use and cost next to nothing. */
typedef struct place {
  form *form;
  uint64_t sketch, missed;
} place;

/* FORMS places, and that of the form found last. A Python thread lives as long as the process. */
static _Thread_local place *places, *latest;
static _Thread_local int pause_left;

/* A copy of a form's dict that no request has had yet. It waits for the next request of that form, whatever comes before: none is made in
 * vain. NULL where there is none. */
static _Thread_local PyObject *spare;
static _Thread_local form *spare_of;

static PyObject *copy_of(form *f) {
  PyObject *environ = spare_of == f ? spare : NULL;
  if (!environ) return py.PyDict_Copy(f->dict);
  spare = NULL; /* before the dict changes: a spare is never older than it */
  return environ;
}

void request_prepare(void) {
  if (spare || !latest) return;
  spare_of = latest->form;
  if (!(spare = py.PyDict_Copy(spare_of->dict))) py.PyErr_Clear();
}

static bool same(const char *a, const char *b, uint32_t n) {
  uint64_t x, y;
  if (n < 8) {
    for (uint32_t i = 0; i < n; i++)
      if (a[i] != b[i]) return false;
    return true;
  }
  for (uint32_t i = 0; i + 8 < n; i += 8) {
    memcpy(&x, a + i, 8);
    memcpy(&y, b + i, 8);
    if (x != y) return false;
  }
  memcpy(&x, a + n - 8, 8);
  memcpy(&y, b + n - 8, 8);
  return x == y;
}

/* A hash that looks at the length and the ends only: who trusts it compares the bytes, or loses nothing by a mistake. */
static uint64_t sketch(uint64_t h, const char *p, uint32_t n) {
  uint64_t first = 0, last = 0;
  if (n >= 8) {
    memcpy(&first, p, 8);
    memcpy(&last, p + n - 8, 8);
  } else {
    for (uint32_t i = 0; i < n; i++) first = first << 8 | (unsigned char)p[i];
  }
  h = (h ^ n ^ first) * 0x9e3779b97f4a7c15u;
  h ^= h >> 32;
  return (h ^ last) * 0xff51afd7ed558ccdu;
}

static void form_free(form *f) {
  if (!f) return;
  if (spare_of == f) {
    PY_XDECREF(spare);
    spare = NULL;
  }
  PY_XDECREF(f->dict);
  free(f);
}

void request_thread_end(void) {
  for (int i = 0; places && i < FORMS; i++) form_free(places[i].form);
  free(places);
  places = latest = NULL;
}

static void keep(field *f, const pair *p) {
  f->value_len = p->value_len;
  memcpy(f->value, p->value, p->value_len);
}

/* NULL where there is no memory, or where the record is none that a form serves; no exception is set. */
static form *form_new(const pair *fields, int n) {
  size_t bytes = 0;
  for (int i = 0; i < n; i++) bytes += fields[i].key_len;
  if (bytes > KEYS_MAX) return NULL;
  form *f = malloc(sizeof *f + (size_t)n * sizeof *f->fields + bytes);
  if (!f) return NULL;
  f->n = n;
  if (!(f->dict = environ_base()) || environ_set_input(f->dict, ph_none, false) < 0) goto fail;
  Py_ssize_t size = py.PyObject_Size(f->dict) + n;
  char *key_bytes = (char *)(f->fields + n);
  for (int i = 0; i < n; i++) {
    const pair *p = &fields[i];
    field *to = &f->fields[i];
    PyObject *v = NULL;
    bool kept = p->value_len <= VALUE_MAX;
    to->key = environ_key(p->key, p->key_len);
    if (to->key) v = environ_value(p->value, kept ? p->value_len : 0);
    int r = v ? py.PyDict_SetItem(f->dict, to->key, v) : -1;
    PY_XDECREF(v);
    PY_XDECREF(to->key); /* the dict has it */
    if (r < 0) goto fail;
    memcpy(key_bytes, p->key, p->key_len);
    to->key_bytes = key_bytes, to->key_len = p->key_len;
    key_bytes += p->key_len;
    to->value_len = NOT_KEPT, to->other = 0;
    if (kept) keep(to, p);
  }
  if (py.PyObject_Size(f->dict) == size) return f; /* else a key is there twice: the last counts, which only a dict knows */
fail:
  py.PyErr_Clear();
  form_free(f);
  return NULL;
}

static bool fits(const form *f, const pair *fields, int n) {
  if (!f || f->n != n) return false;
  for (int i = 0; i < n; i++) {
    const field *k = &f->fields[i];
    if (k->key_len != fields[i].key_len || !same(k->key_bytes, fields[i].key, k->key_len)) return false;
  }
  return true;
}

form *form_find(const pair *fields, int n) {
  place *at = latest;
  uint64_t h = (uint64_t)n;
  if (!at || !fits(at->form, fields, n)) {
    for (int i = 0; i < n; i++) h = sketch(h, fields[i].key, fields[i].key_len);
    if (!places && !(places = calloc(FORMS, sizeof *places))) return NULL;
    at = &places[(h >> 32) % FORMS];
    if (at->sketch != h || !fits(at->form, fields, n)) {
      bool again = at->missed == h;
      at->missed = h;
      if (pause_left) pause_left--;
      form *f = again && !pause_left ? form_new(fields, n) : NULL, *old = at->form;
      if (!f) return NULL;
      pause_left = PAUSE;
      at->form = f, at->sketch = h;
      form_free(old);
    }
  }
  at->missed = 0;
  latest = at;
  return at->form;
}

PyObject *form_environ(form *f, const pair *fields, PyObject *input, bool timed) {
  PyObject *environ = copy_of(f), *v = NULL;
  const pair *made = NULL; /* whose value v is: the path comes three times, the last value is often the next */
  if (!environ || environ_set_input(environ, input, timed) < 0) goto fail;
  for (int i = 0; i < f->n; i++) {
    const pair *p = &fields[i];
    field *k = &f->fields[i];
    if (k->value_len == p->value_len && same(k->value, p->value, p->value_len)) continue;
    if (!made || made->value_len != p->value_len || !same(made->value, p->value, p->value_len)) {
      PY_XDECREF(v);
      if (!(v = environ_value(p->value, p->value_len))) goto fail;
      made = p;
    }
    if (py.PyDict_SetItem(environ, k->key, v) < 0) goto fail;
    if (p->value_len > VALUE_MAX) continue;
    /* A value is kept when it comes twice in a row: one that is another each time (the client's port) costs no second store. */
    uint64_t h = sketch(1, p->value, p->value_len);
    if (h == k->other) {
      if (py.PyDict_SetItem(f->dict, k->key, v) < 0) goto fail;
      keep(k, p);
    }
    k->other = h;
  }
  PY_XDECREF(v);
  return environ;
fail:
  PY_XDECREF(v);
  PY_XDECREF(environ);
  return NULL;
}
