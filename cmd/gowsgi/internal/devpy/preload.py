"""What the template of gowsgi dev imports, so that its workers need not: modules that are not the project's, and do not depend on it.

It runs as the module _gowsgi_dev_preload on CPython 3.9 and newer, on Python's main thread.

A module that was imported in the worker is not for the template where its import there would end otherwise than in a worker, or leaves
what processes can't share: where it imports the project, asks for Django's settings or for a variable of the environment that the project
sets, fails, starts a thread, keeps a file or a socket open, or sets a signal's handler. So are those that import it. By the time that
this is known it is in other modules, therefore such an attempt is given up, and a new process is to begin without these modules.
"""

import builtins
import contextlib
import importlib
import importlib.machinery
import json
import os
import signal
import sys

import _gowsgi_host as host


def preload(text):
    """Imports modules. Raises where some must not be imported here: their names, a line each."""
    wanted = json.loads(text)
    attempt = _Attempt(set(wanted["Own"] or ()), set(wanted["Skip"] or ()), set(wanted["Environ"] or ()))
    modules = [name for name in wanted["Modules"] or () if name not in attempt.skip]
    with _silence(), attempt:
        if "django.conf" in modules:
            modules.insert(0, "django.conf")  # whose users are then seen
        for name in modules:
            attempt.load(name)
    refused = attempt.result()
    if refused:
        raise RuntimeError("\n".join(sorted(refused)))
    if "numpy.random.mtrand" in sys.modules:
        os.register_at_fork(after_in_child=sys.modules["numpy.random.mtrand"].seed)  # else all workers draw the same numbers
    return ""


@contextlib.contextmanager
def _silence():
    """Has nothing written to standard output and standard error: modules say the same in the worker that imported them first."""
    _flush()
    kept = os.dup(1), os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        os.dup2(null, 2)
        yield
    finally:
        _flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for fd in (*kept, null):
            os.close(fd)


def _flush():
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


class _Attempt:
    """An attempt to import modules."""

    def __init__(self, own, skip, environ):
        self.skip = skip
        self._own, self._environ = own, environ
        self._refused = set()
        self._imports = {}  # what each module imports while it is executed
        self._loading = []  # modules that are being executed, the innermost last
        self._asked = {}  # modules by the variable that they asked for
        self._undo = contextlib.ExitStack()

    def __enter__(self):
        extension = importlib.machinery.ExtensionFileLoader
        self._replace(importlib._bootstrap_external._LoaderBasics, "exec_module", self._watched)  # of sources and of bytecode
        self._replace(extension, "create_module", self._watched)
        self._replace(extension, "exec_module", self._watched)
        self._replace(builtins, "__import__", self._watched_import)
        self._replace(type(os.environ), "__getitem__", self._watched_environ)
        self._before = dict(os.environ)
        project, settings = sys.path.pop(0), os.environ.pop("DJANGO_SETTINGS_MODULE", None)
        self._undo.callback(sys.path.insert, 0, project)
        if settings is not None:
            self._undo.callback(os.environ.__setitem__, "DJANGO_SETTINGS_MODULE", settings)
        sys.meta_path.insert(0, self)
        self._undo.callback(sys.meta_path.remove, self)
        self._state = _state()
        return self

    def __exit__(self, *_):
        self._undo.close()

    def _replace(self, kind, name, wrapped):
        original = getattr(kind, name)
        setattr(kind, name, wrapped(original))
        self._undo.callback(setattr, kind, name, original)

    def load(self, name):
        if name in sys.modules:
            return
        try:
            importlib.import_module(name)
        except BaseException as e:
            if os.getpid() != host._PID:
                raise
            if not isinstance(e, ModuleNotFoundError) or e.name != name:  # else another module makes it
                self._refused.add(name)
        if name == "django.conf":
            self._watch_settings(sys.modules.get(name))

    def find_spec(self, name, path=None, target=None):
        """Lets nobody import the project's modules, which are to be new in each worker, and those that were refused."""
        if name.partition(".")[0] in self._own or name in self.skip:
            self._refuse()
            raise ModuleNotFoundError("%s is not to be imported here" % name, name=name)
        return None

    def _refuse(self):
        self._refused.update(self._loading)

    def _watched(self, load):
        """A loader's method that notices what a module does."""

        def watched(loader, module):  # or its spec
            self._loading.append(getattr(module, "__name__", None) or module.name)
            try:
                return load(loader, module)
            finally:
                state = _state()
                if any(new - old for new, old in zip(state, self._state)):
                    self._refuse()
                self._state = state
                self._loading.pop()

        return watched

    def _watched_import(self, load):
        def watched(name, globals=None, locals=None, fromlist=(), level=0):
            if self._loading:
                self._note(name, globals or {}, fromlist or (), level)
            return load(name, globals, locals, fromlist, level)

        return watched

    def _note(self, name, namespace, fromlist, level):
        if level > 0:
            package = str(namespace.get("__package__") or "").split(".")
            name = ".".join(package[: len(package) - level + 1] + [name]).rstrip(".")
        imports = self._imports.setdefault(self._loading[-1], set())  # not the namespace's name: that may be a helper's, such as pkgutil
        imports.update("%s.%s" % (name, part) for part in fromlist)
        while name:
            imports.add(name)
            name = name.rpartition(".")[0]  # which is imported before

    def _watch_settings(self, conf):
        """A module that asks for Django's settings may find that there are none, and remember that."""
        kind = getattr(conf, "LazySettings", None)
        if kind is None:
            return

        def setup(original):
            def asked(settings, name=None):
                self._refuse()
                return original(settings, name)

            return asked

        def configured(original):
            def asked(settings):
                self._refuse()
                return original.fget(settings)

            return property(asked)

        self._replace(kind, "_setup", setup)
        self._replace(kind, "configured", configured)

    def _watched_environ(self, get):
        def watched(environ, name):
            if name in self._environ:
                self._asked.setdefault(name, set()).update(self._loading)
            return get(environ, name)

        return watched

    def result(self):
        """The names of modules that must not be imported here, and of those that import them."""
        for name, modules in self._asked.items():
            if os.environ.get(name) == self._before.get(name):  # else a module sets it, not the project
                self._refused.update(modules)
        found, more = self._refused, True
        while more:
            before = len(found)
            found |= {name for name, imports in self._imports.items() if not imports.isdisjoint(found)}
            more = len(found) > before
        return found


def _state():
    """What a fork would lose, or processes would share: threads, open files, handlers of signals."""
    return (
        set(os.listdir("/proc/self/task")),
        set(os.listdir("/proc/self/fd")),
        {(number, signal.getsignal(number)) for number in signal.valid_signals()},
    )
