/* CPython's start, as the command `python -c ""` has it, and the helpers of all files. */
#define _GNU_SOURCE
#include "interp.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The host never looks into a PyConfig: its layout differs from version to version. 392 to 456 bytes are in use from 3.9 to 3.14. */
static _Alignas(64) char config[64 << 10];

enum { Py_file_input = 257, MAX_ARGS = 8 };

PyObject *ph_exc_BaseException, *ph_exc_RuntimeError, *ph_exc_TypeError, *ph_exc_ValueError, *ph_exc_OSError,
    *ph_exc_AssertionError, *ph_exc_SystemExit, *ph_none;

static PyObject *helpers; /* the dict of py/host.py; kept for the life of the process */

static char *status_text(const char *doing, PyStatus st) {
  char *text = NULL;
  int n;
  if (st.type == 2)
    n = asprintf(
        &text, "%s: Python ended with exit status %d instead of starting, as it does for -h, -V or an option that it does not know",
        doing, st.exitcode);
  else
    n = asprintf(&text, "%s: %s%s%s", doing, st.func ? st.func : "", st.func ? ": " : "",
                 st.err_msg ? st.err_msg : "unknown error");
  return n < 0 ? strdup("no memory") : text;
}

/* python [args...] -c "": CPython's own parser then finds the virtualenv, reads PYTHON* variables and options, and chooses encodings and
 * locale. Py_InitializeEx would do none of the last three, and end the process on an error. */
static char *initialize(const ph_start_options *o) {
  int n = o->nargs + 3;
  char **argv = calloc((size_t)n + 1, sizeof *argv);
  if (!argv) return strdup("no memory");
  argv[0] = (char *)o->python;
  if (o->nargs) memcpy(argv + 1, o->args, (size_t)o->nargs * sizeof *argv);
  argv[n - 2] = "-c";
  argv[n - 1] = "";

  py.PyConfig_InitPythonConfig(config);
  char *error = NULL;
  PyStatus st = py.PyConfig_SetBytesArgv(config, n, argv);
  if (st.type != 0) {
    error = status_text("the command line", st);
    goto done;
  }
  st = py.Py_InitializeFromConfig(config);
  if (st.type != 0) error = status_text("CPython's start", st);
done:
  py.PyConfig_Clear(config);
  free(argv);
  return error;
}

static int find_builtins(void) {
  static const struct {
    PyObject **to;
    const char *name;
  } names[] = {{&ph_exc_BaseException, "BaseException"},
               {&ph_exc_RuntimeError, "RuntimeError"},
               {&ph_exc_TypeError, "TypeError"},
               {&ph_exc_ValueError, "ValueError"},
               {&ph_exc_OSError, "OSError"},
               {&ph_exc_AssertionError, "AssertionError"},
               {&ph_exc_SystemExit, "SystemExit"},
               {&ph_none, "None"}};
  PyObject *builtins = py.PyImport_ImportModule("builtins");
  if (!builtins) return -1;
  int rc = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names && rc == 0; i++)
    if (!(*names[i].to = py.PyObject_GetAttrString(builtins, names[i].name))) rc = -1;
  py.Py_DecRef(builtins);
  return rc;
}

int ph_helpers_add(const char *text, const char *file) {
  PyObject *code = py.Py_CompileString(text, file, Py_file_input), *r = NULL;
  if (code) r = py.PyEval_EvalCode(code, helpers, helpers);
  int rc = r ? 0 : -1;
  PY_XDECREF(code);
  PY_XDECREF(r);
  return rc;
}

/* Runs py/host.py as a module of a name that no app uses. */
static int load_helpers(const char *text) {
  PyObject *name = NULL;
  PyObject *module = py.PyImport_AddModule("_gowsgi_host"); /* borrowed; sys.modules holds it */
  if (!module) return -1;
  helpers = py.PyModule_GetDict(module);
  py.Py_IncRef(helpers);
  int rc = -1;
  if (!(name = py.PyUnicode_FromString("<gowsgi>/host.py")) || py.PyDict_SetItemString(helpers, "__file__", name) != 0) goto done;
  if (py.PyDict_SetItemString(helpers, "__builtins__", py.PyEval_GetBuiltins()) != 0 || ph_errlog_init(helpers) != 0 ||
      ph_request_id_init(helpers) != 0)
    goto done;
  rc = ph_helpers_add(text, "<gowsgi>/host.py");
done:
  PY_XDECREF(name);
  return rc;
}

static int prepare(const ph_start_options *o) {
  /* threading takes the thread that imports it for the main one (up to 3.12): this one, before a view can. */
  PyObject *threading = py.PyImport_ImportModule("threading"), *dir = NULL, *api = NULL, *r = NULL, *installed = NULL;
  int rc = -1;
  if (!threading || find_builtins() != 0 || load_helpers(o->helper) != 0) goto done;
  if (!(dir = py.PyUnicode_DecodeFSDefault(o->dir)) || !(r = ph_helper_call("prepare", dir, NULL))) goto done;
  if (!(api = py.PyUnicode_FromString(o->api)) || !(installed = ph_helper_call("install", api, NULL))) goto done;
  if (ph_signals_pretend() != 0 || ph_fork_init() != 0 || ph_request_init() != 0) goto done;
  rc = 0;
done:
  PY_XDECREF(threading);
  PY_XDECREF(dir);
  PY_XDECREF(api);
  PY_XDECREF(r);
  PY_XDECREF(installed);
  return rc;
}

