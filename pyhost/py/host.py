"""The part of the host that is better said in Python: finding the app, tracebacks, wsgi.errors, the end.

It runs as the module _gowsgi_host on Python's main thread, before any app is imported, on CPython 3.9 and newer, with the standard
library alone. The host puts functions written in C into this namespace beforehand: _errors_write(str), _errors_flush(), _log(str) and
_request_id().
"""

import atexit
import gc
import io
import os
import signal
import stat
import sys
import threading
import traceback

_PID = os.getpid()
_DEFAULT_NAMES = ("application", "app")
_directory = ""  # files are named relative to it
_loaded = []  # the apps, in the order of their numbers
api = None  # the module gowsgi
loader = None  # where a module of the program's own sets it: called as loader(spec, find) instead of find(spec), it returns the app


def prepare(directory):
    """Makes sys.path and the standard streams ready for an app. directory: absolute."""
    global _directory
    _directory = directory
    sys.path.insert(0, directory)
    # print() goes to a pipe under a supervisor or in a container, where CPython would hold it back until 8 KiB are there.
    if sys.stdout is not None and not getattr(sys.stdout, "write_through", True):
        sys.stdout.reconfigure(line_buffering=True)


def install(text):
    """Makes the module that apps import as gowsgi."""
    global api
    api = sys.modules["gowsgi"] = type(sys)("gowsgi")
    api.__spec__ = type(os.__spec__)("gowsgi", None, origin="gowsgi")
    api.__file__ = "<gowsgi>/gowsgi.py"
    api._request_id = _request_id
    exec(compile(text, api.__file__, "exec"), vars(api))


def add_module(text):
    """Makes a module of the program's own, unless it is there: a line with its name, and its source."""
    name, _, source = text.partition("\n")
    if name not in sys.modules:
        module = type(sys)(name)
        module.__spec__ = type(os.__spec__)(name, None, origin=name)
        module.__file__ = "<gowsgi>/%s.py" % name
        code = compile(source, module.__file__, "exec")
        sys.modules[name] = module
        exec(code, vars(module))
    return ""


def ask(function, text):
    """Calls a function of such a module, with a str and for a str."""
    module, _, name = function.rpartition(".")
    return getattr(sys.modules[module], name)(text)


# ---- loading an app ---------------------------------------------------------------------------------------------------------------


class _Refused(Exception):
    """An app that can't be served, for a reason that needs no traceback."""


def load(spec):
    """Returns (app, "", "") or (None, reason, traceback). Raises only in a process that the app forked meanwhile."""
    if not _loaded:
        sys.argv = [spec]
    try:
        app = loader(spec, _find_checked) if loader else _find_checked(spec)
    except _Refused as e:
        return None, str(e), ""
    except BaseException as e:
        if os.getpid() != _PID:
            raise
        return None, _reason(e), format_exception(type(e), e, e.__traceback__)
    _loaded.append(app)
    return app, "", ""


def run_postfork():
    """Calls what the apps gave gowsgi.postfork. None, or (reason, traceback) of the first that fails."""
    try:
        while api._hooks:  # one may add another
            hook = api._hooks.pop(0)
            hook()
    except BaseException as e:
        if os.getpid() != _PID:
            raise
        name = getattr(hook, "__qualname__", None) or repr(hook)
        what = traceback.format_exception_only(type(e), e)[-1].strip()
        return "the gowsgi.postfork function %s raised %s" % (name, what), format_exception(type(e), e, e.__traceback__)
    api._serving = True
    return None


def _find_checked(spec):
    app = _find(spec)
    _check_threads()
    _warn_of_titles()
    return app


def _find(spec):
    target, name = _split(spec)
    if _is_file(target):
        module = _import_file(target)
    else:
        module = _import_module(target)
    return _callable(module, target, name)


