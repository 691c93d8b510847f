"""The error page of gowsgi dev: what is to be known of an exception, and the answer to a request that shows it.

It runs as the module _gowsgi_dev_errors on CPython 3.9 and newer. Any thread may call it.
"""

import itertools
import json
import linecache
import os
import re
import sys
import sysconfig
import traceback

import _gowsgi_dev_errors_hints as hinting
import _gowsgi_dev_errors_page as page
import _gowsgi_dev_errors_values as values

_AROUND = 5  # lines before and after the one of a frame of the project
_AROUND_FOREIGN = 2
_MAX_LINE = 400  # characters
_MAX_MESSAGE = 10_000  # characters
_MAX_TEXT = 200_000  # characters of the plain traceback
_MAX_CHAIN = 10  # exceptions that caused each other
_MAX_GROUP = 10  # exceptions of a group
_MAX_FRAMES = 100  # of an exception, after the repeated ones are folded
_MAX_PERIOD = 8  # frames that are repeated together

_DJANGO_TEMPLATE = os.path.join("django", "template", "")
_IMPORTLIB = (os.sep + os.path.join("importlib", "__init__.py"), os.sep + os.path.join("importlib", "_bootstrap.py"))


class Report:
    """An exception as texts and numbers: it holds no frames and no values.

    kind: "import" or "request". raised: the Raised of the exception, then those that caused it. text: the plain traceback.
    """

    def __init__(self, kind, spec, project):
        self.kind, self.spec, self.project = kind, spec, project
        self.raised, self.text = [], ""


class Raised:
    """One exception of a report.

    link: what it is to the one before: "" (the first), "cause" or "context". frames: Frame, from the oldest to the newest.
    group: of an ExceptionGroup, for each exception in it a list like Report.raised.
    """

    def __init__(self, exc, link):
        kind = type(exc)
        self.type = kind.__qualname__ if kind.__module__ in ("builtins", "_gowsgi_dev") else "%s.%s" % (kind.__module__, kind.__qualname__)
        self.message = _message(exc)
        self.link, self.notes, self.hints, self.frames, self.group = link, _notes(exc), [], [], []


class Frame:
    """A place in a source.

    name: of the function, "" for a syntax error's place and a template's. own: it is the project's. package: what it belongs to.
    source: (number, text) of the lines around. mark: (begin, end) in the text of line, or None. values: (name, text).
    times: how often the last cycle frames up to this one came. skipped: frames left out before it.
    """

    def __init__(self, file, line, name, project, source=None):
        self.file, self.line, self.name = file, line, name
        self.own, self.package, self.shown = _belongs(file, project)
        lines = source.splitlines() if source is not None else linecache.getlines(file)
        around = _AROUND if self.own else _AROUND_FOREIGN
        first = max(1, line - around)
        self.source = [(first + i, text.rstrip("\r\n")[:_MAX_LINE]) for i, text in enumerate(lines[first - 1 : line + around])]
        for end in (0, -1):
            while self.source and self.source[end][0] != line and not self.source[end][1].strip():
                del self.source[end]
        self.mark, self.values, self.cycle, self.times, self.skipped = None, [], 1, 1, 0


def report(exc, kind, project_dir, spec):
    """A Report of an exception. kind: "import" or "request". project_dir: absolute. spec: the app's name."""
    made = Report(kind, spec, project_dir)
    linecache.checkcache()
    stacks = []  # (Frame, variables)
    made.raised = _chain(exc, project_dir, stacks, set())
    stacks.sort(key=lambda pair: not pair[0].own)
    for (frame, _), found in zip(stacks, values.describe([namespace for _, namespace in stacks])):
        frame.values = found
    made.text = _text(exc)
    return made


def text(report):
    """The traceback for a log, without a line feed at its end: as Python prints it, less frames of the server and of the import system."""
    return report.text


# ---- capturing --------------------------------------------------------------------------------------------------------------------


def _chain(exc, project, stacks, seen):
    found, link = [], ""
    while exc is not None and id(exc) not in seen and len(found) < _MAX_CHAIN:
        seen.add(id(exc))
        raised = Raised(exc, link)
        stack = _stack(exc)
        _capture(raised, exc, stack, project, stacks)
        try:
            raised.hints = hinting.hints(exc, stack, project)
        except Exception:
            pass  # the app's own objects are asked
        parts = [part for part in _listed(exc, "exceptions")[:_MAX_GROUP] if isinstance(part, BaseException)]
        raised.group = [chain for chain in (_chain(part, project, stacks, seen) for part in parts) if chain]
        found.append(raised)
        if exc.__cause__ is not None:
            exc, link = exc.__cause__, "cause"
        else:
            exc, link = None if exc.__suppress_context__ else exc.__context__, "context"
    return found


def _stack(exc):
    """(frame, line, instruction) from the oldest to the newest, without the server's own and the import system's."""
    tb, found = exc.__traceback__, []
    while tb is not None:
        if not _is_hidden(tb.tb_frame.f_code.co_filename):
            found.append((tb.tb_frame, tb.tb_lineno, tb.tb_lasti))
        tb = tb.tb_next
    return found


