/* News for Go: a lock-free list of slots, a lock-free list of log lines, and one eventfd. */
#include "lifecycle.h"
#include "slot.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LOG_MAX = 1 << 20 }; /* bytes of one entry: the message of an exception may be a whole document */

uint32_t ph_listener_asleep;

static _Atomic int event_fd = -1; /* eventfd, non-blocking */
static _Atomic(slot *) events;
static _Atomic(ph_logline *) log_lines;
static _Atomic int64_t log_bytes; /* of lines that were not freed yet */
static _Atomic bool told;         /* the eventfd was written since Go last began to collect */

int ph_event_open(void) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd >= 0) ph_fd_own(fd, 1);
  return fd;
}

static void tell(void) {
  uint64_t one = 1;
  /* It fails only where the counter is at its limit, which nobody lives to see. */
  ssize_t n = write(atomic_load(&event_fd), &one, sizeof one);
  (void)n;
}

void ph_event_switch(int fd) {
  atomic_store(&event_fd, fd);
  tell(); /* of what the old one's listener may not collect any more */
}

void ph_event_notify(void) {
  if (!ph_forked && !atomic_exchange(&told, true)) tell();
}

void ph_event_deliver(void) {
  if (ph_forked || !events_pending()) return;
  if (!__atomic_load_n(&ph_listener_asleep, __ATOMIC_RELAXED) || !gowsgi_deliver()) ph_event_notify();
}

void ph_event_push(ph_slot *p, bool now) {
  slot *s = slot_of(p);
  if (!atomic_exchange(&s->event_queued, true)) {
    slot *old = atomic_load(&events);
    do s->event_next = old;
    while (!atomic_compare_exchange_weak(&events, &old, s));
  }
  if (now) ph_event_notify();
}

bool events_pending(void) {
  return atomic_load_explicit(&events, memory_order_relaxed) && !atomic_load_explicit(&told, memory_order_relaxed);
}

int ph_events(uint32_t *ids, int n) {
  static slot *rest; /* taken off the list, oldest first; their event_queued still holds */
  atomic_store(&told, false);
  if (!rest) {
    slot *s = atomic_exchange(&events, NULL);
    while (s) {
      slot *next = s->event_next;
      s->event_next = rest;
      rest = s;
      s = next;
    }
  }
  int k = 0;
  while (rest && k < n) {
    slot *s = rest;
    rest = s->event_next; /* before the flag: from then on the slot may be pushed again */
    ids[k++] = s->pub.id;
    atomic_store(&s->event_queued, false);
  }
  return k;
}

void ph_log(int level, int id, const char *text, size_t len) {
  if (len > LOG_MAX) len = LOG_MAX;
  ph_logline *l = malloc(sizeof *l + len + 1);
  if (!l) return;
  l->level = level, l->slot = id, l->len = (uint32_t)len;
  memcpy(l->text, text, len);
  l->text[len] = 0;
  atomic_fetch_add(&log_bytes, (int64_t)(sizeof *l + len));
  ph_logline *old = atomic_load(&log_lines);
  do l->next = old;
  while (!atomic_compare_exchange_weak(&log_lines, &old, l));
  ph_event_notify();
}

void ph_logf(int level, int id, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (n > 0) ph_log(level, id, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

ph_logline *ph_log_take(void) {
  ph_logline *l = atomic_exchange(&log_lines, NULL), *out = NULL;
  while (l) {
    ph_logline *next = l->next;
    l->next = out;
    out = l;
    l = next;
  }
  return out;
}

void ph_log_free(ph_logline *l) {
  atomic_fetch_sub(&log_bytes, (int64_t)(sizeof *l + l->len));
  free(l);
}

int64_t ph_log_waiting(void) { return atomic_load(&log_bytes); }
