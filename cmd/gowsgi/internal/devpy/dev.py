"""gowsgi dev's part in a worker: it loads the app, puts what a developer needs around it, and says what to watch.

It runs as the module _gowsgi_dev on CPython 3.9 and newer. Its functions take and give JSON; see devpy.go.
"""

import importlib
import json
import os
import sys
import sysconfig
import threading

import _gowsgi_dev_errors as errors
import _gowsgi_dev_pages as pages
import _gowsgi_host as host

_settings = {"Generation": 0, "Dir": "", "Inject": True, "Static": None, "Broken": ""}
_apps = []  # as they were found
_broken = ""  # why one can't be loaded, in one line
_missing = ""  # the module that is not installed, if that is why
_folders = {}  # those of the project's modules, and the sources that were in them when the app was loaded
_at_prompt = 0  # threads that are in a debugger's prompt, or wait for it
_prompt = threading.RLock()


class AppNotFound(Exception):
    """There is no app where one was expected."""


class WorkerEnded(Exception):
    """The process ended while it imported the app."""


def configure(text):
    _settings.update(json.loads(text))
    return ""


# ---- loading ----------------------------------------------------------------------------------------------------------------------


def load(spec, find):
    """Returns the app with all that goes around it, or one that shows why there is none."""
    global _broken, _missing
    pid = os.getpid()
    try:
        if _settings["Broken"]:
            raise WorkerEnded(_settings["Broken"])
        app = find(spec)
    except BaseException as e:
        if os.getpid() != pid:
            raise
        if isinstance(e, host._Refused):
            e = AppNotFound(str(e))
        report = errors.report(e, "import", _settings["Dir"], spec)
        _broken = "%s: %s" % (type(e).__name__, e)
        if isinstance(e, ModuleNotFoundError):
            _missing = (e.name or "").partition(".")[0]
        sys.stderr.write(errors.text(report).rstrip("\n") + "\n")
        return _Broken(report)
    _apps.append(app)
    app = pages.sql(pages.static(app), _warn)
    if _settings["Inject"]:
        app = pages.inject(app, tag)
    return _Guarded(app, spec)


host.loader = load


def tag(nonce=""):
    """The script that loads a page anew when its files change."""
    nonce = ' nonce="%s"' % nonce if nonce else ""
    return '<script src="/__gowsgi__/dev.js" data-generation="%d"%s defer=""></script>' % (_settings["Generation"], nonce)


def _warn(text):
    sys.stderr.write(text + "\n")


class _Broken:
    """An app in place of one that can't be loaded."""

    def __init__(self, report):
        self._report = report

    def __call__(self, environ, start_response):
        return errors.respond(self._report, environ, start_response, tag())


class _Guarded:
    """An app whose exceptions are shown to who asked."""

    def __init__(self, app, spec):
        self._app, self._spec = app, spec

    def __call__(self, environ, start_response):
        environ["wsgi.errors"] = sys.stderr  # in one order with what the app prints
        try:
            result = self._app(environ, start_response)
        except Exception as e:
            return self.failed(e, environ, start_response)
        if isinstance(result, (list, tuple, environ["wsgi.file_wrapper"])):
            return result  # what is left to be done, the server does
        return _Body(self, result, environ, start_response)

    def failed(self, e, environ, start_response):
        """Logs an exception, and answers the request."""
        report = errors.report(e, "request", _settings["Dir"], self._spec)
        sys.stderr.write(errors.text(report).rstrip("\n") + "\n")

        def start(status, headers, exc_info=None):
            return start_response(status, headers, sys.exc_info() if exc_info is None else exc_info)

        return errors.respond(report, environ, start, tag())


class _Body:
    """The body of a response. An exception before its first chunk is shown in its place."""

    def __init__(self, guarded, result, environ, start_response):
        self._args = (environ, start_response)
        self._guarded, self._result, self._chunks, self._begun = guarded, result, None, False

    def __iter__(self):
        return self

    def __next__(self):
        try:
            if self._chunks is None:
                self._chunks = iter(self._result)
            chunk = next(self._chunks)
        except StopIteration:
            raise
        except Exception as e:
            if self._begun:
                raise  # the client has a part of another response
            self._begun = True
            self._chunks = iter(self._guarded.failed(e, *self._args))
            return next(self._chunks)
        self._begun = self._begun or len(chunk) > 0
        return chunk

    def close(self):
        if hasattr(self._result, "close"):
            self._result.close()


# ---- what was imported ------------------------------------------------------------------------------------------------------------

_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_STDLIB = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})


def _file(module):
    """The source file of a module, "" where it has none."""
    name = getattr(module, "__file__", None)
    return name if isinstance(name, str) else ""


def _is_own(name):
    """Whether a module, or a package without a file, is none that was installed."""
    module = sys.modules[name]
    file = _file(module)
    if not file:
        places = getattr(module, "__path__", None)
        return places is not None and any(not _foreign(os.path.join(p, "")) for p in places)
    return not _foreign(file)


