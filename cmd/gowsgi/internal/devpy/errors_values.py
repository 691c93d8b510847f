"""The values of variables as short texts, for gowsgi dev's error page.

It runs as the module _gowsgi_dev_errors_values on CPython 3.9 and newer. What it calls of the app are __repr__ methods alone: within a
time limit, in a thread of their own, where Django opens no database connection.
"""

import collections
import contextvars
import itertools
import re
import sys
import threading

HIDDEN = "(hidden)"
MAX_NAMES = 60  # of a frame
MAX_TEXT = 300  # characters of a value
_MAX_DEPTH = 4  # of containers in containers
_SECONDS = 0.5  # for all values of a report

_SECRET = re.compile(r"secret|passw|passphrase|pwd|token|cookie|session|credential|auth(?!or(?!i))|keys?(?![a-z])")
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")

_PAIR = re.compile(r"([\w-]+)=([^&;,\s'\"()]+)")  # of a query string, of a connection's address

# To show one of these is to ask a database, to translate, or to reach for a request that is over.
_LAZY = {"QuerySet", "BaseQuerySet", "LazyObject", "Promise", "LocalProxy"}


def is_secret(name):
    """Whether a name says that its value is nobody's business: "api_key", "sessionid", "HTTP_AUTHORIZATION", not "author"."""
    return _SECRET.search(_WORD.sub("_", name).lower()) is not None


def hide(text):
    """A text without the values of what looks like token=..."""
    return _PAIR.sub(lambda pair: pair.group(1) + "=" + HIDDEN if is_secret(pair.group(1)) else pair.group(), text)


def describe(namespaces):
    """A list of (name, text) for each of the namespaces, dicts of variables. Those that come first are most likely to be complete."""
    rows = [[] for _ in namespaces]
    thread = threading.Thread(target=contextvars.copy_context().run, args=(_fill, namespaces, rows), daemon=True)
    try:
        thread.start()
        thread.join(_SECONDS)
    except RuntimeError:  # no more threads
        pass
    done = [list(row) for row in rows]
    for namespace, row in zip(namespaces, done):
        for name, value in itertools.islice(_named(namespace), len(row), MAX_NAMES):
            row.append((name, HIDDEN if is_secret(name) else "<%s object> (its value took too long to show)" % type(value).__name__))
    return done


def _fill(namespaces, rows):
    _close_databases()
    for namespace, row in zip(namespaces, rows):
        for name, value in itertools.islice(_named(namespace), MAX_NAMES):
            row.append((name, HIDDEN if is_secret(name) else text(value)))


def _named(namespace):
    """What a reader wants to see of a frame: not what was imported, and not what a module has of itself."""
    for name, value in namespace.items():
        if type(name) is str and not (name[:2] == name[-2:] == "__") and type(value) is not type(sys):
            yield name, value


def _close_databases():
    """Has Django refuse to connect in this thread: its connections belong to a thread each."""
    if "django.db" in sys.modules:
        try:
            for connection in sys.modules["django.db"].connections.all():
                connection.ensure_connection = _refuse
        except Exception:
            pass  # no settings, so no database


def _refuse():
    raise RuntimeError("no database for this")


def text(value, room=MAX_TEXT):
    """A value as at most room characters, and an ellipsis where there was more. Never raises."""
    try:
        return hide(_cut(_text(value, room, 0), room))
    except BaseException as e:
        return "<%s object> (its repr raised %s)" % (type(value).__name__, type(e).__name__)


def _cut(text, room):
    return text if len(text) <= room else text[: max(room, 1)] + "…"


def _text(o, room, depth):
    # Types and not isinstance(): an object's __class__ may be a lazy one's whole set-up.
    kind = type(o)
    if issubclass(kind, type):
        return type.__repr__(o)
    if not hasattr(kind, "__members__"):  # an enum is more than its value
        for base in (str, bytes, bytearray):
            if issubclass(kind, base):
                return base.__repr__(base.__getitem__(o, slice(0, room + 1)))
        if issubclass(kind, int) and int.bit_length(o) > 1000:
            return "<an int of %d bits>" % int.bit_length(o)
    if depth == _MAX_DEPTH:
        return "…"
    names = {base.__name__ for base in kind.__mro__}
    if names & _LAZY:
        return "<%s object>" % kind.__name__
    items = _items(o, kind, names, room, depth + 1)
    if items is not None:
        return _join(*items, room)
    if kind.__repr__ is object.__repr__:
        return "<%s object>" % (kind.__qualname__ if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, kind.__qualname__))
    return repr(o)


def _items(o, kind, names, room, depth):
    """(opening, texts, closing) of an object that has others in it; None where it is shown by its repr."""

    def each(values):
        return (_text(value, room, depth) for value in values)

    def pairs(values, form):
        for name, value in values:
            hidden = type(name) is str and is_secret(name)
            yield form % (name if form == "%s=%s" else _text(name, room, depth), HIDDEN if hidden else _text(value, room, depth))

    call = kind.__name__ + "("
    if issubclass(kind, dict):
        plain = kind is dict
        return ("{" if plain else call + "{"), pairs(dict.items(o), "%s: %s"), ("}" if plain else "})")
    if issubclass(kind, tuple):
        if hasattr(kind, "_fields"):
            return call, pairs(zip(kind._fields, tuple.__iter__(o)), "%s=%s"), ")"
        return "(", each(tuple.__iter__(o)), ",)" if tuple.__len__(o) == 1 else ")"
    for base, opening, closing in ((list, "[", "]"), (set, "{", "}"), (frozenset, "", ""), (collections.deque, "", "")):
        if issubclass(kind, base):
            if kind is not base or not opening or kind is set and not o:
                opening, closing = call + "[", "])"
            return opening, each(base.__iter__(o)), closing
    if kind in (type({}.keys()), type({}.values()), type({}.items())):
        return call + "[", each(o), "])"
    if "BaseContext" in names and hasattr(o, "dicts"):  # Django's, of a template
        return call, each(o.dicts), ")"
    if hasattr(kind, "__dataclass_fields__"):
        shown = [f.name for f in sys.modules["dataclasses"].fields(kind) if f.repr]
        return call, pairs(((name, getattr(o, name)) for name in shown), "%s=%s"), ")"
    fields = getattr(o, "__dict__", None) if "Model" in names or hasattr(kind, "_sa_class_manager") else None
    if type(fields) is dict:  # a row of Django's or SQLAlchemy's: its own repr may ask the database
        return call, pairs(((name, value) for name, value in list(fields.items()) if name[:1] != "_"), "%s=%s"), ")"
    return None


def _join(opening, texts, closing, room):
    parts, left = [], room
    for text in texts:
        if left <= 0:
            parts.append("…")
            break
        parts.append(_cut(text, left))
        left -= len(text) + 2
    return opening + ", ".join(parts) + closing
