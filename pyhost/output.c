/* The body on its way out: pieces made by a Python thread, written to the client by Go.
 *
 * What exists already (a list) is sent by reference without limit. What is made on the way (a generator) may wait in memory up to
 * MEMORY_LIMIT, then in an unlinked file up to ph_spool_limit, and only past that holds its thread. */
#define _GNU_SOURCE
#include "slot.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  MEMORY_LIMIT = 256 << 10,
  COPY_LIMIT = 16 << 10,      /* smaller pieces are copied: cheaper than to give the object back under the GIL */
  WAKE_OBJECTS_AT = 1 << 20,  /* bytes of sent objects that are not left to wait for the next request */
};

const char *ph_spool_dir = "/tmp";
int64_t ph_spool_limit = 256 << 20;

static _Atomic(ph_chunk *) sent_objects; /* CHUNK_OBJECT chunks whose reference is to be dropped */
static _Atomic int64_t sent_objects_bytes;

void ph_release_objects(void) {
  if (!atomic_load_explicit(&sent_objects, memory_order_relaxed)) return;
  ph_chunk *c = atomic_exchange(&sent_objects, NULL);
  while (c) {
    ph_chunk *next = c->next;
    atomic_fetch_sub(&sent_objects_bytes, c->size);
    py.Py_DecRef(c->owner);
    free(c);
    c = next;
  }
}

int64_t output_objects_waiting(void) { return atomic_load(&sent_objects_bytes); }

static void chunk_free(slot *s, ph_chunk *c) {
  switch (c->kind) {
  case CHUNK_OBJECT: {
    ph_chunk *old = atomic_load(&sent_objects);
    do c->next = old;
    while (!atomic_compare_exchange_weak(&sent_objects, &old, c));
    if (atomic_fetch_add(&sent_objects_bytes, c->size) + c->size >= WAKE_OBJECTS_AT) ph_main_wake();
    return;
  }
  case CHUNK_FILE:
    close(c->fd);
    break;
  case CHUNK_SPOOL: /* the disk gets the space back at once, not at the end of the reply */
    fallocate(s->spool_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, c->offset, c->size);
    break;
  }
  free(c);
}

void ph_sent(ph_slot *p, ph_chunk *first, ph_chunk *last) {
  slot *s = slot_of(p);
  int64_t bytes = 0, spooled = 0;
  for (ph_chunk *c = first, *next; c; c = next) {
    next = c == last ? NULL : c->next;
    if (c->kind != CHUNK_FILE) bytes += c->size;
    if (c->kind == CHUNK_SPOOL) spooled += c->size;
    chunk_free(s, c);
  }
  pthread_mutex_lock(&s->mu);
  s->unsent -= bytes;
  s->spool_unsent -= spooled;
  pthread_cond_broadcast(&s->cv);
  pthread_mutex_unlock(&s->mu);
}

/* mu held. */
static void enqueue(slot *s, ph_chunk *c) {
  c->next = NULL;
  if (s->out_last)
    s->out_last->next = c;
  else
    s->out_first = c;
  s->out_last = c;
}

static ph_chunk *chunk_new(int kind, size_t extra) {
  ph_chunk *c = malloc(sizeof *c + extra);
  if (!c) return NULL;
  memset(c, 0, sizeof *c);
  c->kind = (uint8_t)kind;
  c->fd = -1;
  return c;
}

static int client_gone(void) {
  py.PyErr_SetString(ph_exc_OSError, "the client closed the connection");
  return -1;
}

/* Opens the spool file where it is not yet: an errno, or 0. GIL: released. */
static int spool_open(slot *s) {
  if (s->spool_fd >= 0) return 0;
  int fd = open(ph_spool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) { /* a file system without O_TMPFILE */
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/gowsgi-reply-XXXXXX", ph_spool_dir);
    if (n < 0 || (size_t)n >= sizeof path) return ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) return errno;
    unlink(path);
  }
  s->spool_fd = fd;
  return 0;
}

/* Appends to the spool file: an errno, or 0. GIL: released. */
static int spool_write(slot *s, const char *p, int64_t n) {
  int err = spool_open(s);
  int64_t pos = s->spool_pos;
  while (!err && n > 0) {
    ssize_t w = pwrite(s->spool_fd, p, (size_t)n, pos);
    if (w < 0 && errno != EINTR) err = errno;
    if (w > 0) p += w, n -= w, pos += w;
  }
  return err;
}

