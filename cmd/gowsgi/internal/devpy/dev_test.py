"""Tests of what stands around an app: python -m unittest dev_test, in this folder."""

import contextlib
import gc
import io
import json
import os
import sys
import types
import unittest
import weakref
from unittest import mock
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import errors_test  # which makes the modules of the error page
import pages_test

host = sys.modules["_gowsgi_host"]
dev = pages_test.load("_gowsgi_dev", "dev.py")
HERE = errors_test.HERE


def ask(app, **options):
    """(answer, what was logged)"""
    with contextlib.redirect_stderr(io.StringIO()) as log:
        answer = pages_test.ask(dev._Guarded(app, "project:app"), REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost", **options)
    return answer, log.getvalue()


def failing(error=ValueError("on purpose")):
    raise error
    yield


def answering(result, start=True):
    """An app that returns something."""

    def app(environ, start_response):
        if start:
            start_response("200 OK", [("Content-Type", "text/plain")])
        return result

    return app


class Closing:
    def __init__(self, chunks):
        self.chunks, self.closed = chunks, 0

    def __iter__(self):
        return iter(self.chunks)

    def close(self):
        self.closed += 1


class GuardedTest(unittest.TestCase):
    def test_an_exception_before_the_first_byte_is_shown_and_logged_once(self):
        def raises(environ, start_response):
            raise ValueError("on purpose")

        def after_start(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            raise ValueError("on purpose")

        def late():
            yield b""
            raise ValueError("on purpose")

        for app in raises, after_start, answering(failing()), answering(late()), answering(failing(), start=False):
            answer, log = ask(app)
            self.assertEqual(answer.status[:3], "500")
            self.assertIn(b"on purpose", answer.body)
            self.assertEqual(log.count("ValueError: on purpose"), 1)

    def test_an_exception_after_the_first_byte_is_the_server_s(self):
        def chunks():
            yield b"begun"
            raise ValueError("on purpose")

        def writing(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])(b"begun")
            raise ValueError("on purpose")

        for app in answering(chunks()), writing:
            with contextlib.redirect_stderr(io.StringIO()) as log, self.assertRaisesRegex(ValueError, "on purpose"):
                pages_test.ask(dev._Guarded(app, "project:app"))
            self.assertEqual(log.getvalue(), "")  # the server logs it

    def test_what_is_no_body_is_said(self):
        for result, text in (
            (None, "the app returned None"),
            (5, "the app returned an object of type int"),
            ("text", "the app returned str"),
            (b"bytes", "the app returned bytes"),
            (["text"], "the body of the response has str in it"),
            (iter([5]), "the body of the response has int in it"),
        ):
            answer, log = ask(answering(result))
            self.assertEqual(answer.status[:3], "500")
            self.assertIn(text.encode(), answer.body)
            self.assertIn(text, log)

    def test_bodies_are_closed_once(self):
        for chunks in [b"a", b"b"], [], failing():
            body = Closing(chunks)
            ask(answering(body))
            self.assertEqual(body.closed, 1)

    def test_requests_to_end_pass_through(self):
        for error in SystemExit, KeyboardInterrupt, type("Timeout", (BaseException,), {}):
            for app in (lambda environ, start_response: failing(error).__next__(), answering(failing(error))):
                with self.assertRaises(error):
                    ask(app)

    def test_files_and_whole_bodies_stay_what_they_are(self):
        file = FileWrapper(io.BytesIO(b"x"))
        for result in file, [b"x"], (b"x",):
            self.assertIs(ask(answering(result))[0].result, result)

    def test_an_app_may_take_the_file_wrapper_away(self):
        def app(environ, start_response):
            del environ["wsgi.file_wrapper"]
            start_response("200 OK", [("Content-Type", "text/plain")])
            return iter([b"x"])

        self.assertEqual(ask(app)[0].body, b"x")

    def test_it_is_as_pep_3333_wants_it(self):
        for result in [b"x"], iter([b"", b"x"]), Closing([b"x"]):
            answer, _ = ask(answering(result))
            self.assertEqual(answer.body, b"x")
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(pages_test.ask(validator(dev._Guarded(validator(answering([b"x"])), ""))).body, b"x")

    def test_nothing_of_a_request_that_failed_is_kept(self):
        class Thing:
            pass

        kept = []

        def app(environ, start_response):
            thing = Thing()
            kept.append(weakref.ref(thing))
            raise ValueError(thing)

        for _ in range(3):
            ask(app)
        gc.collect()
        self.assertEqual([ref() for ref in kept], [None] * 3)


class LoadTest(unittest.TestCase):
    def setUp(self):
        for name in ("_broken", "_missing"):
            patched = mock.patch.object(dev, name, "")
            patched.start()
            self.addCleanup(patched.stop)

    def load(self, find):
        with contextlib.redirect_stderr(io.StringIO()) as log:
            app = dev.load("project:app", lambda spec: find())
        return pages_test.ask(app, REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost"), log.getvalue()

    def test_an_import_that_fails_is_shown_also_where_the_exception_can_t_be(self):
        class Odd(Exception):
            def __str__(self):
                raise RuntimeError

        for error in Odd(), SystemExit(3), RecursionError("on purpose"):
            answer, log = self.load(lambda error=error: failing(error).__next__())
            self.assertEqual(answer.status[:3], "500")
            self.assertIn(type(error).__name__.encode(), answer.body)
            self.assertIn(type(error).__name__, dev._broken)
            self.assertNotEqual(log, "")

    def test_so_are_settings_that_fail_when_static_files_are_looked_for(self):
        with mock.patch.object(dev.pages, "static", side_effect=ValueError("wrong settings")), mock.patch.object(dev, "_apps", []):
            answer, _ = self.load(lambda: answering([b""]))
            self.assertIn(b"wrong settings", answer.body)
            self.assertEqual(dev._apps, [])


class DescribeTest(unittest.TestCase):
    def describe(self, **modules):
        with mock.patch.dict(sys.modules, modules):
            return json.loads(dev.describe(""))

    def test_odd_modules_do_no_harm(self):
        class Lazy(types.ModuleType):
            def __getattr__(self, name):
                raise ImportError("it makes itself now, and can't")

        found = self.describe(lazy_thing=Lazy("lazy_thing"), blocked=None, by_class=type("C", (), {"__path__": [5]}))
        self.assertLessEqual({"lazy_thing", "blocked", "by_class"}, set(found["Modules"]))

    def test_variables_that_the_app_sets_are_told(self):
        with mock.patch.dict(os.environ, {"SET_BY_APP": "", "CHANGED_BY_APP": "1", "GONE_BY_APP": ""}):
            del os.environ["SET_BY_APP"]
            with mock.patch.object(dev, "_environ", {}):
                dev.configure("{}")
                os.environ.update(SET_BY_APP="1", CHANGED_BY_APP="2")
                del os.environ["GONE_BY_APP"]
                self.assertEqual(self.describe()["Environ"], ["CHANGED_BY_APP", "GONE_BY_APP", "SET_BY_APP"])

    def test_a_module_in_the_place_of_another_is_told(self):
        other = types.ModuleType("pysqlite3")
        other.__spec__ = types.SimpleNamespace(name="pysqlite3")
        found = self.describe(sqlite3=other)
        self.assertIn("sqlite3", found["Own"])
        self.assertNotIn("os", found["Own"])
