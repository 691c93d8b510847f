"""What manage.py runserver does for a Django project, and warnings of statements that are repeated.

It runs as the module _gowsgi_dev_pages_django, on CPython 3.9 and newer, with the standard library alone.
"""

import re
import sys
from wsgiref.util import FileWrapper

_REPEATED = 5  # times in one request
_MOST = 3  # warnings of one request
_LENGTH = 160  # characters of a statement that are shown
_COLUMNS = 40  # characters of what is selected that are shown

_HINTS = {
    "SELECT": "select_related or prefetch_related may help",
    "INSERT": "bulk_create may help",
    "UPDATE": "bulk_update may help",
    "DELETE": "one delete() of a queryset may help",
}


def is_set_up():
    """Whether Django is in use here. The app's type does not tell: it may be wrapped."""
    registry = sys.modules.get("django.apps")
    return registry is not None and registry.apps.ready


def static(app):
    """A WSGI app that also serves the static files of a Django project with DEBUG, as runserver does; app itself for others.

    Browsers are told to ask for them each time: of a file that is old they would show what they have, also after it was changed.
    Raises Django's ImproperlyConfigured where the settings are wrong, as runserver does. Media files are served by the project's own urls
    (django.conf.urls.static).
    """
    if not is_set_up():
        return app
    from django.apps import apps
    from django.conf import settings

    # With whitenoise's app runserver leaves the files to the middleware.
    if not settings.DEBUG or not apps.is_installed("django.contrib.staticfiles") or apps.is_installed("whitenoise.runserver_nostatic"):
        return app
    from django.contrib.staticfiles.handlers import StaticFilesHandler

    class Handler(StaticFilesHandler):
        def serve(self, request):
            response = super().serve(request)
            response.setdefault("Cache-Control", "no-cache")
            return response

    return app if isinstance(app, StaticFilesHandler) else Handler(app)


# ---- repeated statements ----------------------------------------------------------------------------------------------------------


def sql(app, warn):
    """A WSGI app that tells of statements which one request ran many times, where Django's DEBUG is on; app itself elsewhere.

    warn(text) is called with one line for each, on the request's thread, after the response was made.
    """
    if not is_set_up():
        return app
    from django import VERSION
    from django.conf import settings
    from django.db import connections

    if not settings.DEBUG:
        return app

    def logs():
        """Of this thread's connections: dicts with "sql" and "time", the oldest first, at most 9,000."""
        known = connections.all() if VERSION < (4, 1) else connections.all(initialized_only=True)
        return [connection.queries_log for connection in known]

    def counted(environ, start_response):
        # Django empties the logs when its handler begins. It may not be asked: what is there now is not this request's.
        old = [log[-1] for log in logs() if log]

        def look():
            for text in _warnings(_since(old, logs())):
                warn(text)

        result = app(environ, start_response)
        if hasattr(result, "__len__") or type(result) is FileWrapper:
            look()
            return result  # all is made, and the server knows what to do with the object
        return _Closing(result, look)

    return counted


class _Closing:
    """An iterable that calls a function when it was closed."""

    def __init__(self, result, closed):
        self._result = result
        self._closed = closed

    def __iter__(self):
        return iter(self._result)

    def close(self):
        try:
            if hasattr(self._result, "close"):
                self._result.close()
        finally:
            self._closed()


def _since(old, logs):
    """The entries that came after the old ones."""
    seen = {id(entry) for entry in old}
    new = []
    for log in logs:
        at = len(new)
        for entry in log:
            if id(entry) in seen:
                del new[at:]
            else:
                new.append(entry)
    return new


def _warnings(entries):
    if len(entries) < _REPEATED:
        return
    counts, seconds, total = {}, {}, 0.0
    for entry in entries:
        took = float(entry["time"])
        total += took
        statement = _normalised(str(entry["sql"]))
        if statement.partition(" ")[0] in _HINTS:  # not BEGIN, SAVEPOINT, and what is itself many ("12 times: INSERT ...")
            counts[statement] = counts.get(statement, 0) + 1
            seconds[statement] = seconds.get(statement, 0.0) + took
    repeated = sorted((s for s in counts if counts[s] >= _REPEATED), key=lambda s: (-seconds[s], -counts[s]))
    for statement in repeated[:_MOST]:
        yield "%d x %s (%d ms): %s; the request ran %d statements in %d ms" % (
            counts[statement],
            _short(statement),
            round(seconds[statement] * 1000),
            _HINTS[statement.partition(" ")[0]],
            len(entries),
            round(total * 1000),
        )


# Quoted names stay, strings and numbers go.
_LITERAL = re.compile(r"""("(?:[^"]|"")*"|`[^`]*`)|'(?:[^']|'')*'|(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b""")
_LIST = re.compile(r"\((?:\?|%s)(?:, ?(?:\?|%s))*\)")


def _normalised(statement):
    """A statement without its values, in one line."""
    statement = _LITERAL.sub(lambda m: m.group(1) or "?", statement)
    return _LIST.sub("(?)", " ".join(statement.split()))


_DEPTH = re.compile(r'"[^"]*"|`[^`]*`|[()]| FROM ')


def _short(statement):
    """A statement as a line of a log shows it, without a long list of columns."""
    if statement.startswith("SELECT "):
        depth = 0
        for m in _DEPTH.finditer(statement):
            if m.group() == " FROM " and depth == 0:
                if m.start() > _COLUMNS:
                    statement = "SELECT ..." + statement[m.start() :]
                break
            depth += {"(": 1, ")": -1}.get(m.group(), 0)
    return statement if len(statement) <= _LENGTH else statement[: _LENGTH - 4] + " ..."
