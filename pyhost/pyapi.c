/* Loading libpython: dlopen, and one dlsym for each row of PYAPI. */
#define _GNU_SOURCE
#include "interp.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ph_pyapi py;

/* The oldest version served: 3.9. */
enum { MIN_MINOR = 9 };

/* Unloads: with another libpython loaded later, extension modules would find this one's functions first. */
static int refuse(void *lib, ph_load_error *e, const char *symbol, const char *version, const char *reason) {
  e->symbol = symbol ? strdup(symbol) : NULL;
  e->version = version ? strdup(version) : NULL;
  e->reason = reason ? strdup(reason) : NULL;
  if (lib) dlclose(lib);
  return -1;
}

int ph_load(const char *path, ph_load_error *e) {
  memset(e, 0, sizeof *e);
  /* RTLD_GLOBAL: extension modules are not linked with libpython and look its symbols up in the global scope. */
  void *lib = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!lib) return refuse(NULL, e, NULL, NULL, dlerror());

  const char *version = NULL;
  struct ph_pyapi found;
  memset(&found, 0, sizeof found);
#define PYAPI_RESOLVE(ret, name, args) found.name = (ret(*) args)dlsym(lib, #name);
#define PYAPI_CHECK(ret, name, args) \
  if (!found.name) return refuse(lib, e, #name, version, NULL);

  PYAPI(PYAPI_RESOLVE)
  if (found.Py_GetVersion) version = found.Py_GetVersion(); /* one of the few that may be called before CPython starts */
  int major = 0, minor = 0;
  if (version && sscanf(version, "%d.%d", &major, &minor) == 2 && (major != 3 || minor < MIN_MINOR))
    return refuse(lib, e, NULL, version, "CPython 3.9 or newer is needed");
  PYAPI(PYAPI_CHECK)
  py = found;
  return 0;
#undef PYAPI_RESOLVE
#undef PYAPI_CHECK
}