/* Adds n spooled bytes that begin at spool_pos. mu held. -1: no memory. */
static int enqueue_spooled(slot *s, int64_t n) {
  ph_chunk *last = s->out_last;
  if (last && last->kind == CHUNK_SPOOL && last->offset + last->size == s->spool_pos) {
    last->size += n;
  } else {
    ph_chunk *c = chunk_new(CHUNK_SPOOL, 0);
    if (!c) return -1;
    c->fd = s->spool_fd, c->offset = s->spool_pos, c->size = n;
    enqueue(s, c);
  }
  s->spool_pos += n;
  s->spool_unsent += n;
  s->unsent += n;
  return 0;
}

/* The slow way: the memory is full. GIL: held. */
static int output_spooled(slot *s, const char *p, int64_t n) {
  int err = 0;
  uint32_t generation = atomic_load(&s->generation);
  PyThreadState *ts = unblocked_begin(s);
  while (s->spool_unsent && s->spool_unsent + n > ph_spool_limit && !atomic_load(&s->cancelled) && s->generation == generation) {
    ph_event_push(&s->pub, true);
    pthread_cond_wait(&s->cv, &s->mu);
  }
  bool gone = atomic_load(&s->cancelled) || s->generation != generation;
  if (!gone) {
    pthread_mutex_unlock(&s->mu);
    err = spool_write(s, p, n);
    pthread_mutex_lock(&s->mu);
    if (!err && enqueue_spooled(s, n) < 0) err = ENOMEM;
    ph_event_push(&s->pub, true);
  }
  unblocked_end(s, ts);
  if (gone) return client_gone();
  if (err) {
    errno = err;
    py.PyErr_SetFromErrno(ph_exc_OSError);
    return -1;
  }
  return 0;
}

int output_bytes(slot *s, PyObject *bytes, bool unbounded) {
  char *p;
  Py_ssize_t n;
  if (py.PyBytes_AsStringAndSize(bytes, &p, &n) < 0) return -1;
  if (!n) return 0;
  if (atomic_load(&s->cancelled)) return client_gone();
  pthread_mutex_lock(&s->mu);
  bool fits = unbounded || !s->unsent || s->unsent + n <= MEMORY_LIMIT;
  pthread_mutex_unlock(&s->mu);
  if (!fits) return output_spooled(s, p, n);

  ph_chunk *c = chunk_new(n < COPY_LIMIT ? CHUNK_COPY : CHUNK_OBJECT, n < COPY_LIMIT ? (size_t)n : 0);
  if (!c) {
    py.PyErr_NoMemory();
    return -1;
  }
  if (c->kind == CHUNK_COPY) {
    memcpy(c + 1, p, (size_t)n);
    c->data = (char *)(c + 1);
  } else {
    py.Py_IncRef(bytes);
    c->owner = bytes;
    c->data = p;
  }
  c->size = n;
  pthread_mutex_lock(&s->mu);
  s->unsent += n;
  enqueue(s, c);
  bool much = s->unsent >= MEMORY_LIMIT / 4;
  pthread_mutex_unlock(&s->mu);
  if (!unbounded) ph_event_push(&s->pub, much); /* else the dispatcher's ticker tells Go within a millisecond, and many chunks at once */
  return 0;
}

int output_file(slot *s, int fd, int64_t offset, int64_t size) {
  if (size <= 0) return 0;
  ph_chunk *c = chunk_new(CHUNK_FILE, 0);
  if (!c) {
    py.PyErr_NoMemory();
    return -1;
  }
  c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the app closes its own when close() is called, before the client has it all */
  if (c->fd < 0) {
    free(c);
    py.PyErr_SetFromErrno(ph_exc_OSError);
    return -1;
  }
  c->offset = offset, c->size = size;
  pthread_mutex_lock(&s->mu);
  enqueue(s, c);
  pthread_mutex_unlock(&s->mu);
  return 0;
}

void output_flags(slot *s, uint32_t flags, bool now) {
  pthread_mutex_lock(&s->mu);
  s->flags |= flags;
  pthread_mutex_unlock(&s->mu);
  ph_event_push(&s->pub, now);
}

void output_reset(slot *s) {
  if (s->out_first) ph_sent(&s->pub, s->out_first, s->out_last);
  s->out_first = s->out_last = NULL;
  if (s->spool_fd >= 0) close(s->spool_fd);
  s->spool_fd = -1;
  s->spool_pos = s->spool_unsent = s->unsent = 0;
  s->flags = 0;
}