def _foreign(file):
    return file.startswith("<") or any(part in file for part in _INSTALLED) or file.startswith(_STDLIB)


def _sources(folder):
    try:
        return {name for name in os.listdir(folder) if name.endswith(".py")}
    except OSError:
        return set()


def _imported():
    """The files of the project's modules."""
    files = (_file(module) for module in list(sys.modules.values()))
    return {os.path.realpath(file) for file in files if file and not _foreign(file)}


def describe(text):
    own, foreign = set(), []
    for folder in {os.path.dirname(file) for file in _imported()}:
        _folders[folder] = _sources(folder)
    for name in list(sys.modules):
        top = name.partition(".")[0]
        if top in ("gowsgi", "__main__") or top.startswith("_gowsgi"):
            continue
        if _is_own(name):
            own.add(top)
        else:
            foreign.append(name)
    watch = {_settings["Dir"]}
    for top in own:
        module = sys.modules.get(top)
        file = _file(module)
        watch.update([os.path.dirname(os.path.abspath(file))] if file else getattr(module, "__path__", ()))
    watch.update(_settings["Static"] or ())
    for app in _apps:
        watch.update(pages.watch_folders(app))
    return json.dumps(
        {
            "Framework": host._framework(_apps[0]) if _apps else "",
            "Broken": _broken.replace("\n", " "),
            "Missing": _missing,
            "Modules": foreign,
            "Own": sorted(own),
            "Watch": sorted(watch),
            "Packages": sorted({sysconfig.get_path(name) for name in ("purelib", "platlib")}),
        }
    )


def classify(text):
    imported = _imported()
    meaning = {"Reload": False, "Page": False, "CSS": [], "Debugging": _at_prompt > 0}
    for path in json.loads(text):
        real = os.path.realpath(path)
        kind = next(filter(None, (pages.kind_of(path, app) for app in _apps)), "")
        if any(path.startswith(os.path.join(folder, "")) for folder in _settings["Static"] or ()):
            kind = "static"
        folder, name = os.path.split(real)
        new = name.endswith(".py") and folder in _folders and name not in _folders[folder]  # somebody may look for it, as for admin.py
        if real in imported or new or kind in ("template", "locale"):
            meaning["Reload"] = True
        elif _broken:
            meaning["Reload"] = meaning["Reload"] or path.endswith((".py", ".wsgi", ".html"))  # whichever is missing
        elif kind == "static" and path.endswith(".css"):
            meaning["CSS"].append(name)
        elif kind == "static":
            meaning["Page"] = True
    return json.dumps(meaning)


# ---- in the template --------------------------------------------------------------------------------------------------------------


class _Keep:
    """A finder that lets nobody import the project's own modules: they are to be new in each worker."""

    def __init__(self, own):
        self._own = own

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self._own:
            raise ModuleNotFoundError("%s is the project's own" % name, name=name)
        return None


def preload(text):
    wanted = json.loads(text)
    finder, settings, path = _Keep(set(wanted["Own"] or ())), os.environ.pop("DJANGO_SETTINGS_MODULE", None), sys.path[0]
    sys.meta_path.insert(0, finder)
    sys.path.remove(path)
    refused = []
    skip = set(wanted["Skip"] or ())
    try:
        for name in wanted["Modules"] or ():
            if name in sys.modules or name in skip:
                continue
            watched = _Settings()
            threads = _tasks()
            try:
                with watched:
                    importlib.import_module(name)
            except BaseException:  # what it needs is known in the worker only
                if _tasks() > threads:
                    refused.append(name)
                continue
            if watched.asked or _tasks() > threads:
                refused.append(name)
    finally:
        sys.meta_path.remove(finder)
        sys.path.insert(0, path)
        if settings is not None:
            os.environ["DJANGO_SETTINGS_MODULE"] = settings
    if refused:
        raise RuntimeError("\n".join(refused))
    return ""


def _tasks():
    return len(os.listdir("/proc/self/task"))


class _Settings:
    """Notices whether Django's settings are asked for: a module may then have found that there are none, and remember that."""

    asked = False

    def __enter__(self):
        conf = sys.modules.get("django.conf")
        self._kind = getattr(conf, "LazySettings", None)
        if self._kind is not None:
            self._setup = self._kind._setup

            def setup(settings, name=None):
                self.asked = True
                return self._setup(settings, name)

            self._kind._setup = setup
        return self

    def __exit__(self, *_):
        if self._kind is not None:
            self._kind._setup = self._setup


# ---- debuggers --------------------------------------------------------------------------------------------------------------------


def _share_terminal():
    """Lets one thread at a time have the debugger's prompt, and notes that it is open."""
    import pdb

    interaction = pdb.Pdb.interaction

    def alone(self, *args, **kwargs):
        global _at_prompt
        _at_prompt += 1
        self.nosigint = True  # Ctrl-C ends the server
        try:
            with _prompt:
                return interaction(self, *args, **kwargs)
        finally:
            _at_prompt -= 1

    pdb.Pdb.interaction = alone


_share_terminal()