def _split(spec):
    """Splits an app's name at the last colon before its arguments: "pkg.mod:app", "pkg.mod", "dir/site.wsgi:app", "pkg:make('a:b')"."""
    spec, call, arguments = spec.partition("(") if spec.endswith(")") else (spec, "", "")
    target, colon, name = spec.rpartition(":")
    name, spec = name + call + arguments, spec + call + arguments
    if not colon:
        target, name = spec, ""
    if not target or colon and not name:
        raise _Refused("%r names no app; write module:callable, module:factory() or the path of a .wsgi or .py file" % spec)
    if not _is_file(target) and not _is_dotted(target):
        raise _Refused("%r is neither a module's name nor the path of a .wsgi or .py file" % target)
    return target, name


def _is_file(target):
    # "mysite.wsgi" is the module that Django's startproject makes, unless there is a file of that name.
    return target.endswith(".py") or target.endswith(".wsgi") and (os.path.exists(os.path.join(_directory, target)) or not _is_dotted(target))


def _is_dotted(name):
    return all(part.isidentifier() for part in name.split("."))


def _import_module(name):
    try:
        __import__(name)
    except ModuleNotFoundError as e:
        # Only where the module that was asked for, or a package on the way to it, is missing; else an import of the app's own failed.
        if e.name and (name == e.name or name.startswith(e.name + ".")) and not _app_frames(e.__traceback__):
            raise _Refused(_no_module(name, e.name)) from None
        raise
    return sys.modules[name]


def _no_module(name, missing):
    text = "there is no module %r in %s or elsewhere on sys.path" % (missing, sys.path[0])
    if name.endswith(".wsgi"):
        text += ", and no file %s" % os.path.join(_directory, name)
    if missing == name and "." not in name:
        near = _near(name, _modules_in(sys.path[0]))
        if near:
            text += "; did you mean %s?" % near
        elif os.path.exists(os.path.join(sys.path[0], name + ".wsgi")):
            text += "; did you mean the file %s.wsgi?" % name
    return text


def _modules_in(directory):
    try:
        entries = list(os.scandir(directory or "."))
    except OSError:
        return []
    names = [e.name[:-3] for e in entries if e.name.endswith(".py")]
    return names + [e.name for e in entries if e.name.isidentifier() and os.path.exists(os.path.join(e.path, "__init__.py"))]


def _import_file(path):
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_file_location

    path = os.path.abspath(os.path.join(_directory, path))
    if not os.path.isfile(path):
        raise _Refused("there is no file %s" % path)
    folder, base = os.path.split(path)
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)
    stem, extension = os.path.splitext(base)
    if extension == ".py" and stem.isidentifier() and _is_plain_module(stem, path):
        # Its ordinary name, so that other modules of the app which import it get this one and not a second copy.
        return _import_module(stem)
    # django.wsgi must not become the module django.
    name = "".join(c if c.isalnum() else "_" for c in "wsgi_" + base)
    while name in sys.modules:
        if getattr(sys.modules[name], "__file__", None) == path:
            return sys.modules[name]
        name += "_"
    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, path))
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules.get(name, module)


def _is_plain_module(name, path):
    """Whether "import name" gives the file."""
    from importlib.util import find_spec

    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None) == path
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin == path


def _callable(module, target, name):
    if not name:
        for name in _DEFAULT_NAMES:
            if hasattr(module, name):
                break
        else:
            raise _Refused("%s has neither %s%s" % (target, " nor ".join(_DEFAULT_NAMES), _offers(module)))
    path, call, rest = name.partition("(")
    path = path.strip()
    arguments, keywords = _arguments(name) if call and rest.strip() != ")" else ((), {})
    if not all(part.isidentifier() for part in path.split(".")):
        raise _Refused("%r is no name of a callable in %s" % (name, target))
    app = module
    seen = target
    for part in path.split("."):
        try:
            app = getattr(app, part)
        except AttributeError as e:
            if _app_frames(e.__traceback__):
                raise  # from a property or a module's __getattr__: the app's own failure
            near = _near(part, dir(app))
            raise _Refused("%s has no %r%s" % (seen, part, "; did you mean %s?" % near if near else _offers(app))) from None
        seen += "." + part
    if call:
        if not callable(app):
            raise _Refused("%s:%s is %s and can't be called" % (target, path, _kind(app)))
        factory = app
        app = factory(*arguments, **keywords)
        if not callable(app):
            raise _Refused("%s:%s() returned %s, no WSGI application (a callable)" % (target, path, _kind(app)))
    elif not callable(app):
        raise _Refused("%s:%s is %s, no WSGI application (a callable)" % (target, path, _kind(app)))
    return app


