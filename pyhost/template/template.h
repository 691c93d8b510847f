/* What Go sees of the template's C: the letters with which packets on its socket begin, and whether this process was forked from one. */
#ifndef TEMPLATE_H
#define TEMPLATE_H

enum {
  TEMPLATE_FD = 3,          /* the template's socket; a worker's first descriptor of its own is put there */
  TEMPLATE_PACKET = 150000, /* bytes of one packet at most: a socket's usual buffer holds it */
};
#define TEMPLATE_NAME "gowsgi: template"

/* To the template. Settings, a packet each, then SET_GO; fields are ended by a NUL. */
enum {
  SET_FILES = 'n',        /* how many descriptors a worker gets, in decimal: they are kept free from the start */
  SET_LIBRARY = 'l',      /* libpython */
  SET_EXECUTABLE = 'x',   /* the python as which CPython starts */
  SET_ARG = 'a',          /* one of its options */
  SET_DIR = 'd',          /* current folder, first on sys.path */
  SET_HOST = 'h',         /* the text of host.py */
  SET_API = 'i',          /* the text of gowsgi.py */
  SET_PRELOAD = 'p',      /* the text of preload.py */
  SET_ASK = 'k',          /* function, text: called before the apps are imported */
  SET_APP = 's',          /* prefix, spec */
  SET_WARM = 'w',         /* a path to ask for */
  SET_FORCE = 'f',        /* go on where the app has threads */
  SET_MULTIPROCESS = 'm', /* wsgi.multiprocess */
  SET_GO = 'g',
  ORDER_FORK = 'F', /* the worker's name; with its descriptors */
};
/* From the template. */
enum {
  TELL_LOG = 'L',         /* level in decimal, text */
  TELL_BAD_LIBRARY = 'B', /* symbol, version, reason: what a ph_load_error says */
  TELL_BAD_START = 'S',   /* reason */
  TELL_BAD_APP = 'A',     /* spec, reason, traceback */
  TELL_BAD_FOLDER = 'D',  /* reason */
  TELL_READY = 'R',
  TELL_FORKED = 'P',     /* process id in decimal */
  TELL_NOT_FORKED = 'N', /* reason */
};

/* Whether CPython was started, and the apps imported, before this process was forked. */
int template_adopted(void);
/* Python's main thread, from now on: does not return. Thread: the process's first. */
int template_run(void);

#endif
