"""What stands between the server and an app in a worker of gowsgi dev: pages with the script that reloads them, and what runserver does.

It runs as the module _gowsgi_dev_pages, before any app is imported, on CPython 3.9 and newer, with the standard library alone. What it
makes may be called by any Python thread.
"""

import re

from _gowsgi_dev_pages_csp import admit
from _gowsgi_dev_pages_django import sql, static
from _gowsgi_dev_pages_folders import kind_of, watch_folders

__all__ = ["inject", "kind_of", "sql", "static", "watch_folders"]

_HEAD_LIMIT = 4096  # bytes; a <head that is not closed by then is no tag

# What a page is made for: these requests show HTML. The others get an answer to a script, which would have the tag in the middle of a page.
_DESTINATIONS = ("document", "iframe", "frame")

_CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE")
_OF_THE_BYTES = frozenset(["content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"])  # untrue once the tag is in
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([^\s;\"']+)", re.IGNORECASE)
_NO_ASCII = ("utf-16", "utf16", "utf-32", "utf32", "utf-7", "utf7", "ucs", "unicode", "iso-10646", "ibm037", "cp037")


def inject(app, tag):
    """A WSGI app that answers as app does, with a tag in its pages.

    tag: called as tag(nonce) when the headers of a page are known, returns the tag, ASCII and well-formed as XML (defer="", not defer).
    nonce: what its nonce attribute must say, "" where it needs none.

    A page is text/html or XHTML in answer to a navigation, with a body that is not encoded, partial or an attachment. Everything else is
    returned as the object that app returned.
    """

    def injected(environ, start_response):
        if not _navigates(environ):
            return app(environ, start_response)
        environ.pop("HTTP_ACCEPT_ENCODING", None)  # the tag can't go into what the app compresses
        # The tag changes with each reload, the app's ETag and Last-Modified do not: a 304 would bring back the page of an old worker,
        # whose script sees that it is old and reloads the page, for ever.
        for name in _CONDITIONS:
            environ.pop(name, None)
        reply = _Reply(start_response, tag, environ.get("REQUEST_METHOD") == "HEAD")
        return reply.body(app(environ, reply.start))

    return injected


def _navigates(environ):
    """Whether a browser asks for a page to show, rather than a script for some HTML or a tool for the app's own bytes."""
    # Not any X-Requested-With: Android's WebView names its app in it. GET alone: loaded anew, a form would be sent again.
    return (
        environ.get("REQUEST_METHOD") in ("GET", "HEAD")
        and "text/html" in environ.get("HTTP_ACCEPT", "").lower()
        and environ.get("HTTP_SEC_FETCH_DEST", "document").lower() in _DESTINATIONS
        and "HTTP_HX_REQUEST" not in environ
        and environ.get("HTTP_X_REQUESTED_WITH", "").lower() != "xmlhttprequest"
    )


class _Reply:
    """One response between the app and the server. What is wrong with it is passed on: the server says so."""

    def __init__(self, start_response, tag, head):
        self._start_response = start_response
        self._tag = tag
        self._head = head
        self._started = False
        self._page = None  # of the latest start_response, where that announced a page

    def start(self, *args, **kwargs):
        """The start_response of the app."""
        prepared = _prepare(args[0], args[1], self._tag, self._head) if len(args) > 1 else None
        if prepared is None:
            write, page = self._start_response(*args, **kwargs), None
        else:
            headers, page = prepared
            write = self._start_response(args[0], headers, *args[2:], **kwargs)
        self._started, self._page = True, page
        return write if page is None else lambda data: write(page.feed(data))

    def body(self, result):
        """What to return to the server for what the app returned."""
        if type(result) in (list, tuple):
            return result if self._page is None else self._page.whole(result)
        if self._started and self._page is None or not hasattr(result, "__iter__"):
            return result
        return _Body(result, self)  # also of a generator that has not called start_response yet

    def feed(self, data):
        return data if self._page is None else self._page.feed(data)

    def end(self):
        return b"" if self._page is None else self._page.end()


class _Body:
    """An app's iterable with the tag in it, in as many pieces and at the same times."""

    def __init__(self, result, reply):
        self._result = result
        self._reply = reply
        if hasattr(result, "close"):
            self.close = result.close

    def __iter__(self):
        for data in self._result:
            yield self._reply.feed(data)
        rest = self._reply.end()
        if rest:
            yield rest


def _prepare(status, headers, tag, head):
    """(headers, page) for a response that is a page; None for others, and where the arguments are not what PEP 3333 asks for."""
    try:
        code = int(status[:3])
        fields = {name.lower(): value.strip() for name, value in headers}
        if type(headers) is not list or not _is_page(code, fields):
            return None
    except (AttributeError, TypeError, ValueError):
        return None
    admitted = admit(headers)
    if admitted is None:
        return None
    headers, nonce = admitted
    text = tag(nonce).encode("ascii")
    xml = fields["content-type"].lower().startswith("application/")
    return list(_rewritten(headers, len(text), xml)), _Page(text, xml, head)


def _is_page(code, fields):
    kind = fields.get("content-type", "").lower()
    charset = _CHARSET.search(kind)
    return (
        kind.partition(";")[0].strip() in ("text/html", "application/xhtml+xml")
        and not (charset and charset.group(1).startswith(_NO_ASCII))
        and code >= 200
        and code not in (204, 205, 206, 304)
        and not (300 <= code < 400 and "location" in fields)  # nobody sees it
        and fields.get("content-encoding", "identity").lower() == "identity"
        and not fields.get("content-disposition", "").lower().startswith("attachment")
    )


def _rewritten(headers, added, xml):
    """The headers of a page that gets longer by so many bytes."""
    for name, value in headers:
        field = name.lower()
        if field in _OF_THE_BYTES:
            continue
        if field == "content-length":
            if xml:
                continue  # whether the tag finds its place is seen in the body alone
            if re.fullmatch("[0-9]+", value):
                value = str(int(value) + added)
        elif field == "etag" and not value.startswith("W/"):
            value = "W/" + value  # the same page, not the same bytes
        yield name, value


# Texts in which tags are none, and what ends them.
_OPEN = re.compile(rb"<!--|<(?:script|style|title|textarea|head)(?=[\s/>])|</body(?=[\s/>])", re.IGNORECASE)
_CLOSE = {b"<" + name: re.compile(rb"</" + name + rb"(?=[\s/>])", re.IGNORECASE) for name in (b"script", b"style", b"title", b"textarea")}
_CLOSE[b"<!--"] = re.compile(rb"--!?>")
# The end of a piece that may be the beginning of one of those.
_CUT = re.compile(rb"(?:<(?:!-?|/?[a-z]{0,8})|--?!?)\Z", re.IGNORECASE)
_CUT_LENGTH = 10


class _Page:
    """A page that goes by in pieces, and gets its tag: after <head>, else before </body>, else (not in XML) at the end.

    After <head> is before <base>, which would change where the script comes from, and before a <meta> policy, which would forbid it.
    """

    def __init__(self, tag, xml, head):
        self._tag = tag  # b"" once it is placed
        self._at_the_end = not xml
        self._needs_body = head  # the answer to HEAD may come without the body that its headers are about
        self._held = b""  # read, not passed on: the beginning of what may be a tag
        self._inside = b""  # the key of _CLOSE that was read last, while it is open

    def feed(self, data):
        """What to pass on for the next piece."""
        if not isinstance(data, bytes):
            return data
        if data:
            self._needs_body = False
        if not self._tag:
            return data
        data, self._held = self._held + data, b""
        at = 0
        while True:
            found = (_CLOSE[self._inside] if self._inside else _OPEN).search(data, at)
            if found is None:
                cut = _CUT.search(data, max(at, len(data) - _CUT_LENGTH))
                return self._hold(data, cut.start()) if cut else data
            at = found.end()
            if self._inside:
                self._inside = b""
                continue
            name = found.group().lower()
            if name == b"</body":
                return self._place(data, found.start())
            if name == b"<head":
                end = data.find(b">", at)
                if end >= 0:
                    return self._place(data, end + 1)
                if len(data) - found.start() < _HEAD_LIMIT:
                    return self._hold(data, found.start())
                continue
            self._inside = name
            if name == b"<!--":
                at -= 2  # <!--> is a whole comment

    def end(self):
        """What is left to pass on when the app has ended the body."""
        data, self._held = self._held, b""
        if self._at_the_end and not self._needs_body:
            data, self._tag = data + self._tag, b""
        return data

    def whole(self, pieces):
        """A list or a tuple of all pieces as a list of as many."""
        if not all(isinstance(piece, bytes) for piece in pieces):
            return pieces
        pieces = [self.feed(piece) for piece in pieces]
        rest = self.end()
        if rest:
            pieces[-1:] = [b"".join(pieces[-1:]) + rest]
        return pieces

    def _hold(self, data, start):
        self._held = data[start:]
        return data[:start]

    def _place(self, data, at):
        data, self._tag = data[:at] + self._tag + data[at:], b""
        return data
