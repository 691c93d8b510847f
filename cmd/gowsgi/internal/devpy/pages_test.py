"""Tests of the tag in pages, and what the other tests ask apps with: python -m unittest pages_test, in this folder."""

import collections
import io
import os
import sys
import types
import unittest
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = os.path.join(HERE, "../../../../pyhost/py/host.py")
NONCE = ' nonce="%s"'
BROWSER = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8", "HTTP_ACCEPT_ENCODING": "gzip, br"}


def load(name, path):
    """A module as the host makes it from its text."""
    module = sys.modules[name] = types.ModuleType(name)
    module.__file__ = os.path.join(HERE, path)
    with open(module.__file__, encoding="utf-8") as f:
        exec(compile(f.read(), module.__file__, "exec"), vars(module))
    return module


if "_gowsgi_dev_pages" not in sys.modules:
    host = load("_gowsgi_host", HOST)
    host._errors_flush = lambda: None  # a function in C
    del host.errors  # which would be flushed when Python has taken the module apart
    for part in ("_csp", "_django", "_folders", ""):
        load("_gowsgi_dev_pages" + part, "pages%s.py" % part)
pages = sys.modules["_gowsgi_dev_pages"]


def tag(nonce=""):
    return '<script src="/__gowsgi__/dev.js"%s defer=""></script>' % (NONCE % nonce if nonce else "")


TAG = tag().encode()
Answer = collections.namedtuple("Answer", "status headers body pieces result")


def ask(app, path="/", method="GET", browser=True, **environ):
    """Asks as PEP 3333 wants it of a server; environ: headers, HTTP_X."""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        **(BROWSER if browser else {}),
        **environ,
    }
    environ["wsgi.file_wrapper"] = FileWrapper
    setup_testing_defaults(environ)
    head, written = [], []

    def start_response(status, headers, exc_info=None):
        assert not head or exc_info, "called a second time"
        if exc_info and any(written):
            raise exc_info[1]
        head[:] = [status, headers]
        return written.append

    result = app(environ, start_response)
    try:
        for piece in result:
            assert head or not piece, "a piece before start_response"
            written.append(piece)
    finally:
        if hasattr(result, "close"):
            result.close()
    headers = {name.lower(): value for name, value in head[1]}
    return Answer(head[0], headers, b"".join(written), written, result)


def page(*pieces, status="200 OK", kind="text/html; charset=utf-8", length=True, result=list, **headers):
    """An app that answers with the pieces."""
    headers = [("Content-Type", kind)] + [(name.replace("_", "-"), value) for name, value in headers.items()]
    if length:
        headers.append(("Content-Length", str(sum(map(len, pieces)))))

    def app(environ, start_response):
        start_response(status, list(headers))
        return result(pieces)

    return app


def injected(app):
    return pages.inject(app, tag)


