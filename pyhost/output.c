/* The body on its way out: pieces made by a Python thread, written to the client by Go.
 *
 * What exists already (a list) may wait in memory without limit. What is made on the way (a generator) may wait there up to MEMORY_LIMIT, or
 * as one piece of any length, then in unlinked files up to ph_spool_limit, and only past that holds its thread. */
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
  COPY_LIMIT = 16 << 10,     /* smaller pieces are copied: cheaper than to give the object back under the GIL */
  SPOOL_FILE = 4 << 20,      /* a reply's next spooled bytes go to another file after that many */
  WAKE_OBJECTS_AT = 1 << 20, /* bytes of sent objects that are not left to wait for the next request */
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

static void chunk_free(ph_chunk *c) {
  switch (c->kind) {
  case CHUNK_OBJECT: {
    /* Counted first: once it is on the list, a thread with the GIL may free it. */
    bool much = atomic_fetch_add(&sent_objects_bytes, c->size) + c->size >= WAKE_OBJECTS_AT;
    ph_chunk *old = atomic_load(&sent_objects);
    do c->next = old;
    while (!atomic_compare_exchange_weak(&sent_objects, &old, c));
    if (much) ph_main_wake();
    return;
  }
  case CHUNK_FILE:
  case CHUNK_SPOOL: close(c->fd); break;
  case CHUNK_SLOT: return;
  }
  free(c);
}