def _arguments(call):
    """The arguments of a call, which are literals."""
    import ast

    try:
        expression = ast.parse(call.strip(), mode="eval").body
        literals = [ast.literal_eval(a) for a in expression.args]
        return literals, {k.arg: ast.literal_eval(k.value) for k in expression.keywords if k.arg}
    except (SyntaxError, ValueError, AttributeError):
        raise _Refused("%r is no call whose arguments are literals, such as create_app('dev', debug=True)" % call) from None


def _warn_of_titles():
    # It looks for the command line of python in memory, and finds gowsgi's.
    if "setproctitle" in sys.modules and not _loaded:
        errors.write("setproctitle has no effect in this server: the process keeps its title\n")


def _kind(o):
    return "None" if o is None else "of type %s" % type(o).__name__


def _near(name, names):
    import difflib

    return " or ".join(difflib.get_close_matches(name, names, n=2))


def _offers(o):
    """The callables that a module defines itself."""
    names = []
    for name, value in vars(o).items() if hasattr(o, "__dict__") else ():
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == getattr(o, "__name__", None):
            names.append(name)
    return "; it has %s" % ", ".join(sorted(names)[:8]) if names else ""


def _check_threads():
    """Refuses green threads: the server's Python threads are real ones and would never be switched to."""
    for package, asks in (("gevent", lambda m: m.is_module_patched("threading")), ("eventlet", lambda m: m.is_monkey_patched("thread"))):
        module = sys.modules.get(package + (".monkey" if package == "gevent" else ".patcher"))
        if module is not None and asks(module):
            raise _Refused(
                "the app replaces Python's threads by %s's green ones (monkey patching), which can't run in this server; "
                "don't patch where it is served" % package
            )


def _reason(e):
    if isinstance(e, SystemExit):
        return "the app called sys.exit(%s) while it was imported" % ("" if e.code is None else repr(e.code))
    text = traceback.format_exception_only(type(e), e)[-1].strip()
    if isinstance(e, ModuleNotFoundError) and e.name:
        return "the app imports %s, which is not there for %s" % (e.name, sys.executable)
    return "the app raised %s" % text


# ---- tracebacks -----------------------------------------------------------------------------------------------------------------


def _is_own(filename):
    return filename.startswith((_OWN, "<frozen importlib")) or filename.endswith(_IMPORTLIB)


_OWN = os.path.dirname(__file__) + os.sep
_IMPORTLIB = (os.sep + os.path.join("importlib", "__init__.py"), os.sep + os.path.join("importlib", "_bootstrap.py"))


def _app_frames(tb):
    """Whether code of the app (or of a library) was running."""
    while tb is not None:
        if not _is_own(tb.tb_frame.f_code.co_filename):
            return True
        tb = tb.tb_next
    return False


def format_exception(kind, value, tb):
    """The traceback as text, without frames of the import system and of the host."""
    report = traceback.TracebackException(kind, value, tb)
    todo, seen = [report], set()
    while todo:
        part = todo.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack[:] = [frame for frame in part.stack if not _is_own(frame.filename)]
        todo += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
    lines = list(report.format())
    if not report.stack and not report.__cause__ and not report.__context__ and lines[0].startswith("Traceback"):
        del lines[0]  # a syntax error in the app's first file: nothing ran
    return "".join(lines).rstrip("\n")