bool ph_spool_set(const ph_start_options *o) {
  char *dir = strdup(o->spool_dir);
  if (!dir) return false;
  ph_spool_dir = dir;
  ph_spool_limit = o->spool_limit;
  return true;
}

char *ph_python_start(const ph_start_options *o) {
  if (!ph_spool_set(o)) return strdup("no memory");
  ph_multiprocess = o->multiprocess != 0;
  char *error = initialize(o);
  if (error) return error;
  if (prepare(o) == 0) return NULL;
  char *text = ph_exception_text();
  if (asprintf(&error, "the host's own start in Python failed\n%s", text ? text : "no memory") < 0) error = strdup("no memory");
  free(text);
  return error;
}

PyObject *ph_helper(const char *name) {
  PyObject *o = py.PyDict_GetItemString(helpers, name);
  if (!o) py.PyErr_Format(ph_exc_RuntimeError, "the host has no helper %s", name);
  return o;
}

PyObject *ph_helper_call(const char *name, ...) {
  PyObject *fn = ph_helper(name), *args = NULL, *r = NULL, *list[MAX_ARGS];
  if (!fn) return NULL;
  int n = 0;
  va_list ap;
  va_start(ap, name);
  for (PyObject *a; n < MAX_ARGS && (a = va_arg(ap, PyObject *)); n++) list[n] = a;
  va_end(ap);
  if (!(args = py.PyTuple_New(n))) return NULL;
  for (int i = 0; i < n; i++) {
    py.Py_IncRef(list[i]);
    py.PyTuple_SetItem(args, i, list[i]); /* takes the reference */
  }
  r = py.PyObject_CallObject(fn, args);
  py.Py_DecRef(args);
  return r;
}

char *ph_text(PyObject *o, size_t *len) {
  /* backslashreplace: a str may hold lone surrogates (file names), which have no UTF-8. */
  PyObject *bytes = py.PyUnicode_AsEncodedString(o, "utf-8", "backslashreplace");
  char *data, *out = NULL;
  Py_ssize_t n;
  if (!bytes) return NULL;
  if (py.PyBytes_AsStringAndSize(bytes, &data, &n) == 0) {
    if (!(out = malloc((size_t)n + 1)))
      py.PyErr_NoMemory();
    else
      memcpy(out, data, (size_t)n + 1);
    if (out && len) *len = (size_t)n;
  }
  py.Py_DecRef(bytes);
  return out;
}

char *ph_exception_text(void) {
  PyObject *type = NULL, *value = NULL, *tb = NULL, *text = NULL, *name = NULL;
  char *out = NULL;
  py.PyErr_Fetch(&type, &value, &tb);
  if (!type) return strdup("no exception was set");
  py.PyErr_NormalizeException(&type, &value, &tb);
  if (tb && value) py.PyException_SetTraceback(value, tb);
  if (helpers) text = ph_helper_call("format_exception", type, value ? value : ph_none, tb ? tb : ph_none, NULL);
  if (text) out = ph_text(text, NULL);
  if (!out) {
    /* Out of memory or of stack even for the traceback: the type's name must do. */
    py.PyErr_Clear();
    if ((name = py.PyObject_Str(type))) out = ph_text(name, NULL);
  }
  py.PyErr_Clear();
  PY_XDECREF(text);
  PY_XDECREF(name);
  PY_XDECREF(type);
  PY_XDECREF(value);
  PY_XDECREF(tb);
  return out ? out : strdup("an exception that can't be shown (no memory)");
}

/* Finds a value in a slot's record. */
static const char *record_find(const ph_slot *s, const char *key, uint32_t *len) {
  size_t want = strlen(key);
  for (uint32_t at = 0; s->rec_len - at >= 8;) {
    uint32_t k, v;
    memcpy(&k, s->rec + at, 4);
    memcpy(&v, s->rec + at + 4, 4);
    at += 8;
    if (s->rec_len - at < (uint64_t)k + v) break;
    if (k == want && memcmp(s->rec + at, key, k) == 0) {
      *len = v;
      return s->rec + at + k;
    }
    at += k + v;
  }
  *len = 0;
  return NULL;
}

/* Long targets are cut: they are there to be found again, not to fill the log. */
enum { SHOWN = 200 };

void ph_log_exception(ph_slot *s, const char *what) {
  char *text = ph_exception_text(), *line = NULL;
  int n;
  if (s) {
    uint32_t ml, ul;
    const char *method = record_find(s, "REQUEST_METHOD", &ml), *url = record_find(s, "RAW_URI", &ul);
    if (!url) url = record_find(s, "PATH_INFO", &ul);
    uint32_t il;
    const char *id = ph_request_id(s, &il);
    n = asprintf(&line, "%s: %.*s %.*s%s%.*s\n%s", what, (int)ml, method ? method : "", ul < SHOWN ? (int)ul : SHOWN,
                 url ? url : "", id ? " request_id=" : "", (int)il, id ? id : "", text ? text : "no memory");
  } else {
    n = asprintf(&line, "%s\n%s", what, text ? text : "no memory");
  }
  if (n < 0)
    ph_log(8, s ? (int)s->id : -1, what, strlen(what));
  else
    ph_log(8, s ? (int)s->id : -1, line, (size_t)n);
  if (n >= 0) free(line);
  free(text);
}
