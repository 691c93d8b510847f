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

void ph_cancel(ph_slot *p) {
  slot *s = slot_of(p);
  pthread_mutex_lock(&s->mu);
  atomic_store(&s->cancelled, true);
  pthread_cond_broadcast(&s->cv);
  pthread_mutex_unlock(&s->mu);
  dispatch_cancel(s);
}

void ph_take(ph_slot *p) {
  slot *s = slot_of(p);
  pthread_mutex_lock(&s->mu);
  p->chunks = s->out_first;
  s->out_first = s->out_last = NULL;
  uint32_t flags = s->flags;
  p->state = flags | (s->want ? PH_WANT_BODY : 0);
  s->want = false;
  if (flags & PH_COMMITTED) {
    p->status = s->head, p->status_len = s->status_len;
    p->headers = s->head + s->status_len, p->headers_len = s->headers_len;
  }
  pthread_mutex_unlock(&s->mu);
}

void ph_release(ph_slot *p, ph_chunk *first, ph_chunk *last) {
  slot *s = slot_of(p);
  if (first) ph_sent(p, first, last);
  input_reset(s);
  output_reset(s);
  response_reset(s);
  deadline_reset(s);
  atomic_store(&s->cancelled, false);
  if (p->rec_cap > 1 << 16) { /* one request with huge headers must not keep its memory for the life of the process */
    free(p->rec);
    p->rec = NULL, p->rec_cap = 0;
  }
  p->rec_len = 0, p->state = 0, p->chunks = NULL, p->status = p->headers = NULL;
  p->body_fd = -1, p->body_stream = 0;
  p->timeout = p->queue_timeout = 0, p->backlog = 0;
  p->timed = 0, p->thread = 0, p->queued_at = p->taken_at = p->ran = 0;
}