# ---- what the app may ask for ----------------------------------------------------------------------------------------------------


class _Errors(io.TextIOBase):
    """wsgi.errors: a text stream whose lines go to the server's log. A line is logged whole, when it ends or at flush()."""

    encoding = "utf-8"
    errors = "backslashreplace"
    mode = "w"
    name = "<wsgi.errors>"

    def writable(self):
        return True

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("wsgi.errors takes str, not %s" % type(text).__name__)
        _errors_write(text)
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        _errors_flush()

    def close(self):
        """Does nothing but flush: PEP 3333 lets no app close the stream."""
        self.flush()


errors = _Errors()


def sendfile_source(file):
    """(descriptor, offset, size) of what is left to read in a file, or None where only read() knows.

    Only for types whose read() gives the file's bytes as they are: a subclass may decrypt, GzipFile unpacks, and both have a fileno().
    """
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        if type(file) is tempfile._TemporaryFileWrapper:
            file = file.file
        elif type(file) is tempfile.SpooledTemporaryFile:
            file = file._file
    if type(file) not in (io.BufferedReader, io.BufferedRandom, io.FileIO):
        return None
    try:
        if type(file) is not io.FileIO and type(file.raw) is not io.FileIO:
            return None
        if not file.readable():
            return None
        if type(file) is io.BufferedRandom:
            file.flush()
        fd = file.fileno()
        status = os.fstat(fd)
        offset = file.tell()
    except (OSError, ValueError):  # ValueError: closed
        return None
    # Files of /proc and /sys say that they are empty.
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return None
    return fd, offset, max(0, status.st_size - offset)


# ---- signals and forks ---------------------------------------------------------------------------------------------------------------


def run_signal_handler(number):
    """Calls the handler that the app set for a signal which the server received."""
    handler = signal.getsignal(number)
    if callable(handler) and handler is not signal.default_int_handler:
        handler(number, None)


def forget_handler(number):
    """Makes the signal module say what it says in python of a signal for which nobody set a handler."""
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def sigint_is_default():
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def take_wakeup_fd(fd):
    """Has CPython write to fd when a signal came, unless the app uses that feature itself. Whether it was done."""
    before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    if before in (-1, fd):
        return True
    signal.set_wakeup_fd(before)
    return False


def drop_wakeup_fd(fd):
    """Undoes take_wakeup_fd, in a forked process."""
    before = signal.set_wakeup_fd(-1)
    if before not in (-1, fd):
        signal.set_wakeup_fd(before)


def register_at_fork(before, after_in_parent, after_in_child):
    os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)


def exit_code(e):
    """The exit status that a SystemExit asks for, as Python's own main does it."""
    code = e.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    try:
        sys.stderr.write("%s\n" % (code,))
    except Exception:
        pass
    return 1


def forked_exit(e):
    """Ends what the app began in a forked process: shows the exception, flushes, returns the exit status."""
    status = 0
    if isinstance(e, SystemExit):
        status = exit_code(e)
    elif e is not None:
        status = 1
        try:
            sys.stderr.write(format_exception(type(e), e, e.__traceback__) + "\n")
        except Exception:
            pass
    _flush()
    return status


# ---- the end ----------------------------------------------------------------------------------------------------------------------


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception:
            pass  # a closed pipe: nobody is left to tell


_frozen_files = []  # weak references: gc.get_objects() leaves out what was frozen


def _files():
    # The type, since an object's __class__ may be a lazy one's whole set-up.
    return [o for o in gc.get_objects() if issubclass(type(o), (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom))]


def _flush_files():
    """Flushes files that the app left open, as CPython's own end does by destroying them."""
    for o in _files() + [ref() for ref in _frozen_files]:
        try:
            if o is not None and not o.closed:
                o.flush()
        except Exception:
            pass  # a full disk, a closed pipe: as at CPython's end