def _is_hidden(filename):
    return filename.startswith(("<gowsgi>/", "<frozen importlib")) or filename.endswith(_IMPORTLIB)


def _capture(raised, exc, stack, project, stacks):
    folded = _fold(stack, lambda place: (place[0].f_code, place[1]))
    skipped = len(folded) - _MAX_FRAMES
    if skipped > 0:
        del folded[_MAX_FRAMES // 2 : -_MAX_FRAMES // 2]
    for (frame, line, instruction), cycle, times in folded:
        code = frame.f_code
        shown = Frame(code.co_filename, line, code.co_name, project)
        shown.mark = _mark(shown, code, instruction)
        shown.cycle, shown.times = cycle, times
        if skipped > 0 and len(raised.frames) == _MAX_FRAMES // 2:
            shown.skipped = skipped
        raised.frames.append(shown)
        stacks.append((shown, dict(frame.f_locals)))
    try:
        at = _syntax_error(exc, project) if isinstance(exc, SyntaxError) else None
        template = hinting.template_place(exc, stack)
        if template is not None:
            at = Frame(template[0], template[1], "", project, template[2])
        if at is not None and (at.source or not raised.frames):
            _insert(raised.frames, at)
    except Exception:
        pass  # exceptions of the app's own that look like those


def _insert(frames, at):
    """Adds a place as the newest; one in a template before the calls that were made from it. Jinja has made a frame of it already."""
    frames[:] = [frame for frame in frames if (frame.file, frame.line) != (at.file, at.line)]
    engine = [i for i, frame in enumerate(frames) if frame.shown.startswith(_DJANGO_TEMPLATE)]
    frames.insert(engine[-1] + 1 if engine else len(frames), at)


def _fold(items, key):
    """A list of (item, cycle, times), where each run of items that is repeated is left once: its last item has its length and how often."""
    keys, folded, i = [key(item) for item in items], [], 0
    while i < len(items):
        for cycle in range(1, _MAX_PERIOD + 1):
            times, run = 1, keys[i : i + cycle]
            while keys[i + times * cycle : i + (times + 1) * cycle] == run:
                times += 1
            if times > 3:
                break
        else:
            cycle = times = 1
        folded += [(item, 1, 1) for item in items[i : i + cycle - 1]]
        folded.append((items[i + cycle - 1], cycle, times))
        i += cycle * times
    return folded


def _mark(shown, code, instruction):
    """Where in its line an instruction is, in characters. None where CPython does not know, or where it is the whole line."""
    if not hasattr(code, "co_positions") or instruction < 0:
        return None
    begin_line, end_line, begin, end = next(itertools.islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    source = dict(shown.source).get(shown.line)
    if source is None or begin_line != shown.line or begin is None or end is None:
        return None
    line = source.encode("utf-8", "replace")  # the columns are bytes
    begin = len(line[:begin].decode("utf-8", "replace"))
    end = len(line[:end].decode("utf-8", "replace")) if end_line == begin_line else len(source)
    return (begin, end) if 0 <= begin < end and source[begin:end] != source.strip() else None


def _syntax_error(exc, project):
    """The place that a SyntaxError names."""
    if not exc.filename or not exc.lineno:
        return None
    shown = Frame(exc.filename, exc.lineno, "", project)
    if not shown.source and exc.text:
        shown.source = [(exc.lineno, exc.text.rstrip("\n")[:_MAX_LINE])]
    line = dict(shown.source).get(exc.lineno, "")
    if exc.offset:
        begin = min(max(exc.offset, 1), len(line) + 1) - 1
        end = getattr(exc, "end_offset", None) or 0
        shown.mark = (begin, end - 1 if getattr(exc, "end_lineno", 0) == exc.lineno and end - 1 > begin else begin + 1)
    return shown


def _belongs(file, project):
    """(whether a file is the project's, the package that it belongs to, its name to show)."""
    inside = file.startswith(os.path.join(project, ""))
    for mark in ("site-packages", "dist-packages"):
        _, found, rest = file.rpartition(os.sep + mark + os.sep)
        if found:
            return False, rest.partition(os.sep)[0].partition(".py")[0], rest
    for prefix in (sys.prefix, sys.base_prefix):
        if len(prefix) > len(project) and file.startswith(os.path.join(prefix, "")):
            inside = False
    if inside:
        return True, "", file[len(os.path.join(project, "")) :]
    for name in ("stdlib", "platstdlib"):
        folder = os.path.join(sysconfig.get_path(name), "")
        if file.startswith(folder):
            return False, "Python", file[len(folder) :]
    return False, "Python" if file.startswith("<frozen ") else os.path.basename(file), file


def _message(exc):
    try:
        text = exc.msg if isinstance(exc, SyntaxError) and isinstance(exc.msg, str) else str(exc)
    except Exception as e:
        return "(its str() raised %s)" % type(e).__name__
    if isinstance(exc, KeyError) and len(exc.args) == 1:
        text = values.text(exc.args[0])
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"


def _notes(exc):
    return [note[:_MAX_MESSAGE] for note in _listed(exc, "__notes__")[:_MAX_GROUP] if isinstance(note, str)]


def _listed(exc, name):
    """An attribute that is a list or a tuple in the exceptions that have it; the app's own may use the name for anything."""
    try:
        found = getattr(exc, name, ())
    except Exception:
        return ()
    return found if isinstance(found, (list, tuple)) else ()


# ---- the plain traceback ----------------------------------------------------------------------------------------------------------


class _Stack(traceback.StackSummary):
    """A stack that says of repeated frames how often they came."""

    def format(self, **options):
        lines = []
        for frame, cycle, times in _fold(self, lambda frame: (frame.filename, frame.lineno, frame.name)):
            lines += traceback.StackSummary.from_list([frame]).format(**options)
            if times > 1:
                what = "Previous line" if cycle == 1 else "Previous %d frames" % cycle
                lines.append("  [%s repeated %d more times]\n" % (what, times - 1))
        return lines


def _text(exc):
    try:
        made = traceback.TracebackException(type(exc), exc, exc.__traceback__)
    except Exception as e:
        return "%s (its traceback can't be shown: %s)" % (type(exc).__name__, type(e).__name__)
    todo, seen = [made], set()
    while todo:
        part = todo.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = _Stack(frame for frame in part.stack or () if not _is_hidden(frame.filename))
        todo += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
    lines = list(made.format())
    if not made.stack and not made.__cause__ and not made.__context__ and lines[0].startswith("Traceback"):
        del lines[0]  # nothing ran: a syntax error in the app's first file
    text = "".join(lines).rstrip("\n")
    return text if len(text) <= _MAX_TEXT else "%s\n…\n%s" % (text[: _MAX_TEXT // 2], text[-_MAX_TEXT // 2 :])


# ---- answering --------------------------------------------------------------------------------------------------------------------

_STATUS = "500 Internal Server Error"


def respond(report, environ, start_response, extra_head=""):
    """The WSGI response that shows a report: a page, JSON or plain text, as the client likes it. extra_head: HTML for the page's head.

    A client that is not on this machine is told nothing.
    """
    headers = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Vary", "Accept, X-Requested-With")]
    wanted = _wanted(environ)
    if not _is_here(environ.get("REMOTE_ADDR") or ""):
        kind, body = "text/plain; charset=utf-8", "Internal Server Error\n"
    elif not _is_private(environ.get("HTTP_HOST") or ""):
        kind, body = "text/plain; charset=utf-8", "Internal Server Error\nOpen the site as localhost or by its address to see it.\n"
    elif wanted == "html":
        nonce = os.urandom(16).hex()
        kind, body = "text/html; charset=utf-8", page.html(report, environ, nonce, extra_head)
        # 'self' for extra_head.
        sources = "style-src 'nonce-%s'; script-src 'nonce-%s' 'self'; connect-src 'self'" % (nonce, nonce)
        headers.append(("Content-Security-Policy", "default-src 'none'; %s; base-uri 'none'; form-action 'none'" % sources))
    elif wanted == "json":
        first = report.raised[0]
        error = {"type": first.type, "message": first.message, "traceback": report.text.split("\n")}
        kind, body = "application/json", json.dumps({"error": error}, indent=2) + "\n"
    else:
        kind, body = "text/plain; charset=utf-8", report.text + "\n"
    body = body.encode("utf-8", "backslashreplace")
    start_response(_STATUS, [("Content-Type", kind), ("Content-Length", str(len(body)))] + headers)
    return [body]


def _is_here(address):
    # No address: a Unix socket.
    return not address or address == "::1" or address.startswith(("127.", "::ffff:127."))


_PRIVATE = (".localhost", ".test", ".local", ".internal", ".home.arpa")  # RFC 6761, 6762, 8375 and ICANN's: nobody can register these


def _is_private(host):
    """Whether a Host is no name of the internet's: somebody could have that lead here, and read a page of this browser by it (DNS rebinding)."""
    name = host.lower()
    if name.startswith("["):
        return True  # an address
    name = name.partition(":")[0].rstrip(".")
    return "." not in name or name.replace(".", "").isdigit() or name.endswith(_PRIVATE)


def _wanted(environ):
    """ "html", "json" or "text"."""
    html = json_ = 0.0
    for part in environ.get("HTTP_ACCEPT", "").lower().split(","):
        kind, *parameters = [word.strip() for word in part.split(";")]
        quality = 1.0
        for parameter in parameters:
            match = re.fullmatch(r"q\s*=\s*([0-9.]+)", parameter)
            try:
                quality = float(match.group(1)) if match else quality
            except ValueError:
                quality = 0.0
        if kind in ("text/html", "application/xhtml+xml"):
            html = max(html, quality)
        elif kind == "application/json" or kind.startswith("application/") and kind.endswith("+json"):
            json_ = max(json_, quality)
    if html and html >= json_:
        return "html"
    posted = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    return "json" if json_ or environ.get("HTTP_X_REQUESTED_WITH") or posted == "application/json" else "text"
