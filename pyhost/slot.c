/* Slots: making, filling, giving back. */
#include "slot.h"
#include <stdlib.h>
#include <string.h>

ph_slot *ph_slot_new(uint32_t id) {
  slot *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->pub.id = id;
  s->pub.body_fd = -1;
  s->spool_fd = -1;
  pthread_mutex_init(&s->mu, NULL);
  pthread_cond_init(&s->cv, NULL);
  return &s->pub;
}

int ph_slot_reserve(ph_slot *p, uint32_t n) {
  if (n <= p->rec_cap) return 0;
  uint32_t cap = n < 2048 ? 2048 : n + n / 4;
  if (cap < n) cap = n;
  char *rec = realloc(p->rec, cap);
  if (!rec) return -1;
  p->rec = rec, p->rec_cap = cap;
  return 0;
}

int ph_body_set(ph_slot *p, const void *data, uint64_t n) {
  slot *s = slot_of(p);
  if (!n) return 0;
  if (!(s->body = malloc(n))) return -1;
  memcpy(s->body, data, n);
  s->body_len = (int64_t)n;
  return 0;
}

PyThreadState *unblocked_begin(slot *s) {
  PyThreadState *ts = py.PyEval_SaveThread();
  pthread_mutex_lock(&s->mu);
  s->busy++;
  return ts;
}

void unblocked_end(slot *s, PyThreadState *ts) {
  s->busy--;
  pthread_cond_broadcast(&s->cv);
  pthread_mutex_unlock(&s->mu);
  py.PyEval_RestoreThread(ts);
}

void ph_submit(ph_slot *p) { dispatch_submit(slot_of(p)); }

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

void ph_cancel(ph_slot *p) {
  slot *s = slot_of(p);
  pthread_mutex_lock(&s->mu);
  atomic_store(&s->cancelled, true);
  pthread_cond_broadcast(&s->cv);
  pthread_mutex_unlock(&s->mu);
}

void ph_take(ph_slot *p) {
  slot *s = slot_of(p);
  pthread_mutex_lock(&s->mu);
  p->chunks = s->out_first;
  s->out_first = s->out_last = NULL;
  p->state = s->flags | (s->want ? PH_WANT_BODY : 0);
  s->want = false;
  if (s->flags & PH_COMMITTED) {
    p->status = s->head, p->status_len = s->status_len;
    p->headers = s->head + s->status_len, p->headers_len = s->headers_len;
  }
  pthread_mutex_unlock(&s->mu);
}

void ph_release(ph_slot *p) {
  slot *s = slot_of(p);
  input_reset(s);
  output_reset(s);
  response_reset(s);
  atomic_store(&s->cancelled, false);
  if (p->rec_cap > 1 << 16) { /* one request with huge headers must not keep its memory for the life of the process */
    free(p->rec);
    p->rec = NULL, p->rec_cap = 0;
  }
  p->rec_len = 0, p->state = 0, p->chunks = NULL, p->status = p->headers = NULL;
  p->body_fd = -1, p->body_stream = 0;
}
