/* wsgi.input: the request body as a file (PEP 3333, "Input and Error Streams").
 *
 * The bytes come through a window: the whole body where it is in memory, 64 KiB of the spool file, or a block of a streamed body. Only the
 * last two let the GIL go, and only a streamed body can wait for its client. */
#include "slot.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_WINDOW = 64 << 10, LOW_WATER = 64 << 10 };

void input_reset(slot *s) {
  if (s->body) body_free(s);
  free(s->file_buf);
  free(s->win_block);
  while (s->blocks) {
    body_block *b = s->blocks;
    s->blocks = b->next;
    free(b);
  }
  s->file_buf = NULL;
  s->win_block = s->blocks_last = NULL;
  s->win = NULL;
  s->blocks_len = s->win_len = s->win_pos = s->file_pos = 0;
  s->body_eof = s->body_failed = s->want = s->reading = s->full = false;
}

/* Takes the next block of a streamed body into the window, waiting for it. mu held, GIL released. 1, 0 at the end, -1 where it is lost. */
static int next_block(slot *s, uint32_t generation) {
  for (;;) {
    if (s->generation != generation) return -1;
    body_block *b = s->blocks;
    if (b) {
      if (!(s->blocks = b->next)) s->blocks_last = NULL;
      s->blocks_len -= b->len;
      s->win_block = b;
      s->win = b->data, s->win_len = b->len, s->win_pos = 0;
      if (s->full && s->blocks_len < LOW_WATER) {
        s->full = false;
        s->want = true;
        ph_event_push(&s->pub, true);
      }
      return 1;
    }
    if (s->body_eof) return s->body_failed ? -1 : 0;
    /* Go feeds the body until the response is over: close() would wait for ever. */
    if (atomic_load(&s->cancelled) || deadline_passed(s) || s->flags & (PH_COMPLETE | PH_FAILED)) return -1;
    s->want = true;
    ph_event_push(&s->pub, true);
    pthread_cond_wait(&s->cv, &s->mu);
  }
}

/* Reads the next part of the spool file into the window. mu held, GIL released. 1, 0 at the end, -1 with errno. */
static int next_of_file(slot *s) {
  if (!s->file_buf && !(s->file_buf = malloc(FILE_WINDOW))) {
    errno = ENOMEM;
    return -1;
  }
  pthread_mutex_unlock(&s->mu);
  ssize_t n;
  do n = pread(s->pub.body_fd, s->file_buf, FILE_WINDOW, s->file_pos);
  while (n < 0 && errno == EINTR);
  int err = errno;
  pthread_mutex_lock(&s->mu);
  errno = err;
  if (n <= 0) return (int)n;
  s->file_pos += n;
  s->win = s->file_buf, s->win_len = n, s->win_pos = 0;
  return 1;
}

/* Makes the window hold at least a byte. GIL: held. 1, 0 at the end of the body, -1 with an exception. */
static int window(slot *s) {
  if (s->win_pos < s->win_len) return 1;
  if (s->body && !s->win) {
    s->win = s->body, s->win_len = s->body_len, s->win_pos = 0;
    if (s->win_len) return 1;
  }
  if (!s->pub.body_stream && s->pub.body_fd < 0) return 0;
  free(s->win_block);
  s->win_block = NULL;
  s->win_len = s->win_pos = 0;
  bool file = s->pub.body_fd >= 0;
  uint32_t generation = atomic_load(&s->generation);
  PyThreadState *ts = unblocked_begin(s);
  int r = file ? next_of_file(s) : next_block(s, generation), err = errno;
  unblocked_end(s, ts);
  if (r >= 0) return r;
  if (file) {
    errno = err;
    py.PyErr_SetFromErrno(ph_exc_OSError);
  } else if (atomic_load(&s->generation) != generation) {
    py.PyErr_SetString(ph_exc_RuntimeError, "wsgi.input was used after its request had ended");
  } else {
    py.PyErr_SetString(ph_exc_OSError,
                       "the client closed the connection before the request body was complete, or the response is over");
  }
  return -1;
}

/* What is known to follow, or -1. */
static int64_t remaining(slot *s) {
  if (s->pub.body_stream) return -1;
  if (s->pub.body_fd < 0) return s->win ? s->win_len - s->win_pos : s->body_len;
  off_t end = lseek(s->pub.body_fd, 0, SEEK_END);
  return end < 0 ? -1 : end - s->file_pos + (s->win_len - s->win_pos);
}

/* size: Py_ssize_t or None or nothing. -1: all. -2: an exception is set. */
static Py_ssize_t parse_size(PyObject *const *args, Py_ssize_t n, const char *what) {
  if (n > 1) {
    py.PyErr_Format(ph_exc_TypeError, "wsgi.input.%s() takes at most 1 argument (%zd given)", what, n);
    return -2;
  }
  if (!n || args[0] == ph_none) return -1;
  Py_ssize_t size = py.PyNumber_AsSsize_t(args[0], NULL);
  if (size == -1 && py.PyErr_Occurred()) return -2;
  return size < 0 ? -1 : size;
}

/* The slot, marked as being read; NULL with an exception. */
static slot *begin(PyObject *self, const char *what) {
  handle *h = handle_live(self, what);
  if (!h) return NULL;
  if (atomic_exchange(&h->s->reading, true)) {
    py.PyErr_SetString(ph_exc_RuntimeError, "wsgi.input is being read by another thread");
    return NULL;
  }
  if (handle_live(self, what)) return h->s; /* again: without a GIL the request may have ended meanwhile */
  h->s->reading = false;
  return NULL;
}

