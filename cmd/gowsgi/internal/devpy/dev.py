"""gowsgi dev's part in a worker: it loads the app, puts what a developer needs around it, and says what to watch.

It runs as the module _gowsgi_dev on CPython 3.9 and newer. Its functions take and give JSON; see devpy.go.
"""

import collections
import importlib.machinery
import json
import os
import sys
import sysconfig
import threading
import time
from wsgiref.util import FileWrapper

import _gowsgi_dev_errors as errors
import _gowsgi_dev_pages as pages
import _gowsgi_host as host

_settings = {"Generation": 0, "Dir": "", "Inject": True, "Static": None, "Broken": ""}
_apps = []  # as they were found
_broken = ""  # why one can't be loaded, in one line
_missing = ""  # the module that is not installed, if that is why
_environ = {}  # the environment before the app was loaded
_folders = {}  # those of the project's modules, and the sources that were in them when the app was loaded
_at_prompt = 0  # threads that are in a debugger's prompt, or wait for it
_prompt = threading.RLock()
_calls = collections.deque(maxlen=1000)  # when the app was called last, and when it returned


class AppNotFound(Exception):
    """There is no app where one was expected."""


class WorkerEnded(Exception):
    """The process ended while it imported the app."""


def configure(text):
    _settings.update(json.loads(text))
    _environ.update(os.environ)
    return ""


# ---- loading ----------------------------------------------------------------------------------------------------------------------


def load(spec, find):
    """Returns the app with all that goes around it, or one that shows why there is none."""
    global _broken, _missing
    pid = os.getpid()
    try:
        if _settings["Broken"]:
            raise WorkerEnded(_settings["Broken"])
        sys.path_importer_cache.clear()  # the template's: a folder may have been away when it looked
        found = find(spec)
        app = pages.sql(pages.static(found), _warn)
    except BaseException as e:
        if os.getpid() != pid:
            raise
        if isinstance(e, host._Refused):
            e = AppNotFound(str(e))
        report = errors.report(e, "import", _settings["Dir"], spec)
        _broken = "%s: %s" % (type(e).__name__, report.raised[0].message)
        if isinstance(e, ModuleNotFoundError):
            _missing = (e.name or "").partition(".")[0]
        sys.stderr.write(errors.text(report).rstrip("\n") + "\n")
        return _Broken(report)
    _apps.append(found)
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
        begun = time.time()
        try:
            result = self._app(environ, start_response)
        except Exception as e:
            return self.failed(e, environ, start_response)
        finally:
            _calls.append((begun, time.time()))
        if type(result) is FileWrapper or isinstance(result, (list, tuple)) and all(isinstance(chunk, bytes) for chunk in result):
            return result  # what is left to be done, the server does
        return _Body(self, result, environ, start_response)

    def failed(self, e, environ, start_response):
        """Answers the request with an exception, and logs it. Where the client has a part of another response, the server does what is left."""
        report = errors.report(e, "request", _settings["Dir"], self._spec)

        def start(status, headers):
            return start_response(status, headers, (type(e), e, e.__traceback__))

        body = errors.respond(report, environ, start, tag())
        sys.stderr.write(errors.text(report).rstrip("\n") + "\n")
        return body


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
                self._chunks = _iterated(self._result)
            chunk = next(self._chunks)
            if not isinstance(chunk, bytes):
                raise TypeError("the body of the response has %s in it; it must be bytes (PEP 3333)" % type(chunk).__name__)
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


def _iterated(result):
    if isinstance(result, (bytes, str)):
        raise TypeError("the app returned %s, where a list with that in it is expected" % type(result).__name__)
    try:
        return iter(result)
    except TypeError:
        if hasattr(result, "__iter__"):
            raise
        what = "None" if result is None else "an object of type " + type(result).__name__
        raise TypeError("the app returned %s, where a list or another iterable is expected" % what) from None


# ---- what was imported ------------------------------------------------------------------------------------------------------------

_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_STDLIB = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})


def _file(module):
    """The source file of a module, "" where it has none."""
    try:
        name = getattr(module, "__file__", None)
    except Exception:  # one that makes itself when it is used first
        return ""
    return name if isinstance(name, str) else ""


def _is_own(module):
    """Whether a module, or a package without a file, is none that was installed."""
    file = _file(module)
    if file:
        return not _foreign(file)
    return any(not _foreign(os.path.join(place, "")) for place in _places(module))


def _places(package):
    try:
        return [place for place in getattr(package, "__path__", None) or () if isinstance(place, str)]
    except Exception:
        return []


def _was_replaced(name, module):
    """Whether there is another module under a name, as pysqlite3 under that of sqlite3: who was imported before has the first."""
    return "." not in name and getattr(getattr(module, "__spec__", None), "name", name).partition(".")[0] != name


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
    own, replaced, foreign = set(), set(), []
    for folder in {os.path.dirname(file) for file in _imported()}:
        _folders[folder] = _sources(folder)
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in ("gowsgi", "__main__") or top.startswith("_gowsgi"):
            continue
        if _is_own(module):
            own.add(top)
        else:
            foreign.append(name)
            if _was_replaced(name, module):
                replaced.add(name)
    watch = {_settings["Dir"]}
    for top in own:
        module = sys.modules.get(top)
        file = _file(module)
        watch.update([os.path.dirname(os.path.abspath(file))] if file else _places(module))
    watch.update(_settings["Static"] or ())
    for app in _apps:
        watch.update(pages.watch_folders(app))
    return json.dumps(
        {
            "Framework": host._framework(_apps[0]) if _apps else "",
            "Broken": _broken.replace("\n", " "),
            "Missing": _missing,
            "Modules": foreign,
            "Own": sorted(own | replaced),
            "Environ": sorted(name for name in {**_environ, **os.environ} if _environ.get(name) != os.environ.get(name)),
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
        elif kind == "static" and not _is_product(path):
            meaning["Page"] = True
    return json.dumps(meaning)


def _is_product(path):
    """Whether a file seems to be the app's own product, such as a chart: a page that makes it would be loaded again and again."""
    if path.endswith((".js", ".mjs")):
        return False
    try:
        written = os.stat(path).st_mtime
    except OSError:
        return False
    return any(begun - 0.01 <= written <= ended for begun, ended in list(_calls))  # files have the kernel's coarse clock


# ---- bytecode ---------------------------------------------------------------------------------------------------------------------

_SETTLED = 2  # seconds without a change


def _keep_no_young_bytecode():
    """Has no bytecode written for a file that was saved just now.

    CPython takes it for that of the source by a time in whole seconds and the length: after another save within the second it would run the
    code of before.
    """
    loader = importlib.machinery.SourceFileLoader
    write = loader._cache_bytecode

    def settled(self, source_path, bytecode_path, data):
        try:
            if time.time() - os.stat(source_path).st_mtime < _SETTLED:
                return
        except OSError:
            return
        write(self, source_path, bytecode_path, data)

    loader._cache_bytecode = settled


_keep_no_young_bytecode()


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
