/* The part of CPython's C API that the host uses, resolved with dlsym when libpython is loaded.
 *
 * One list (PYAPI) is the single truth: it makes the table's fields, fills them and names what is missing. Only functions, no data
 * symbols, and no struct of CPython's but the by-value types below, so that one binary serves every CPython of the same libc. */
#ifndef PYHOST_PYAPI_H
#define PYHOST_PYAPI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <wchar.h>

typedef struct _object PyObject;
typedef struct _ts PyThreadState;
typedef ssize_t Py_ssize_t;
typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef struct {
  const char *ml_name;
  PyCFunction ml_meth;
  int ml_flags;
  const char *ml_doc;
} PyMethodDef;
typedef struct {
  int slot;
  void *pfunc;
} PyType_Slot;
typedef struct {
  const char *name;
  int basicsize;
  int itemsize;
  unsigned int flags;
  PyType_Slot *slots;
} PyType_Spec;
typedef struct {
  int type; /* 0 ok, 1 error, 2 exit */
  const char *func;
  const char *err_msg;
  int exitcode;
} PyStatus;

#define METH_VARARGS 0x0001
#define METH_KEYWORDS 0x0002
#define METH_NOARGS 0x0004
#define METH_O 0x0008
#define METH_FASTCALL 0x0080
/* Slot numbers of typeslots.h: fixed by the stable ABI. */
#define Py_tp_call 50
#define Py_tp_iter 62
#define Py_tp_iternext 63
#define Py_tp_methods 64
#define Py_TPFLAGS_DEFAULT (1UL << 18)