static PyObject *end(slot *s, PyObject *result) {
  s->reading = false;
  return result;
}

/* Bytes that grow: a bytes object with room. */
typedef struct {
  PyObject *o;
  char *p;
  Py_ssize_t len, cap;
} buffer;

static int buffer_room(buffer *b, Py_ssize_t cap) {
  if (cap <= b->cap && b->o) return 0;
  if (!b->o) {
    b->o = py.PyBytes_FromStringAndSize(NULL, cap);
    if (!b->o) return -1;
  } else if (py._PyBytes_Resize(&b->o, cap) < 0) {
    return -1; /* o is NULL now */
  }
  b->p = py.PyBytes_AsString(b->o);
  b->cap = cap;
  return 0;
}

static PyObject *buffer_bytes(buffer *b) {
  if (!b->o) return py.PyBytes_FromStringAndSize("", 0);
  if (b->len != b->cap && py._PyBytes_Resize(&b->o, b->len) < 0) return NULL;
  return b->o;
}

/* Moves n bytes of the window to the buffer. */
static int buffer_take(buffer *b, slot *s, Py_ssize_t n) {
  if (b->len + n > b->cap && buffer_room(b, b->len + n > 2 * b->cap ? b->len + n : 2 * b->cap) < 0) return -1;
  memcpy(b->p + b->len, s->win + s->win_pos, (size_t)n);
  b->len += n;
  s->win_pos += n;
  return 0;
}

static PyObject *read_bytes(slot *s, Py_ssize_t size) {
  buffer b = {0};
  int r;
  if (size == 0) return py.PyBytes_FromStringAndSize("", 0);
  int64_t rest = remaining(s);
  Py_ssize_t want = rest >= 0 && (size < 0 || rest < size) ? rest : size; /* -1: until the end, wherever it is */
  if (rest >= 0 && want > 0 && buffer_room(&b, want) < 0) return NULL;
  while (want < 0 || b.len < want) {
    if ((r = window(s)) < 0) goto fail;
    if (!r) break;
    Py_ssize_t n = (Py_ssize_t)(s->win_len - s->win_pos);
    if (want >= 0 && n > want - b.len) n = want - b.len;
    if (buffer_take(&b, s, n) < 0) goto fail;
  }
  return buffer_bytes(&b);
fail:
  PY_XDECREF(b.o);
  return NULL;
}

static PyObject *read_line(slot *s, Py_ssize_t limit) {
  buffer b = {0};
  int r;
  bool ended = limit == 0;
  while (!ended) {
    if ((r = window(s)) < 0) goto fail;
    if (!r) break;
    Py_ssize_t n = (Py_ssize_t)(s->win_len - s->win_pos);
    if (limit >= 0 && n > limit - b.len) n = limit - b.len;
    const char *nl = memchr(s->win + s->win_pos, '\n', (size_t)n);
    if (nl) n = nl + 1 - (s->win + s->win_pos);
    ended = nl || (limit >= 0 && b.len + n == limit);
    if (buffer_take(&b, s, n) < 0) goto fail;
  }
  return buffer_bytes(&b);
fail:
  PY_XDECREF(b.o);
  return NULL;
}

static PyObject *input_read(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  Py_ssize_t size = parse_size(args, n, "read");
  slot *s = size == -2 ? NULL : begin(self, "wsgi.input.read()");
  return s ? end(s, read_bytes(s, size)) : NULL;
}

static PyObject *input_readline(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  Py_ssize_t size = parse_size(args, n, "readline");
  slot *s = size == -2 ? NULL : begin(self, "wsgi.input.readline()");
  return s ? end(s, read_line(s, size)) : NULL;
}

static PyObject *input_readlines(PyObject *self, PyObject *const *args, Py_ssize_t n) {
  Py_ssize_t hint = parse_size(args, n, "readlines"), total = 0, len = 1;
  slot *s = hint == -2 ? NULL : begin(self, "wsgi.input.readlines()");
  if (!s) return NULL;
  PyObject *lines = py.PyList_New(0), *line = NULL;
  if (!lines) goto fail;
  while (hint <= 0 || total < hint) { /* 0 means no hint, as for io.IOBase.readlines */
    if (!(line = read_line(s, -1))) goto fail;
    len = py.PyObject_Size(line);
    if (len == 0) break;
    if (py.PyList_Append(lines, line) < 0) goto fail;
    py.Py_DecRef(line);
    line = NULL;
    total += len;
  }
  PY_XDECREF(line);
  return end(s, lines);
fail:
  PY_XDECREF(line);
  PY_XDECREF(lines);
  return end(s, NULL);
}

PyObject *input_iternext(PyObject *self) {
  slot *s = begin(self, "wsgi.input");
  if (!s) return NULL;
  PyObject *line = end(s, read_line(s, -1));
  if (line && py.PyObject_Size(line) == 0) {
    py.Py_DecRef(line);
    return NULL; /* the end, without an exception: StopIteration */
  }
  return line;
}

PyMethodDef input_methods[] = {
    {"read", (PyCFunction)(void *)input_read, METH_FASTCALL, "read([size]) -> bytes: size bytes, or all that follow."},
    {"readline", (PyCFunction)(void *)input_readline, METH_FASTCALL,
     "readline([size]) -> bytes: one line, at most size bytes of it."},
    {"readlines", (PyCFunction)(void *)input_readlines, METH_FASTCALL,
     "readlines([hint]) -> list of lines, about hint bytes of them."},
    {"extend", request_extend, METH_O, "extend(seconds): gives the request that much more time."},
    {NULL, NULL, 0, NULL},
};