def shutdown():
    """What CPython does before it ends, in its order: non-daemon threads and executors, atexit handlers, open files."""
    for what, step in (
        ("threading._shutdown", threading._shutdown),
        ("an atexit handler", atexit._run_exitfuncs),
        ("flushing files", _flush_files),
        ("flushing the standard streams", _flush),
    ):
        try:
            step()
        except BaseException as e:
            if os.getpid() != _PID:
                raise
            _log("%s raised at the end\n%s" % (what, format_exception(type(e), e, e.__traceback__)))


# ---- Python threads ---------------------------------------------------------------------------------------------------------------

_STACK = 8 << 20  # bytes; under an unlimited ulimit -s, and with musl, the default would be a fraction of what recursion needs


def start_thread(target, name, argument):
    """Starts a Python thread that runs target(argument)."""
    size = threading.stack_size(_STACK)
    try:
        thread = threading.Thread(target=target, args=(argument,), name=name, daemon=True)
        thread.start()
    finally:
        threading.stack_size(size)  # the app's own threads keep the size that it chose
    # Started as a daemon, so that threading._shutdown does not wait for it. Threads that a view makes inherit what it says now: they are
    # waited for, as in servers whose threads are no daemons. The public setter refuses once a thread runs.
    thread._daemonic = False


def stack(ident):
    """The Python stack of a thread as bytes, the newest frame last."""
    if _free_threaded():
        return b"(on a free-threaded Python the stack of a thread that runs can't be read)"
    frame = sys._current_frames().get(ident)
    return _lines(frame) if frame is not None else b"(the thread is not in Python)"


def _free_threaded():
    return not getattr(sys, "_is_gil_enabled", lambda: True)()


_NO_CODE = b"  (runs no Python code)"


def _lines(frame):
    frames = traceback.extract_stack(frame)
    while frames and frames[0].filename == threading.__file__:
        del frames[0]  # how every thread begins
    if not frames:
        return _NO_CODE
    return "".join(traceback.format_list(frames)).rstrip("\n").encode("utf-8", "backslashreplace")


def stacks(requests):
    """The stacks of all threads as bytes. requests: texts by ident, of threads with a request in the app."""
    # Not threading.enumerate(): it waits for a lock, which a thread that is stuck may have.
    names = {ident: thread.name for ident, thread in list(threading._active.items())}
    free_threaded = _free_threaded()
    frames = {} if free_threaded else sys._current_frames()
    parts = []
    for ident in sorted({*frames, *names} - {threading.get_ident()}, key=lambda i: (i not in requests, names.get(i, ""))):
        head = "%s (0x%x)" % (names.get(ident, "a thread that Python did not start"), ident)
        if ident in requests:
            head += ", " + requests[ident]
        if ident in frames:
            stack = _lines(frames[ident])
        else:
            stack = b"  (on a free-threaded Python the stack can't be read)" if free_threaded else _NO_CODE
        parts.append(head.encode("utf-8", "backslashreplace") + b":\n" + stack + b"\n")
    return b"\n".join(parts)


def dump_on_signal(number, fd):
    """Has the stacks of all threads written to fd when the signal comes, without the GIL."""
    import faulthandler

    faulthandler.register(number, file=fd, all_threads=True, chain=False)


# ---- facts ------------------------------------------------------------------------------------------------------------------------

_FRAMEWORKS = {
    "django": "Django",
    "flask": "Flask",
    "bottle": "Bottle",
    "falcon": "Falcon",
    "pyramid": "Pyramid",
    "werkzeug": "Werkzeug",
}


