"""What would go wrong in production with the apps that are loaded.

It runs as the module _gowsgi_deploy on CPython 3.9 and newer, with the standard library alone. Nothing here writes to a database or a disk.
"""

import json
import sys
import threading
import time

_MOST = 200  # objects that are looked at in search of middleware


class Server:
    """What deploypy.Server tells, by the same names."""

    def __init__(self, facts):
        self.__dict__.update(facts)

    def hides(self, key):
        """Whether a key of the environ ("HTTP_X_FORWARDED_PROTO") is of a header field that never reaches the app."""
        field = key[5:].lower().replace("_", "-") if key.startswith("HTTP_") else ""
        return field in self.Hidden or field.startswith("x-forwarded-") and "x-forwarded-*" in self.Hidden


def findings(text):
    """Takes the server's settings and gives a list of findings, both as JSON."""
    server = Server(json.loads(text))
    sys.dont_write_bytecode = True
    until = time.monotonic() + server.Seconds
    found = []
    for what, look in _parts(server):
        part = []
        thread = threading.Thread(target=_run, args=(what, look, server, part), daemon=True)
        thread.start()
        thread.join(max(0, until - time.monotonic()))
        late = thread.is_alive()
        found += list(part)
        if late:
            found.append(
                finding(
                    "warning",
                    what,
                    "looking at %s took longer than %g s, so the rest was not looked at" % (what, server.Seconds),
                    "see that what it needs, such as the database, answers where this runs",
                )
            )
            break
    return json.dumps(found)


def finding(level, where, what, mend):
    return {"Level": level, "Where": where, "What": what, "Mend": mend}


def _run(what, look, server, found):
    def add(level, where, what, mend):
        found.append(finding(level, where, what, mend))

    try:
        look(server, add)
    except BaseException as e:
        add(
            "warning",
            what,
            "%s could not be looked at: %s" % (what, reason(e)),
            "see whether the app can do without; what else was found is not affected",
        )


def reason(e):
    """One line for an exception."""
    lines = str(e).strip().splitlines()
    return "%s: %s" % (type(e).__name__, lines[0]) if lines else type(e).__name__


def _parts(server):
    """What is to be looked at: (what, function) each. A function is called with the server and add(level, where, what, mend)."""
    parts = []
    seen_django = False
    for spec, prefix, app in zip(server.Apps, server.Prefixes or [], sys.modules["_gowsgi_host"]._loaded):
        chain = _chain(app)
        parts.append(("the middleware of " + spec, lambda server, add, spec=spec, chain=chain: _middleware(server, add, spec, chain)))
        for o in chain:
            if _is(o, "flask", "Flask"):
                import _gowsgi_deploy_flask as flask

                parts.append((spec, lambda server, add, spec=spec, prefix=prefix, o=o: flask.look(server, add, spec, prefix, o)))
            elif _is_django(o) and not seen_django:  # all have the same settings
                import _gowsgi_deploy_django as django

                seen_django = True
                parts += django.PARTS
    return parts


def _is(o, package, name):
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == package for kind in type(o).__mro__)


def _is_django(o):
    return any(kind.__module__.startswith("django.core.handlers.") for kind in type(o).__mro__)


def _chain(app):
    """The app, what it calls if it is middleware, and so on."""
    queue = [app]
    for o in queue:  # it grows
        for inner in _inside(o):
            if len(queue) < _MOST and callable(inner) and not any(inner is known for known in queue):
                queue.append(inner)
    return queue


def _inside(o):
    if _is_django(o):
        return []  # Django's own middleware is in its settings
    if _is(o, "flask", "Flask"):
        return [vars(o).get("wsgi_app")]  # app.wsgi_app = Middleware(app.wsgi_app)
    inside = sys.modules["_gowsgi_host"]._inside(o)
    for value in inside[:]:
        if isinstance(value, dict):  # werkzeug's DispatcherMiddleware
            inside += value.values()
    return inside


def _middleware(server, add, spec, chain):
    for o in chain:
        if _is(o, "werkzeug", "DebuggedApplication"):
            add(
                "error",
                spec,
                "werkzeug's debugger (DebuggedApplication) is around the app: whoever finds its PIN can run code on this machine",
                "leave DebuggedApplication out in production; gowsgi logs the tracebacks",
            )
        elif _is(o, "werkzeug", "ProxyFix") and server.Trusted:
            add(
                "warning",
                spec,
                "ProxyFix reads X-Forwarded-* again, which gowsgi has applied already for --trusted-proxy: with more than one proxy, or a prefix, "
                "the client and the URL come out wrong",
                "leave ProxyFix out",
            )
        elif _is(o, "werkzeug", "ProxyFix"):
            add(
                "warning",
                spec,
                "ProxyFix finds no X-Forwarded-*: gowsgi takes these from trusted proxies alone, and there is none",
                "name the proxy with --trusted-proxy ADDRESS, and leave ProxyFix out",
            )


def is_wal(path):
    """Whether an SQLite database has a write-ahead log (https://www.sqlite.org/fileformat.html, offset 18)."""
    try:
        with open(path, "rb") as f:
            return f.read(20)[18:] == b"\2\2"
    except OSError:
        return False