/* X(return type, name, arguments): present in every libpython from 3.9 on. */
#define PYAPI(X)                                                                     \
  X(const char *, Py_GetVersion, (void))                                             \
  X(void, PyConfig_InitPythonConfig, (void *))                                       \
  X(PyStatus, PyConfig_SetBytesArgv, (void *, Py_ssize_t, char *const *))            \
  X(void, PyConfig_Clear, (void *))                                                  \
  X(PyStatus, Py_InitializeFromConfig, (const void *))                               \
  X(PyThreadState *, PyEval_SaveThread, (void))                                      \
  X(void, PyEval_RestoreThread, (PyThreadState *))                                   \
  X(int, PyErr_CheckSignals, (void))                                                 \
  X(void, PyOS_BeforeFork, (void))                                                   \
  X(void, PyOS_AfterFork_Parent, (void))                                             \
  X(void, PyOS_AfterFork_Child, (void))                                              \
  X(PyObject *, PyImport_ImportModule, (const char *))                               \
  X(PyObject *, PyImport_AddModule, (const char *))                                  \
  X(PyObject *, PyModule_GetDict, (PyObject *))                                      \
  X(PyObject *, Py_CompileString, (const char *, const char *, int))                 \
  X(PyObject *, PyEval_EvalCode, (PyObject *, PyObject *, PyObject *))               \
  X(PyObject *, PyEval_GetBuiltins, (void))                                          \
  X(PyObject *, PyObject_GetAttrString, (PyObject *, const char *))                  \
  X(PyObject *, PyObject_GetAttr, (PyObject *, PyObject *))                          \
  X(PyObject *, PyObject_CallObject, (PyObject *, PyObject *))                       \
  X(PyObject *, PyObject_CallFunctionObjArgs, (PyObject *, ...))                     \
  X(PyObject *, PyObject_GetIter, (PyObject *))                                      \
  X(PyObject *, PyObject_Str, (PyObject *))                                          \
  X(PyObject *, PyObject_Type, (PyObject *))                                         \
  X(int, PyObject_IsTrue, (PyObject *))                                              \
  X(int, PyObject_IsInstance, (PyObject *, PyObject *))                              \
  X(Py_ssize_t, PyObject_Size, (PyObject *))                                         \
  X(PyObject *, PyIter_Next, (PyObject *))                                           \
  X(PyObject *, PyErr_Occurred, (void))                                              \
  X(void, PyErr_Clear, (void))                                                       \
  X(void, PyErr_SetString, (PyObject *, const char *))                               \
  X(void, PyErr_SetObject, (PyObject *, PyObject *))                                 \
  X(PyObject *, PyErr_Format, (PyObject *, const char *, ...))                       \
  X(PyObject *, PyErr_NoMemory, (void))                                              \
  X(PyObject *, PyErr_SetFromErrno, (PyObject *))                                    \
  X(int, PyErr_ExceptionMatches, (PyObject *))                                       \
  X(void, PyErr_Fetch, (PyObject **, PyObject **, PyObject **))                      \
  X(void, PyErr_NormalizeException, (PyObject **, PyObject **, PyObject **))         \
  X(int, PyException_SetTraceback, (PyObject *, PyObject *))                         \
  X(void, Py_IncRef, (PyObject *))                                                   \
  X(void, Py_DecRef, (PyObject *))                                                   \
  X(PyObject *, PyDict_New, (void))                                                  \
  X(PyObject *, PyDict_Copy, (PyObject *))                                           \
  X(int, PyDict_SetItem, (PyObject *, PyObject *, PyObject *))                       \
  X(int, PyDict_SetItemString, (PyObject *, const char *, PyObject *))               \
  X(PyObject *, PyDict_GetItemString, (PyObject *, const char *))                    \
  X(PyObject *, PyUnicode_DecodeLatin1, (const char *, Py_ssize_t, const char *))    \
  X(PyObject *, PyUnicode_DecodeFSDefault, (const char *))                           \
  X(PyObject *, PyUnicode_FromString, (const char *))                                \
  X(PyObject *, PyUnicode_InternFromString, (const char *))                          \
  X(void, PyUnicode_InternInPlace, (PyObject **))                                    \
  X(const char *, PyUnicode_AsUTF8AndSize, (PyObject *, Py_ssize_t *))               \
  X(PyObject *, PyUnicode_AsEncodedString, (PyObject *, const char *, const char *)) \
  X(int, PyBytes_AsStringAndSize, (PyObject *, char **, Py_ssize_t *))               \
  X(PyObject *, PyBytes_FromStringAndSize, (const char *, Py_ssize_t))               \
  X(char *, PyBytes_AsString, (PyObject *))                                          \
  X(int, _PyBytes_Resize, (PyObject **, Py_ssize_t))                                 \
  X(PyObject *, PyCFunction_NewEx, (PyMethodDef *, PyObject *, PyObject *))          \
  X(PyObject *, PyList_New, (Py_ssize_t))                                            \
  X(Py_ssize_t, PyList_Size, (PyObject *))                                           \
  X(PyObject *, PyList_GetItem, (PyObject *, Py_ssize_t))                            \
  X(int, PyList_Append, (PyObject *, PyObject *))                                    \
  X(PyObject *, PyTuple_New, (Py_ssize_t))                                           \
  X(Py_ssize_t, PyTuple_Size, (PyObject *))                                          \
  X(PyObject *, PyTuple_GetItem, (PyObject *, Py_ssize_t))                           \
  X(int, PyTuple_SetItem, (PyObject *, Py_ssize_t, PyObject *))                      \
  X(PyObject *, PyBool_FromLong, (long))                                             \
  X(PyObject *, PyLong_FromLong, (long))                                             \
  X(long, PyLong_AsLong, (PyObject *))                                               \
  X(long long, PyLong_AsLongLong, (PyObject *))                                      \
  X(double, PyFloat_AsDouble, (PyObject *))                                          \
  X(Py_ssize_t, PyNumber_AsSsize_t, (PyObject *, PyObject *))                        \
  X(PyObject *, PySys_GetObject, (const char *))                                     \
  X(int, PyThreadState_SetAsyncExc, (unsigned long, PyObject *))                     \
  X(PyObject *, PyType_FromSpec, (PyType_Spec *))                                    \
  X(PyObject *, PyType_GenericAlloc, (PyObject *, Py_ssize_t))

/* The table. Calls read py.PyDict_Copy(d). A struct and not globals of the same names: a global would be exported by the executable and
 * take the place of the real function for every extension module. Filled once by ph_load, before any other thread runs; never changed. */
struct ph_pyapi {
#define PYAPI_FIELD(ret, name, args) ret(*name) args;
  PYAPI(PYAPI_FIELD)
#undef PYAPI_FIELD
};
extern struct ph_pyapi py __attribute__((visibility("hidden")));

#define PY_XDECREF(o)                     \
  do {                                    \
    PyObject *xdecref_ = (o);             \
    if (xdecref_) py.Py_DecRef(xdecref_); \
  } while (0)

#endif
