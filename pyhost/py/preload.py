"""What the template process of --preload does in Python: it imports the apps once, and each worker is forked from it.

It runs in the namespace of host.py, after it, on Python's main thread.
"""

import time
import weakref

_mounts = []  # (prefix, app, spec), in the order of the apps' numbers
_thresholds = None  # of gc, while the template lives
_given = set()  # descriptors from before the import


def begin():
    """Before the first import. A collection would write to the pages that the workers are to share, and leave holes in them."""
    global _thresholds
    _thresholds = gc.get_threshold()
    _given.update(_descriptors())
    # Not gc.disable(): an app may call that itself, and then it is to stay so.
    gc.set_threshold(0)


def asked(function, text):
    """Calls a function of the program's own modules. None, or (reason, traceback) where it raised."""
    try:
        ask(function, text)
    except BaseException as e:
        if os.getpid() != _PID:
            raise
        return str(e), format_exception(type(e), e, e.__traceback__)
    return None


def mount(prefix, spec):
    """Notes where the app is mounted that was loaded last."""
    _mounts.append((prefix, _loaded[-1], spec))


def warm(target, multiprocess):
    """Calls the app at a path as a request for it would. None, or (spec, reason, traceback) where it fails."""
    from urllib.parse import unquote_to_bytes

    path, _, query = target.partition("?")
    path = unquote_to_bytes(path).decode("latin-1")
    spec = ""
    try:
        prefix, app, spec = _mounted(path)
        status = _get(app, prefix, path, query, target, multiprocess)
        if "django" in sys.modules:
            _close_databases()
    except _Refused as e:
        return spec, "the warm-up request GET %s: %s" % (target, e), ""
    except BaseException as e:
        if os.getpid() != _PID:
            raise
        what = traceback.format_exception_only(type(e), e)[-1].strip()
        return spec, "the warm-up request GET %s raised %s" % (target, what), format_exception(type(e), e, e.__traceback__)
    if status >= "5":
        return spec, "the warm-up request GET %s was answered %s" % (target, status), ""
    if status >= "4":
        _warn("the warm-up request GET %s was answered %s" % (target, status))
    return None


def _mounted(path):
    found = [m for m in _mounts if path == m[0] or path.startswith(m[0] + "/")]
    if not found:
        raise _Refused("no app is mounted there")
    return max(found, key=lambda m: len(m[0]))


def _get(app, prefix, path, query, target, multiprocess):
    answer = []

    def start_response(status, headers, exc_info=None):
        if exc_info and not answer:
            raise exc_info[1].with_traceback(exc_info[2])
        answer[:] = [status]
        return lambda data: None

    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": prefix,
        "PATH_INFO": path[len(prefix) :],
        "QUERY_STRING": query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
    }
    body = app(environ, start_response)
    try:
        for _ in body:
            pass
    finally:
        if hasattr(body, "close"):
            body.close()
    if not answer:
        raise _Refused("the app did not call start_response")
    return answer[0]


def _close_databases():
    # A connection that stays open past its request (CONN_MAX_AGE) would be one for all workers.
    from django.db import connections

    connections.close_all()


def seal():
    """After the import: leaves as little as can be for the collector to touch. The threads that a fork would lose, as one text, or ""."""
    _warn_of_connections()
    gc.collect()
    _flush_files()  # else each worker would write what waits
    _frozen_files.extend(weakref.ref(o) for o in _files())
    gc.freeze()
    names = _others()
    end = time.monotonic() + _ENDING
    while names and time.monotonic() < end:
        time.sleep(0.01)
        names = _others()
    return ", ".join(names)


_ENDING = 0.5  # seconds in which a thread that was joined just now may still be there for the kernel


def _others():
    """The other threads of the process by name: Python's, and those of C libraries."""
    python = {t.native_id: t.name for t in threading.enumerate()}
    names = []
    for task in os.listdir("/proc/self/task"):
        if int(task) == threading.get_native_id():
            continue
        try:
            with open("/proc/self/task/%s/comm" % task, errors="replace") as f:
                comm = f.read().strip()
        except OSError:  # it ended
            continue
        name = python.get(int(task))
        names.append("%s (unknown to threading)" % comm if name is None else name)
    return sorted(names)


def _descriptors():
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _warn_of_connections():
    """Two workers that talk over one connection to a database take each other's answers."""
    found = []
    for fd in sorted(set(_descriptors()) - _given):
        try:
            if not os.readlink("/proc/self/fd/%d" % fd).startswith("socket:"):
                continue
            import socket

            with socket.socket(fileno=os.dup(fd)) as s:
                peer = s.getpeername()
        except OSError:  # gone, or not connected
            continue
        if peer:  # "" where a pair was made
            found.append("descriptor %d to %s" % (fd, "%s:%d" % peer[:2] if isinstance(peer, tuple) else os.fsdecode(peer)))
    if found:
        _warn("the import left connections open, which all workers share: %s; open them in a gowsgi.postfork function" % ", ".join(found))


def _warn(text):
    errors.write(text + "\n")


def enter_worker():
    """In a new worker."""
    global _PID
    _PID = os.getpid()
    if gc.get_threshold()[0] == 0:  # else the app chose another meanwhile
        gc.set_threshold(*_thresholds)
