/* The last words: a Python thread that dies by a signal says which request it served, with write(2) from memory set aside before. The
 * process then dies by that signal, as it would have. */
#define _GNU_SOURCE
#include "interp.h"
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

enum { ALTSTACK = 64 << 10, LINE = 512 };

/* initial-exec: a thread-local variable of another model may be allocated at its first use, which is no thing for a signal handler. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
  const char *volatile line; /* NULL: nothing in hand */
  volatile uint32_t len;
  const char *volatile verb;
  bool ours; /* this is a Python thread of ours */
} here;

static struct sigaction before[65]; /* faulthandler's, or the app's, where there is one */
static bool before_set[65];
static uintptr_t text_start, text_end; /* the executable's code: Go's, and this file's */
static pthread_key_t stack_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

bool ph_crash_serves(int sig) { return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGABRT || sig == SIGILL; }

static const char *name_of(int sig) {
  switch (sig) {
  case SIGSEGV: return "SIGSEGV";
  case SIGBUS: return "SIGBUS";
  case SIGFPE: return "SIGFPE";
  case SIGABRT: return "SIGABRT";
  default: return "SIGILL";
  }
}

static void append(char *out, size_t *n, const char *s, size_t len) {
  for (size_t i = 0; i < len && *n < LINE - 1; i++) out[(*n)++] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
}

static void last_words(int sig) {
  char out[LINE], thread[17] = {0};
  size_t n = 0;
  static const char prefix[] = "gowsgi: fatal: signal ";
  append(out, &n, prefix, sizeof prefix - 1);
  append(out, &n, name_of(sig), strlen(name_of(sig)));
  const char *line = here.line;
  uint32_t len = here.len;
  if (line) {
    append(out, &n, " while ", 7);
    append(out, &n, here.verb, strlen(here.verb));
  }
  /* A long target is cut so that the thread's name still has room. */
  if (line) append(out, &n, line, len < LINE - 100 ? len : LINE - 100);
  prctl(PR_GET_NAME, thread);
  append(out, &n, " (thread ", 9);
  append(out, &n, thread, strlen(thread));
  append(out, &n, ")", 1);
  out[n++] = '\n';
  ssize_t w = write(STDERR_FILENO, out, n);
  (void)w;
}

static bool in_executable(const ucontext_t *u) {
#if defined(__x86_64__)
  uintptr_t pc = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
  uintptr_t pc = (uintptr_t)u->uc_mcontext.pc;
#else
#error "the program counter of this processor's signal frame is not known here"
#endif
  return pc >= text_start && pc < text_end;
}

static void forward(const struct sigaction *to, int sig, siginfo_t *info, void *context) {
  if (to->sa_flags & SA_SIGINFO)
    to->sa_sigaction(sig, info, context);
  else if (to->sa_handler != SIG_DFL && to->sa_handler != SIG_IGN)
    to->sa_handler(sig);
}

static void on_crash(int sig, siginfo_t *info, void *context) {
  bool fault = info->si_code > 0; /* from the processor, not from kill() */
  bool own = fault || ((info->si_code == SI_TKILL || info->si_code == SI_USER) && info->si_pid == getpid());
  bool chain = before_set[sig];
  if (!own || (!here.ours && !(chain && fault && !in_executable(context)))) {
    /* Sent by another process, or on a thread that is not ours: Go's nil dereferences come this way and must reach Go, which makes
     * panics of them. */
    forward(!own && chain ? &before[sig] : ph_signals_go(sig), sig, info, context);
    return;
  }
  if (here.ours) last_words(sig);
  if (chain) forward(&before[sig], sig, info, context);
  struct sigaction deflt;
  memset(&deflt, 0, sizeof deflt);
  deflt.sa_handler = SIG_DFL;
  sigaction(sig, &deflt, NULL);
  if (fault) return; /* the instruction faults again: a core dump shows it */
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, sig);
  raise(sig);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool ph_crash_is(const struct sigaction *a) { return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_crash; }

const struct sigaction *ph_crash_before(int sig) { return before_set[sig] ? &before[sig] : NULL; }

/* The first object is the executable. */
static int find_text(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size, (void)unused;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
      text_start = info->dlpi_addr + p->p_vaddr;
      text_end = text_start + p->p_memsz;
      return 1;
    }
  }
  return 1;
}

static void free_stack(void *stack) {
  stack_t now;
  if (sigaltstack(NULL, &now) == 0 && now.ss_sp == stack) {
    stack_t off = {.ss_flags = SS_DISABLE};
    if (sigaltstack(&off, NULL) != 0) return; /* in use: better lost than freed */
  }
  free(stack);
}

static void init(void) {
  dl_iterate_phdr(find_text, NULL);
  pthread_key_create(&stack_key, free_stack);
}

void ph_crash_install(int sig, const struct sigaction *found) {
  pthread_once(&once, init);
  before_set[sig] = false;
  if (found) {
    before[sig] = *found;
    before_set[sig] = true;
  }
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = on_crash;
  a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&a.sa_mask); /* as Go's own handler has it */
  sigaction(sig, &a, NULL);
}

void ph_crash_thread_start(void) {
  pthread_once(&once, init);
  here.ours = true;
  here.line = NULL;
  here.verb = "serving ";
  /* A stack of its own for the handler: the fault may be that the thread's is used up. Without memory the handler runs on the thread's. */
  stack_t s = {.ss_sp = malloc(ALTSTACK), .ss_size = ALTSTACK};
  if (!s.ss_sp) return;
  if (sigaltstack(&s, NULL) != 0)
    free(s.ss_sp);
  else
    pthread_setspecific(stack_key, s.ss_sp);
}

void ph_crash_note(const char *line, uint32_t len) {
  here.line = NULL; /* a signal between the two stores must not see a line with another's length */
  here.len = len;
  here.line = line;
}

void ph_crash_doing(const char *verb, const char *what) {
  here.line = NULL;
  here.verb = verb ? verb : "serving ";
  ph_crash_note(what, what ? (uint32_t)strlen(what) : 0);
}