class InjectTest(unittest.TestCase):
    def body(self, *pieces, **options):
        return ask(validator(injected(validator(page(*pieces, **options))))).body

    def test_the_tag_is_the_first_thing_in_the_head(self):
        for before, after in (
            (b"<!doctype html><html><head>", b"<base href=/x/><title>t</title></head><body></body>"),
            (b"<HEAD>", b"<title>t</title></HEAD>"),
            (b'<head lang="en"\n id=a>', b"</head>"),
            (b"<!-- <head> --><head>", b"</head>"),
            (b"<!--[if IE]><head><![endif]--><!--[if !IE]><!--><head>", b"<!--<![endif]-->"),
            (b"<script>'<head>'</script><head>", b"</head>"),
        ):
            self.assertEqual(self.body(before + after), before + TAG + after)

    def test_without_a_head_it_is_before_the_end_of_the_body(self):
        for before, after in (
            (b"<html><body><header>h</header>", b"</body></html>"),
            (b"<p>x", b"</BODY >"),
            (b"<bodybuilder></bodybuilder>", b"</body>"),
            (b"<script>var s = '</body>'</script><style>/*</body>*/</style><textarea></body></textarea>", b"</body>"),
            (b"<!-- </body> --><!-->", b"</body>"),
        ):
            self.assertEqual(self.body(before + after), before + TAG + after)

    def test_without_either_it_is_at_the_end(self):
        for text in (b"Hello, world!", b"", b"<header>h</header>", b"<head" + b" a" * 5000, b"<hea", b"<!--", b"a < b --"):
            self.assertEqual(self.body(text), text + TAG)

    def test_pieces_cut_anywhere_give_the_same_page(self):
        for text, want in (
            (b"<!--<head>--!><html><head a='b'><title>t", b"<!--<head>--!><html><head a='b'>" + TAG + b"<title>t"),
            (b"<!--><title><head></title><p></body></html>", b"<!--><title><head></title><p>" + TAG + b"</body></html>"),
            (b"<script></body></scripts></script\n></body>", b"<script></body></scripts></script\n>" + TAG + b"</body>"),
            (b"<p>- a <b --", b"<p>- a <b --" + TAG),
        ):
            for first in range(len(text) + 1):
                for second in range(first, len(text) + 1):
                    pieces = text[:first], text[first:second], text[second:]
                    self.assertEqual(self.body(*pieces, result=iter), want, pieces)
            self.assertEqual(self.body(*[text[i : i + 1] for i in range(len(text))], result=iter), want)

    def test_a_stream_is_passed_on_as_it_comes(self):
        seen = []

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/html")])
            for piece in (b"<head><title>", b"1", b"2", b"</body>"):
                yield piece
                seen.append(piece)

        environ = dict(BROWSER, REQUEST_METHOD="GET")
        result = iter(injected(app)(environ, lambda *a: None))
        self.assertEqual((next(result), seen), (b"<head>" + TAG + b"<title>", []))
        self.assertEqual((next(result), len(seen)), (b"1", 1))
        self.assertEqual((next(result), len(seen)), (b"2", 2))

    def test_little_is_held_back_of_a_stream(self):
        answer = ask(injected(page(b"<p>1</p", b">2", b"<", b"br>3", length=False, result=iter)))
        self.assertEqual(answer.pieces, [b"<p>1", b"</p>2", b"", b"<br>3", TAG])
        answer = ask(injected(page(b"<head " + b"a" * 5000, b"b", length=False, result=iter)))
        self.assertEqual(len(answer.pieces[0]), 5006)

    def test_content_length_grows_by_the_tag(self):
        for method in ("GET", "HEAD"):
            for result in (list, tuple, iter):
                answer = ask(injected(page(b"<head>", b"<p>", result=result)), method=method)
                self.assertEqual(answer.headers["content-length"], str(9 + len(TAG)))
                self.assertEqual(answer.body, b"<head>" + TAG + b"<p>")
        self.assertNotIn("content-length", ask(injected(page(b"<p>", length=False))).headers)
        self.assertEqual(ask(injected(page(b"", length=False, Content_Length="x"))).headers["content-length"], "x")

    def test_the_answer_to_a_form_is_left_alone(self):
        self.assertEqual(ask(injected(page(b"<head>")), method="POST").body, b"<head>")

    def test_head_has_the_length_of_get_and_no_body_of_its_own(self):
        for pieces in ([], [b""]):
            for result in (list, iter):
                answer = ask(injected(page(*pieces, length=False, Content_Length="9", result=result)), method="HEAD")
                self.assertEqual((answer.headers["content-length"], answer.body), (str(9 + len(TAG)), b""))

    def test_a_list_stays_a_list_of_as_many_pieces(self):
        self.assertEqual(ask(injected(page(b"<p>", b"</p>"))).result, [b"<p>", b"</p>" + TAG])
        self.assertEqual(ask(injected(page(b"<head>"))).result, [b"<head>" + TAG])

    def test_all_that_has_a_body_to_show_is_a_page(self):
        for status in ("200 OK", "201 Created", "400 Bad Request", "404 Not Found", "500 Internal Server Error", "599 X"):
            for kind in ("text/html", "TEXT/HTML;charset=latin-1", 'text/html; charset="utf-8"', "application/xhtml+xml"):
                self.assertIn(TAG, self.body(b"<head></head>", status=status, kind=kind), (status, kind))

    def test_other_responses_are_the_objects_that_the_app_returned(self):
        class Result(list):
            pass

        html = "text/html; charset=utf-8"
        for name, options in {
            "JSON": {"kind": "application/json"},
            "plain text": {"kind": "text/plain"},
            "UTF-16": {"kind": "text/html; charset=utf-16le"},
            "UTF-32": {"kind": 'text/html; charset="UTF-32"'},
            "no response yet": {"status": "100 Continue"},
            "no content": {"status": "204 No Content"},
            "not modified": {"status": "304 Not Modified"},
            "partial": {"status": "206 Partial Content", "Content_Range": "bytes 0-5/10"},
            "a redirect": {"status": "302 Found", "Location": "/"},
            "encoded": {"Content_Encoding": "gzip"},
            "a download": {"Content_Disposition": 'Attachment; filename="a.html"'},
            "a sandbox": {"Content_Security_Policy": "sandbox allow-forms"},
        }.items():
            result, want = Result([b"<head>"]), {"Content-Length": "6", "ETag": '"a"', "Accept-Ranges": "bytes"}
            answer = ask(injected(page(b"<head>", result=lambda _: result, ETag='"a"', Accept_Ranges="bytes", **{"kind": html, **options})))
            self.assertIs(answer.result, result, name)
            self.assertEqual({key: answer.headers[key.lower()] for key in want}, want, name)

    def test_a_file_that_is_no_page_stays_the_servers_file_wrapper(self):
        file = io.BytesIO(b"<head>")
        self.assertIs(type(ask(injected(page(kind="text/css", result=lambda _: FileWrapper(file)))).result), FileWrapper)
        self.assertTrue(file.closed)

    def test_a_file_that_is_a_page_is_read(self):
        file = io.BytesIO(b"<head>" + b"x" * 100000)
        answer = ask(injected(page(length=False, Content_Length="100006", result=lambda _: FileWrapper(file))))
        self.assertEqual(answer.body, b"<head>" + TAG + b"x" * 100000)
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
        self.assertTrue(file.closed)

    def test_what_a_script_or_a_tool_asks_for_has_no_tag(self):
        app = page(b"<head>", ETag='"a"')
        for name, environ in {
            "htmx": {"HTTP_HX_REQUEST": "true"},
            "jQuery": {"HTTP_X_REQUESTED_WITH": "XMLHttpRequest"},
            "fetch()": {"HTTP_SEC_FETCH_DEST": "empty"},
            "fetch() where browsers do not say so": {"HTTP_ACCEPT": "*/*"},
            "an image": {"HTTP_SEC_FETCH_DEST": "image"},
            "curl": {"browser": False, "HTTP_ACCEPT": "*/*"},
            "no Accept": {"browser": False},
        }.items():
            answer = ask(injected(app), **environ)
            self.assertEqual((answer.body, answer.headers["etag"]), (b"<head>", '"a"'), name)
        for environ in (
            {"HTTP_SEC_FETCH_DEST": "document"},
            {"HTTP_SEC_FETCH_DEST": "iframe"},
            {"HTTP_X_REQUESTED_WITH": "org.example.browser"},
        ):
            self.assertIn(TAG, ask(injected(app), **environ).body)

    def test_xhtml_without_a_place_for_the_tag_stays_well_formed(self):
        for method in ("GET", "HEAD"):
            answer = ask(injected(page(b"<html/>", kind="application/xhtml+xml")), method=method)
            self.assertEqual(answer.body, b"<html/>")
            self.assertNotIn("content-length", answer.headers)

    def test_the_app_sees_no_encodings_and_no_conditions_where_a_page_may_come(self):
        seen = {}

        def app(environ, start_response):
            seen.clear()
            seen.update(environ)
            return page(b"")(environ, start_response)

        conditions = {"HTTP_IF_NONE_MATCH": '"a"', "HTTP_IF_MODIFIED_SINCE": "Thu, 01 Jan 2026 00:00:00 GMT"}
        ask(injected(app), **conditions)
        self.assertFalse({"HTTP_ACCEPT_ENCODING", *conditions} & set(seen))
        ask(injected(app), method="PUT", **conditions)  # If-None-Match: * means "only if there is none"
        self.assertLessEqual(set(conditions), set(seen))
        ask(injected(app), HTTP_SEC_FETCH_DEST="script", **conditions)
        self.assertLessEqual({"HTTP_ACCEPT_ENCODING", *conditions}, set(seen))

    def test_headers_about_the_exact_bytes_are_weakened_or_go(self):
        gone = {
            "Content_MD5": "x",
            "Digest": "sha-256=x",
            "Repr_Digest": "sha-256=:x:",
            "Content_Digest": "sha-256=:x:",
            "Accept_Ranges": "bytes",
        }
        headers = ask(injected(page(b"", ETag='"a"', Last_Modified="x", **gone))).headers
        self.assertEqual((headers["etag"], headers["last-modified"]), ('W/"a"', "x"))
        self.assertFalse({name.replace("_", "-").lower() for name in gone} & set(headers))
        self.assertEqual(ask(injected(page(b"", ETag='W/"a"'))).headers["etag"], 'W/"a"')

    def test_write_gets_the_tag_too(self):
        def app(environ, start_response):
            write = start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", "12")])
            write(b"<he")
            write(b"ad>1")
            return [b"</hea"]

        self.assertEqual(ask(injected(app)).body, b"<head>" + TAG + b"1</hea")

    def test_start_response_may_come_late_and_twice(self):
        def late(environ, start_response):
            yield b""
            start_response("200 OK", [("Content-Type", "text/html")])
            yield b"<head>"

        def other(first, second):
            def app(environ, start_response):
                start_response("200 OK", [("Content-Type", first), ("Content-Length", "6")])
                try:
                    raise ValueError
                except ValueError:
                    start_response("500 Oh", [("Content-Type", second), ("Content-Length", "6")], sys.exc_info())
                yield b"<head>"

            return app

        self.assertEqual(ask(injected(late)).body, b"<head>" + TAG)
        answer = ask(injected(other("text/html", "text/plain")))
        self.assertEqual((answer.body, answer.headers["content-length"]), (b"<head>", "6"))
        answer = ask(injected(other("text/plain", "text/html")))
        self.assertEqual((answer.body, answer.headers["content-length"]), (b"<head>" + TAG, str(6 + len(TAG))))

    def test_close_is_called_once_whatever_happens(self):
        class Result:
            closed = 0

            def __iter__(self):
                yield b"<head>"
                raise ValueError("mine")

            def close(self):
                self.closed += 1

        result = Result()
        with self.assertRaisesRegex(ValueError, "mine"):
            ask(injected(page(length=False, result=lambda _: result)))
        self.assertEqual(result.closed, 1)

    def test_what_is_wrong_with_an_app_the_server_gets_to_see(self):
        start = []

        def run(result, *args):
            def app(environ, start_response):
                start_response(*args)
                return result

            del start[:]
            return injected(app)(dict(BROWSER, REQUEST_METHOD="GET"), lambda *a: start.append(a))

        good = ("200 OK", [("Content-Type", "text/html")])
        self.assertIsNone(run(None, *good))
        self.assertEqual(run(["text"], *good), ["text"])
        self.assertEqual(list(run(iter(["text"]), *good)), ["text", TAG])
        headers = [None, [("a",)], [(b"a", b"b")], (("Content-Type", "text/html"),)]
        for args in ((), ("200 OK",), ("x", []), (200, []), *(("200 OK", h) for h in headers)):
            run([], *args)
            self.assertEqual(start, [args])


if __name__ == "__main__":
    unittest.main()