def info():
    """Texts, each ended by a NUL; see ph_info in lifecycle.h."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    facts = [sys.prefix, sys.executable, "%d.%d.%d" % sys.version_info[:3], "gil" if gil else "free-threaded"]
    return "".join(fact.replace("\0", "") + "\0" for fact in facts + [_framework(app) for app in _loaded])


def _framework(app):
    """ "Django 5.2", or "". Told by the app's class; by what was imported where the app is wrapped."""
    names = [kind.__module__.partition(".")[0] for kind in type(app).__mro__]
    if getattr(app, "__self__", None) is not None:  # a bound method: Flask's app.wsgi_app
        names += [kind.__module__.partition(".")[0] for kind in type(app.__self__).__mro__]
    names += [name for name in _FRAMEWORKS if name in sys.modules]
    for name in names:
        if name in _FRAMEWORKS:
            return ("%s %s" % (_FRAMEWORKS[name], _version(name))).rstrip()
    return ""


def _version(name):
    version = vars(sys.modules[name]).get("__version__") if name in sys.modules else None
    if isinstance(version, str):
        return version
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


# ---- static files -----------------------------------------------------------------------------------------------------------------


def static_folders(number):
    """Texts, each ended by a NUL; see ph_static_folders in lifecycle.h."""
    try:
        found = _static_folders(_loaded[number])
    except BaseException as e:
        if os.getpid() != _PID:
            raise
        found = [("", "", "the app does not tell its static files: " + traceback.format_exception_only(type(e), e)[-1].strip())]
    return "".join(text.replace("\0", "") + "\0" for row in found for text in row)


def _static_folders(app):
    for o in layers(app):
        if "flask" in sys.modules and isinstance(o, sys.modules["flask"].Flask):
            return _flask_folders(o)
        if type(o).__module__.startswith("django.core.handlers."):
            return _django_folders()
    return []


def layers(app):
    """The app, and what it may call: middleware around middleware."""
    queue = [app]
    for o in queue:  # it grows
        yield o
        if len(queue) < 100:
            queue += [inner for inner in _inside(o) if callable(inner) and not any(inner is known for known in queue)]


def _inside(o):
    """What an app may call that is an object, a bound method, a decorated function or a closure."""
    found = [getattr(o, "__self__", None)]
    if not isinstance(o, type) and isinstance(getattr(o, "__dict__", None), dict):
        found += vars(o).values()
    for cell in getattr(o, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # empty
            pass
    return found


def _django_folders():
    from django.conf import settings

    # Not settings.STATIC_URL where nobody has asked yet: it keeps the prefix of the first request, and there is none.
    url = vars(settings).get("STATIC_URL") or getattr(settings._wrapped, "STATIC_URL", None)
    folder = getattr(settings, "STATIC_ROOT", None)
    if not url or "://" in url or url.startswith("//"):  # on another host
        return []
    if not folder:
        return [("", "", "Django's STATIC_ROOT is not set, so its static files are not served; set it, and run manage.py collectstatic")]
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        return [("", "", "Django's STATIC_ROOT %s is not there, so its static files are not served; run manage.py collectstatic" % folder)]
    if os.path.join(os.path.realpath(_directory), "").startswith(os.path.join(os.path.realpath(folder), "")):
        return [("", "", "Django's STATIC_ROOT %s has the project itself in it, so it is not served; give it a folder of its own" % folder)]
    if not url.startswith("/") and settings.FORCE_SCRIPT_NAME is not None:
        url = "%s/%s" % (settings.FORCE_SCRIPT_NAME.rstrip("/"), url)
    return [(url, folder, "")]


def _flask_folders(app):
    found = []
    for rule in app.url_map.iter_rules():
        blueprint, _, endpoint = rule.endpoint.rpartition(".")
        owner = app.blueprints.get(blueprint) if blueprint else app
        folder = getattr(owner, "static_folder", None)
        prefix, variable, rest = rule.rule.partition("/<path:filename>")
        if endpoint != "static" or not folder or not variable or rest or "<" in prefix or rule.subdomain or rule.host:
            continue
        if os.path.isdir(folder):  # flask.Flask() names one that may not be there
            found.append((prefix.lstrip("/"), os.path.abspath(folder), ""))
    return found
