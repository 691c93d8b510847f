/* The template process: this program, started under a name of its own with a socket as descriptor 3. The dynamic linker runs a constructor
 * before the Go runtime starts; it imports the apps and then waits for orders to fork. In a forked worker the constructor returns, and
 * the Go runtime and main follow as in any other process. */
#define _GNU_SOURCE
#include "template.h"
#include "lifecycle.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILES_MAX = 250, FIELDS_MAX = 3 }; /* the kernel takes 253 descriptors with a packet */

typedef struct strings {
  char **at;
  int n;
} strings;

static struct {
  ph_start_options start;
  char *library, *preload;
  strings args, functions, texts, prefixes, specs, paths;
  bool force;
  int files;
} settings;

static char packet[TEMPLATE_PACKET + 1];
static char *name;      /* argv[0] */
static size_t name_len; /* bytes that it has room for */

int template_adopted(void) { return ph_preloaded(); }
int template_run(void) { ph_main_run(); }

/* Sends a packet: its letter and n texts, each ended by a NUL. A long last one is cut. A master that is gone needs no answer. */
static void tell(char letter, int n, ...) {
  static char out[TEMPLATE_PACKET];
  size_t len = 0;
  out[len++] = letter;
  va_list ap;
  va_start(ap, n);
  for (int i = 0; i < n; i++) {
    const char *text = va_arg(ap, const char *);
    size_t want = text ? strlen(text) : 0, room = sizeof out - len - (size_t)(n - i);
    if (want > room) want = room;
    if (want) memcpy(out + len, text, want);
    len += want;
    out[len++] = 0;
  }
  va_end(ap);
  ssize_t sent = send(TEMPLATE_FD, out, len, MSG_NOSIGNAL);
  (void)sent;
}

/* Called with the GIL held, so one thread at a time. */
static void tell_log(int level, const char *text, size_t len) {
  char number[12], *copy = strndup(text, len);
  snprintf(number, sizeof number, "%d", level);
  tell(TELL_LOG, 2, number, copy ? copy : "no memory");
  free(copy);
}

_Noreturn static void fail_app(const char *spec, const ph_app_error *e) {
  tell(TELL_BAD_APP, 3, spec, e->reason, e->traceback);
  ph_preload_flush();
  _exit(1);
}

_Noreturn static void fail(char letter, const char *reason) {
  tell(letter, 1, reason);
  _exit(1);
}

_Noreturn static void fail_errno(char letter, const char *what) {
  char text[256];
  snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
  fail(letter, text);
}

