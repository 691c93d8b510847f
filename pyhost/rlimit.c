/* The limit on descriptors. Go raises the soft RLIMIT_NOFILE of its process before main runs. The server wants that; what the app starts
 * must not see it: programs that use select(), or close every possible descriptor, rely on the limit they were meant to have.
 *
 * fork.c lowers it in processes that the app forks. A program started by the subprocess module never runs code of ours, so execve and execv
 * are defined here: the dynamic linker finds the executable's before libc's, and CPython's calls come by. Go's own os/exec does the same in
 * its own way and does not come here. Not covered: os.system and os.posix_spawn, which exec from inside libc. */
#define _GNU_SOURCE
#include "interp.h"
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct rlimit original;
static bool known;

/* The linker runs this before the Go runtime starts. */
__attribute__((constructor)) static void note_limit(void) { known = getrlimit(RLIMIT_NOFILE, &original) == 0; }

void ph_rlimit_restore(void) {
  struct rlimit now;
  if (!known || getrlimit(RLIMIT_NOFILE, &now) != 0) return;
  /* Go sets the soft limit to one below the hard one, so that a limit which somebody else chose can be told from its own. */
  if (now.rlim_cur != now.rlim_max - 1 || now.rlim_cur <= original.rlim_cur) return;
  now.rlim_cur = original.rlim_cur;
  setrlimit(RLIMIT_NOFILE, &now);
}

/* Both may run in the child of a vfork, on its parent's memory: only system calls from here on. The limit is then the child's own. Where
 * execve fails the process goes on with the limit that it was meant to have. */
__attribute__((visibility("default"))) int execve(const char *path, char *const argv[], char *const envp[]) {
  ph_rlimit_restore();
  return (int)syscall(SYS_execve, path, argv, envp);
}

__attribute__((visibility("default"))) int execv(const char *path, char *const argv[]) { return execve(path, argv, environ); }