void ph_sent(ph_slot *p, ph_chunk *first, ph_chunk *last) {
  slot *s = slot_of(p);
  int64_t bytes = 0, spooled = 0;
  for (ph_chunk *c = first, *next; c; c = next) {
    next = c == last ? NULL : c->next;
    if (c->kind <= CHUNK_OBJECT) bytes += c->size + (int64_t)sizeof *c;
    if (c->kind == CHUNK_SPOOL) spooled += c->size;
    chunk_free(c);
  }
  if (bytes) atomic_fetch_sub(&s->unsent, bytes);
  if (!spooled) return;
  pthread_mutex_lock(&s->mu);
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

/* Opens a spool file: a descriptor, or -1 with errno. */
static int spool_open(void) {
  int fd = open(ph_spool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  char path[4096]; /* a file system without O_TMPFILE */
  int n = snprintf(path, sizeof path, "%s/gowsgi-reply-XXXXXX", ph_spool_dir);
  if (n < 0 || (size_t)n >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  fd = mkostemp(path, O_CLOEXEC);
  if (fd >= 0) unlink(path);
  return fd;
}

/* A chunk for n bytes to come, with its place in a spool file: NULL with errno. The disk gets space back by the end of the file, when the
 * last of its chunks is sent. Never by a hole, nor by writing over what was sent: sendfile gave the client's socket the file's own pages,
 * and what the client has not fetched yet would change. mu held, GIL released. */
static ph_chunk *spool_reserve(slot *s, int64_t n) {
  if (s->spool_fd >= 0 && s->spool_pos >= SPOOL_FILE) {
    close(s->spool_fd);
    s->spool_fd = -1;
  }
  if (s->spool_fd < 0) {
    pthread_mutex_unlock(&s->mu); /* a slow disk must not hold up who collects events, and takes mu */
    int fd = spool_open(), err = errno;
    pthread_mutex_lock(&s->mu);
    if (s->spool_fd >= 0) { /* write() on another thread was faster */
      if (fd >= 0) close(fd);
    } else if (fd < 0) {
      errno = err;
      return NULL;
    } else {
      s->spool_fd = fd;
      s->spool_pos = 0;
      s->spool_files++;
    }
  }
  ph_chunk *c = chunk_new(CHUNK_SPOOL, 0);
  if (!c) {
    errno = ENOMEM;
    return NULL;
  }
  if ((c->fd = fcntl(s->spool_fd, F_DUPFD_CLOEXEC, 3)) < 0) {
    free(c);
    return NULL;
  }
  c->owner = (void *)s->spool_files;
  c->offset = s->spool_pos, c->size = n;
  s->spool_pos += n; /* the app may call write() on several threads at once: each has its own part of the file */
  return c;
}

/* An errno, or 0. GIL: released. */
static int spool_write(const ph_chunk *c, const char *p) {
  for (int64_t done = 0; done < c->size;) {
    ssize_t w = pwrite(c->fd, p + done, (size_t)(c->size - done), c->offset + done);
    if (w < 0 && errno != EINTR) return errno;
    if (w > 0) done += w;
  }
  return 0;
}

/* mu held. */
static void enqueue_spooled(slot *s, ph_chunk *c) {
  s->spool_unsent += c->size;
  ph_chunk *last = s->out_last;
  if (last && last->kind == CHUNK_SPOOL && last->owner == c->owner && last->offset + last->size == c->offset) {
    last->size += c->size;
    chunk_free(c);
  } else {
    enqueue(s, c);
  }
}

/* Whether the response has nobody to go to. */
static bool gone(slot *s, uint32_t generation) {
  return atomic_load(&s->cancelled) || deadline_passed(s) || s->generation != generation;
}

/* The slow way: the memory is full. GIL: held. */
static int output_spooled(slot *s, const char *p, int64_t n) {
  int err = 0;
  uint32_t generation = atomic_load(&s->generation);
  PyThreadState *ts = unblocked_begin(s);
  while (s->spool_unsent && s->spool_unsent + n > ph_spool_limit && !gone(s, generation)) {
    ph_event_push(&s->pub, true);
    pthread_cond_wait(&s->cv, &s->mu);
  }
  bool over = gone(s, generation);
  if (!over) {
    ph_chunk *c = spool_reserve(s, n);
    if (c) {
      pthread_mutex_unlock(&s->mu);
      err = spool_write(c, p);
      pthread_mutex_lock(&s->mu);
    } else {
      err = errno;
    }
    if (c && err)
      chunk_free(c);
    else if (c)
      enqueue_spooled(s, c);
    ph_event_push(&s->pub, true);
  }
  unblocked_end(s, ts);
  if (over) return client_gone();
  if (err) {
    errno = err;
    py.PyErr_SetFromErrno(ph_exc_OSError);
    return -1;
  }
  return 0;
}

/* The chunk that the slot has for the first small piece of each reply, with a copy of n bytes: no malloc here and no free by a thread of Go's.
 * NULL where it is in use, or where memory is out. */
static ph_chunk *chunk_of_slot(slot *s, const char *p, size_t n) {
  if (atomic_exchange(&s->own_used, true)) return NULL; /* the app may call write() on several threads at once */
  if (n > s->own_cap) {
    size_t cap = n < 1024 ? 1024 : COPY_LIMIT;
    ph_chunk *grown = realloc(s->own, sizeof *grown + cap);
    if (!grown) return NULL;
    s->own = grown, s->own_cap = (uint32_t)cap;
  }
  *s->own = (ph_chunk){.kind = CHUNK_SLOT, .fd = -1, .data = memcpy(s->own + 1, p, n), .size = (int64_t)n};
  return s->own;
}

static ph_chunk *chunk_of_bytes(slot *s, PyObject *bytes, const char *p, size_t n) {
  ph_chunk *c = n < COPY_LIMIT ? chunk_of_slot(s, p, n) : NULL;
  if (c) return c;
  if (!(c = chunk_new(n < COPY_LIMIT ? CHUNK_COPY : CHUNK_OBJECT, n < COPY_LIMIT ? n : 0))) return NULL;
  if (c->kind == CHUNK_COPY) {
    c->data = memcpy(c + 1, p, n);
  } else {
    py.Py_IncRef(bytes);
    c->owner = bytes;
    c->data = p;
  }
  c->size = (int64_t)n;
  return c;
}

int output_bytes(slot *s, PyObject *bytes, const char *p, Py_ssize_t n, body_part part) {
  if (!n) return 0;
  if (atomic_load(&s->cancelled)) return client_gone();
  int64_t unsent = part == BODY_WHOLE ? 0 : atomic_load(&s->unsent);
  if (unsent && unsent + n > MEMORY_LIMIT) return output_spooled(s, p, n);

  ph_chunk *c = chunk_of_bytes(s, bytes, p, (size_t)n);
  if (!c) {
    py.PyErr_NoMemory();
    return -1;
  }
  int64_t more = n + (int64_t)sizeof *c;              /* many small pieces cost memory too */
  unsent = atomic_fetch_add(&s->unsent, more) + more; /* before Go can give it back */
  pthread_mutex_lock(&s->mu);
  enqueue(s, c);
  pthread_mutex_unlock(&s->mu);
  if (part == BODY_WHOLE) return 0;
  bool now = unsent >= MEMORY_LIMIT / 4;
  ph_event_push(&s->pub, now);
  if (!now && part == BODY_MORE) dispatch_tell_soon(); /* of many chunks at once */
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
  atomic_fetch_or(&s->flags, flags); /* after what was enqueued: who sees the flag under mu sees that too */
  ph_event_push(&s->pub, now);
}

void output_reset(slot *s) {
  if (s->out_first) ph_sent(&s->pub, s->out_first, s->out_last);
  s->out_first = s->out_last = NULL;
  if (s->spool_fd >= 0) close(s->spool_fd);
  s->spool_fd = -1;
  s->spool_pos = s->spool_unsent = 0;
  s->unsent = 0;
  s->own_used = false;
  s->flags = 0;
}