/* Whether this process was started as a template. */
static bool is_template(void) {
  int type = 0, domain = 0;
  socklen_t n = sizeof type, m = sizeof domain;
  name = program_invocation_name;
  return name && strncmp(name, TEMPLATE_NAME, sizeof TEMPLATE_NAME - 1) == 0 &&
         getsockopt(TEMPLATE_FD, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET &&
         getsockopt(TEMPLATE_FD, SOL_SOCKET, SO_DOMAIN, &domain, &m) == 0 && domain == AF_UNIX;
}

/* Makes text what ps shows, within the room that the name had: the master adds spaces to it. */
static void rename_process(const char *text) {
  size_t n = strnlen(text, name_len);
  memset(name, 0, name_len);
  memcpy(name, text, n);
  prctl(PR_SET_NAME, "gowsgi");
}

/* Receives a packet into packet, ended by a NUL, and its descriptors into fds. Its length; the process ends where the master is gone. */
static size_t receive(int *fds, int *nfds) {
  union {
    char bytes[CMSG_SPACE(FILES_MAX * sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec iov = {packet, sizeof packet - 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t n;
  *nfds = 0;
  while ((n = recvmsg(TEMPLATE_FD, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (n <= 0) _exit(0);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t bytes = c->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(c), bytes);
    *nfds = (int)(bytes / sizeof(int));
  }
  packet[n] = 0;
  return (size_t)n;
}

static char *keep(const char *text) {
  char *copy = strdup(text);
  if (!copy) fail(TELL_BAD_START, "no memory");
  return copy;
}

static void add(strings *s, const char *text) {
  char **grown = realloc(s->at, (size_t)(s->n + 1) * sizeof *grown);
  if (!grown) fail(TELL_BAD_START, "no memory");
  s->at = grown;
  s->at[s->n++] = keep(text);
}

/* Keeps the descriptors free that a worker's own will be put to: what the app opens must not get one of these numbers. */
static void reserve(int files) {
  if (files < 1 || files > FILES_MAX) fail(TELL_BAD_START, "a worker can't be given so many descriptors");
  settings.files = files;
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) fail_errno(TELL_BAD_START, "/dev/null");
  for (int fd = TEMPLATE_FD + 1; fd < TEMPLATE_FD + files; fd++)
    if (fd != null && dup3(null, fd, O_CLOEXEC) < 0) fail_errno(TELL_BAD_START, "a descriptor for a worker");
  if (null >= TEMPLATE_FD + files) close(null);
}

static void read_settings(void) {
  ph_start_options *o = &settings.start;
  for (;;) {
    int fds[FILES_MAX], nfds;
    receive(fds, &nfds);
    char *text = packet + 1;
    switch (packet[0]) {
    case SET_FILES: reserve(atoi(text)); break;
    case SET_LIBRARY: settings.library = keep(text); break;
    case SET_EXECUTABLE: o->python = keep(text); break;
    case SET_ARG: add(&settings.args, text); break;
    case SET_DIR: o->dir = keep(text); break;
    case SET_HOST: o->helper = keep(text); break;
    case SET_API: o->api = keep(text); break;
    case SET_PRELOAD: settings.preload = keep(text); break;
    case SET_ASK:
      add(&settings.functions, text);
      add(&settings.texts, text + strlen(text) + 1);
      break;
    case SET_APP:
      add(&settings.prefixes, text);
      add(&settings.specs, text + strlen(text) + 1);
      break;
    case SET_WARM: add(&settings.paths, text); break;
    case SET_FORCE: settings.force = true; break;
    case SET_MULTIPROCESS: o->multiprocess = 1; break;
    case SET_GO: o->args = settings.args.at, o->nargs = settings.args.n; return;
    }
  }
}

static void import_apps(void) {
  if (chdir(settings.start.dir) != 0) fail_errno(TELL_BAD_FOLDER, settings.start.dir);
  ph_load_error library;
  if (ph_load(settings.library, &library) != 0) {
    tell(TELL_BAD_LIBRARY, 3, library.symbol, library.version, library.reason);
    _exit(1);
  }
  settings.start.spool_dir = ""; /* the workers' own, when they adopt */
  char *error = ph_preload_start(&settings.start, settings.preload, tell_log);
  if (error) fail(TELL_BAD_START, error);
  ph_app_error e;
  for (int i = 0; i < settings.functions.n; i++)
    if (ph_preload_ask(settings.functions.at[i], settings.texts.at[i], &e) != 0) fail_app(settings.functions.at[i], &e);
  for (int i = 0; i < settings.specs.n; i++)
    if (ph_preload_app(settings.prefixes.at[i], settings.specs.at[i], &e) != 0) fail_app(settings.specs.at[i], &e);
  for (int i = 0; i < settings.paths.n; i++) {
    char *spec;
    if (ph_preload_warm(settings.paths.at[i], &spec, &e) != 0) fail_app(spec, &e);
  }
  char *threads = ph_preload_seal(&e);
  if (!threads) fail_app(NULL, &e);
  if (*threads) {
    char text[4096];
    snprintf(text, sizeof text,
             "its import left threads running, which a forked worker would not have: %.3000s; start them in a gowsgi.postfork "
             "function, or "
             "give --preload=force",
             threads);
    if (!settings.force) fail_app(NULL, &(ph_app_error){.reason = text});
    tell_log(4, text, strlen(text));
  }
  free(threads);
}

/* Puts a worker's descriptors to their numbers, in place of the template's socket and of what was kept free. */
static bool place(const int *fds, int n) {
  for (int i = 0; i < n; i++)
    if (dup3(fds[i], TEMPLATE_FD + i, O_CLOEXEC) < 0) return false;
  for (int i = 0; i < n; i++) close(fds[i]);
  return true;
}

/* True in the worker. */
static bool fork_worker(const int *fds, int n, const char *as) {
  char text[256];
  if (n != settings.files) {
    snprintf(text, sizeof text, "%d descriptors came, %d were announced", n, settings.files);
    tell(TELL_NOT_FORKED, 1, text);
    goto done;
  }
  int pid = ph_preload_fork();
  if (pid < 0) {
    snprintf(text, sizeof text, "fork: %s", strerror(errno));
    tell(TELL_NOT_FORKED, 1, text);
  } else if (pid > 0) {
    snprintf(text, sizeof text, "%d", pid);
    tell(TELL_FORKED, 1, text);
  } else {
    ph_fd_own(TEMPLATE_FD, 0);
    setpgid(0, 0);
    rename_process(as);
    char *error = place(fds, n) ? ph_preload_leave() : strdup(strerror(errno));
    if (!error) return true;
    dprintf(STDERR_FILENO, "gowsgi: a worker can't be forked from the template: %s\n", error ? error : "no memory");
    _exit(1);
  }
done:
  for (int i = 0; i < n; i++) close(fds[i]);
  return false;
}

/* While the apps are imported nobody reads the socket, and the import may hang: without its master the process is ended by the kernel. Nothing
 * else arrives in that time. */
static void end_with_master(bool on) {
  int flags = fcntl(TEMPLATE_FD, F_GETFL);
  if (on) {
    fcntl(TEMPLATE_FD, F_SETOWN, getpid());
    fcntl(TEMPLATE_FD, F_SETSIG, SIGKILL);
  }
  fcntl(TEMPLATE_FD, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC);
  struct pollfd p = {.fd = TEMPLATE_FD, .events = POLLIN};
  if (poll(&p, 1, 0) > 0) _exit(0); /* it was gone before */
}

__attribute__((constructor)) static void template_main(void) {
  if (!is_template()) return;
  name_len = strlen(name);
  rename_process(TEMPLATE_NAME);
  fcntl(TEMPLATE_FD, F_SETFD, FD_CLOEXEC);
  ph_fd_own(TEMPLATE_FD, 1);
  read_settings();
  end_with_master(true);
  import_apps();
  end_with_master(false);
  tell(TELL_READY, 0);
  for (;;) {
    int fds[FILES_MAX], n;
    ph_preload_wait(TEMPLATE_FD);
    receive(fds, &n);
    if (packet[0] == ORDER_FORK && fork_worker(fds, n, packet + 1)) return;
  }
}
