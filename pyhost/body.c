/* Request bodies on their way in: whole in memory, or as blocks that come while the app reads. */
#include "slot.h"
#include <stdlib.h>
#include <string.h>

enum {
  SMALL = 128 << 10, /* bytes of a body whose memory malloc gives from what it has; for more it asks the kernel, */
  ROOM = 1 << 20,    /* and 256 page faults cost more than all that is done with a body of that size */
  KEPT = 32,         /* so that many rooms are kept for the next bodies */
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static char *kept[KEPT];
static int nkept;

static char *room_new(void) {
  pthread_mutex_lock(&mu);
  char *room = nkept ? kept[--nkept] : NULL;
  pthread_mutex_unlock(&mu);
  return room ? room : malloc(ROOM);
}

static void room_free(char *room) {
  pthread_mutex_lock(&mu);
  bool keep = nkept < KEPT;
  if (keep) kept[nkept++] = room;
  pthread_mutex_unlock(&mu);
  if (!keep) free(room);
}

void body_trim(void) {
  pthread_mutex_lock(&mu);
  while (nkept) free(kept[--nkept]);
  pthread_mutex_unlock(&mu);
}

void body_free(slot *s) {
  if (s->body_cap == ROOM)
    room_free(s->body);
  else
    free(s->body);
  s->body = NULL, s->body_cap = 0, s->body_len = 0;
}

void *ph_body_room(ph_slot *p, uint64_t n) {
  slot *s = slot_of(p);
  if (n <= s->body_cap) return s->body;
  uint64_t cap = n > SMALL && n < ROOM ? ROOM : n;
  char *room = cap == ROOM ? room_new() : malloc(cap);
  if (!room) return NULL;
  uint64_t had = s->body_cap;
  if (had) memcpy(room, s->body, had);
  body_free(s);
  s->body = room, s->body_cap = cap;
  return room;
}

void ph_body_filled(ph_slot *p, uint64_t n) { slot_of(p)->body_len = (int64_t)n; }

int ph_body_set(ph_slot *p, const void *data, uint64_t n) {
  if (!n) return 0;
  void *room = ph_body_room(p, n);
  if (!room) return -1;
  memcpy(room, data, n);
  ph_body_filled(p, n);
  return 0;
}

int64_t ph_body_push(ph_slot *p, const void *data, uint32_t n) {
  slot *s = slot_of(p);
  body_block *b = malloc(sizeof *b + n);
  if (!b) return -1;
  b->next = NULL, b->len = n;
  memcpy(b->data, data, n);
  pthread_mutex_lock(&s->mu);
  if (s->blocks_last)
    s->blocks_last->next = b;
  else
    s->blocks = b;
  s->blocks_last = b;
  int64_t waiting = s->blocks_len += n;
  if (waiting >= PH_BODY_HIGH) s->full = true;
  pthread_cond_broadcast(&s->cv);
  pthread_mutex_unlock(&s->mu);
  return waiting;
}

void ph_body_end(ph_slot *p, int failed) {
  slot *s = slot_of(p);
  pthread_mutex_lock(&s->mu);
  s->body_eof = true;
  s->body_failed = failed != 0;
  pthread_cond_broadcast(&s->cv);
  pthread_mutex_unlock(&s->mu);
}
