/* What environ.c and environ_form.c share. All with the GIL held. */
#ifndef PYHOST_ENVIRON_H
#define PYHOST_ENVIRON_H

#include "slot.h"

#pragma GCC visibility push(hidden)

/* A key and its value in a record. */
typedef struct pair {
  const char *key, *value;
  uint32_t key_len, value_len;
} pair;

/* ---- environ.c ---- */
/* Takes the next pair off a record: 1, 0 at its end, -1 where it is malformed. GIL: either. */
int record_next(const char **at, const char *end, pair *out);
/* New references, or NULL with an exception. A key is interned where it is one of the first thousand. */
PyObject *environ_key(const char *p, uint32_t n);
PyObject *environ_value(const char *p, uint32_t n);
/* A dict with what is the same for all requests: new reference, or NULL with an exception. */
PyObject *environ_base(void);
/* Sets wsgi.input and what else is the same object: gowsgi.deadline where the request is timed. 0, or -1 with an exception. */
int environ_set_input(PyObject *environ, PyObject *input, bool timed);
int environ_add(PyObject *environ, const pair *p);

/* ---- environ_form.c ---- */
enum { FORM_FIELDS = 64 }; /* pairs of a record that may have a form */
typedef struct form form;
/* The form of these n <= FORM_FIELDS pairs that this thread has kept, or NULL. No exception is set. Valid until the next call. */
form *form_find(const pair *fields, int n);
/* The environ of pairs that form_find found f for: new reference, or NULL with an exception. */
PyObject *form_environ(form *f, const pair *fields, PyObject *input, bool timed);

#pragma GCC visibility pop
#endif
