"""Tests of gowsgi dev's error page: python -m unittest errors_test, in this folder. The other errors_*_test.py need this one."""

import gc
import html.parser
import importlib
import json
import os
import sys
import tempfile
import textwrap
import threading
import types
import unittest
import weakref
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))


def load(stem):
    """A module as the host makes it from its text."""
    name = "_gowsgi_dev_" + stem
    module = sys.modules[name] = types.ModuleType(name)
    module.__file__ = "<gowsgi>/%s.py" % name
    with open(os.path.join(HERE, stem + ".py"), encoding="utf-8") as f:
        exec(compile(f.read(), module.__file__, "exec"), vars(module))
    return module


values, hints, page, errors = map(load, ("errors_values", "errors_hints", "errors_page", "errors"))

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def caught(call, *args):
    try:
        call(*args)
    except BaseException as e:
        return e
    raise AssertionError("nothing was raised")


def answer(report, head="", **environ):
    """(status, headers, body) of respond(). environ: also in place of what a browser on this machine sends."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "REMOTE_ADDR": "127.0.0.1", "HTTP_ACCEPT": BROWSER, **environ}
    sent = []
    body = b"".join(errors.respond(report, environ, lambda status, headers: sent.append((status, headers)), head))
    (status, headers), named = sent[0], dict(sent[0][1])
    assert len(named) == len(headers) and named["Content-Length"] == str(len(body))
    return status, named, body.decode("utf-8")


class Document(html.parser.HTMLParser):
    """What a browser makes of a page: the elements, their nonces, and the text."""

    VOID = {"meta", "br"}

    def __init__(self, source):
        super().__init__()
        self.elements, self.nonces, self.words, self.open = [], set(), [], []
        self.feed(source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.nonces.update(value for name, value in attributes if name == "nonce")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


class ProjectTest(unittest.TestCase):
    """Tests with a project in a folder of its own, where importing leaves nothing behind."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.realpath(folder.name)
        self.path, self.modules = list(sys.path), set(sys.modules)
        sys.path.insert(0, self.dir)

    def tearDown(self):
        sys.path[:] = self.path
        for name in set(sys.modules) - self.modules:
            module = sys.modules[name]
            if (getattr(module, "__file__", None) or "").startswith(self.dir):
                del sys.modules[name]
        importlib.invalidate_caches()

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(textwrap.dedent(text))
        importlib.invalidate_caches()
        return path

    def module(self, name, text):
        self.write(name + ".py", text)
        return importlib.import_module(name)

    def report(self, exc, kind="request"):
        return errors.report(exc, kind, self.dir, "shop:app")

    def raised(self, call, *args):
        return self.report(caught(call, *args)).raised[0]

    def imported(self, name):
        """The report of a module that can't be imported."""
        return self.report(caught(importlib.import_module, name), "import")


class FramesTest(ProjectTest):
    def test_a_frame_of_the_project_has_five_lines_around_and_its_variables(self):
        text = "\n".join("# %d" % i for i in range(1, 10)) + "\ndef view(who):\n    x = 1\n    return x / 0\n" + "# after\n" * 9
        raised = self.raised(self.module("shop", text).view, "Ada")
        self.assertEqual((raised.type, raised.message), ("ZeroDivisionError", "division by zero"))
        frame = raised.frames[-1]
        self.assertEqual((frame.shown, frame.line, frame.name, frame.own), ("shop.py", 12, "view", True))
        self.assertEqual([number for number, _ in frame.source], list(range(7, 18)))
        self.assertEqual(dict(frame.source)[12], "    return x / 0")
        self.assertEqual(frame.values, [("who", "'Ada'"), ("x", "1")])

    @unittest.skipUnless(sys.version_info >= (3, 11), "columns came with 3.11")
    def test_the_part_of_the_line_that_failed_is_marked_in_characters(self):
        frame = self.raised(self.module("shop", "def view(d):\n    return 'äöü', d['x'], 1\n").view, {}).frames[-1]
        begin, end = frame.mark
        self.assertEqual(frame.source[1][1][begin:end], "d['x']")

    def test_what_is_installed_is_not_the_projects_even_inside_its_folder(self):
        for file, own, package in (
            ("/p/shop/views.py", True, ""),
            ("/p/.venv/lib/python3.13/site-packages/django/core/x.py", False, "django"),
            ("/p/venv/lib/site-packages/six.py", False, "six"),
            ("/usr/lib/python3/dist-packages/yaml/x.py", False, "yaml"),
            (json.__file__, False, "Python"),
            ("/other/place.py", False, "place.py"),
            ("<frozen runpy>", False, "Python"),
        ):
            self.assertEqual(errors._belongs(file, "/p")[:2], (own, package), file)
        with mock.patch.object(sys, "prefix", "/p/env"):
            self.assertFalse(errors._belongs("/p/env/bin/tool.py", "/p")[0])

    def test_empty_lines_at_the_ends_of_an_excerpt_are_left_out(self):
        frame = self.raised(self.module("shop", "\n\n\ndef view():\n\n    1/0\n\n\nx = 1\n\n").view).frames[-1]
        self.assertEqual([number for number, _ in frame.source], [4, 5, 6, 7, 8, 9])

    def test_the_source_is_that_of_the_file_as_it_is_now(self):
        module = self.module("shop", "def view():\n    return 1/0\n")
        self.raised(module.view)
        self.write("shop.py", "def view():\n    return 1/0  # still\n")
        importlib.reload(module)
        self.assertEqual(self.raised(module.view).frames[-1].source[-1], (2, "    return 1/0  # still"))

    def test_the_projects_variables_come_first_where_a_librarys_take_too_long(self):
        never = threading.Event()
        self.addCleanup(never.set)

        class Stuck:
            def __repr__(self):
                never.wait()

        frames = self.raised(self.module("shop", "def view(stuck):\n    x = 1\n    del stuck\n    1/0\n").view, Stuck()).frames
        self.assertEqual(frames[-1].values, [("x", "1")])
        self.assertIn("too long", frames[0].values[-1][1])

    def test_the_frames_of_the_server_and_of_the_import_system_are_left_out(self):
        space = {"app": self.module("shop", "import importlib\ndef app():\n    importlib.import_module('broken')\n").app}
        self.write("broken.py", "1/0\n")
        exec(compile("def call():\n    app()\n", "<gowsgi>/_gowsgi_dev.py", "exec"), space)
        report = self.report(caught(space["call"]))
        self.assertEqual([f.name for f in report.raised[0].frames[-2:]], ["app", "<module>"])
        self.assertNotIn("<gowsgi>", report.text)
        self.assertNotIn("importlib/", report.text)
        self.assertNotIn("<frozen importlib", report.text)
        self.assertTrue(report.text.startswith("Traceback (most recent call last):\n"))
        self.assertTrue(report.text.endswith("ZeroDivisionError: division by zero"))
        self.assertEqual(errors.text(report), report.text)

    def test_frames_that_repeat_are_there_once_with_how_often(self):
        module = self.module("shop", "def a(n):\n    return b(n + 1)\n\ndef b(n):\n    return a(n + 1)\n\ndef one():\n    return one()\n")
        report = self.report(caught(module.a, 0))
        own = [f for f in report.raised[0].frames if f.own]
        self.assertLess(len(own), 6)
        cycle = next(f for f in own if f.times > 1)
        self.assertEqual(cycle.cycle, 2)
        self.assertGreater(cycle.times, 300)
        self.assertTrue("[Previous 2 frames repeated %d more times]" % (cycle.times - 1) in report.text)
        self.assertLess(len(report.text), 2000)
        self.assertLess(len(answer(report)[2]), 100_000)
        report = self.report(caught(module.one))
        self.assertIn("[Previous line repeated", report.text)
        self.assertIn("this call repeated", answer(report)[2])

    def test_of_a_thousand_different_frames_the_middle_is_left_out(self):
        text = "".join("def f%d():\n    f%d()\n" % (i, i + 1) for i in range(300)) + "def f300():\n    1/0\n"
        report = self.report(caught(self.module("shop", text).f0))
        frames = report.raised[0].frames
        self.assertEqual(len(frames), 100)
        self.assertEqual(frames[-1].name, "f300")
        self.assertEqual(sum(f.skipped for f in frames), 302 - 100)
        self.assertIn("202 frames are left out", answer(report)[2])

    def test_a_report_holds_nothing_of_the_app(self):
        module = self.module("shop", "class Big:\n    pass\n\ndef view(told):\n    big = Big()\n    told(big)\n    1/0\n")
        refs = []
        e = caught(module.view, lambda big: refs.append(weakref.ref(big)))
        report = self.report(e)
        self.assertIsNotNone(refs[0]())
        del e
        gc.collect()
        self.assertIsNone(refs[0]())
        self.assertIn("shop.Big object", answer(report)[2])

    def test_exceptions_in_generators_and_constructors_are_as_any_other(self):
        module = self.module(
            "shop",
            """\
            class Middleware:
                def __init__(self, app):
                    raise ValueError("no " + app)

            def body():
                yield b""
                raise ValueError("late")
            """,
        )
        self.assertEqual(self.raised(module.Middleware, "app").frames[-1].name, "__init__")
        self.assertEqual(self.raised(list, module.body()).frames[-1].line, 7)

    def test_an_exception_that_was_never_raised_has_a_page_too(self):
        report = self.report(ValueError("no such app"), "import")
        self.assertEqual(report.text, "ValueError: no such app")
        text = Document(answer(report)[2]).text
        self.assertIn("shop:app can't be loaded", text)
        self.assertIn("no such app", text)


class ChainTest(ProjectTest):
    def test_causes_and_contexts_follow_with_what_they_are(self):
        module = self.module(
            "shop",
            """\
            def view():
                try:
                    try:
                        {}["a"]
                    except KeyError:
                        int("b")
                except ValueError as e:
                    raise RuntimeError("top") from e

            def alone():
                try:
                    1/0
                except ZeroDivisionError:
                    raise RuntimeError("alone") from None
            """,
        )
        report = self.report(caught(module.view))
        self.assertEqual([(r.type, r.link) for r in report.raised], [("RuntimeError", ""), ("ValueError", "cause"), ("KeyError", "context")])
        text = Document(answer(report)[2]).text
        self.assertLess(text.index("Directly caused by"), text.index("Raised while this was handled"))
        self.assertEqual(len(self.report(caught(module.alone)).raised), 1)

    def test_a_ring_of_causes_ends(self):
        a, b = ValueError("a"), ValueError("b")
        a.__cause__, b.__cause__ = b, a
        self.assertEqual(len(self.report(a).raised), 2)

    @unittest.skipUnless(sys.version_info >= (3, 11), "groups came with 3.11")
    def test_a_group_shows_its_exceptions_and_notes_are_shown(self):
        late = ValueError("one")
        late.add_note("try <tea>")
        report = self.report(ExceptionGroup("both", [late, late, ExceptionGroup("inner", [TypeError("two")])]))
        first, second = report.raised[0].group
        self.assertEqual((first[0].type, first[0].notes), ("ValueError", ["try <tea>"]))
        self.assertEqual(second[0].group[0][0].message, "two")
        text = Document(answer(report)[2]).text
        self.assertIn("Exception 2 of the group", text)
        self.assertIn('<div class="note">try &lt;tea&gt;</div>', answer(report)[2])

    def test_an_exception_whose_str_fails_is_named(self):
        class Odd(Exception):
            def __str__(self):
                raise KeyError("x")

        report = self.report(Odd())
        self.assertEqual(report.raised[0].message, "(its str() raised KeyError)")
        self.assertIn("Odd", report.text)

    def test_an_exception_with_attributes_like_a_groups_is_none(self):
        class Odd(Exception):
            exceptions = 3

            @property
            def __notes__(self):
                raise RuntimeError

        raised = self.report(Odd("odd")).raised[0]
        self.assertEqual((raised.message, raised.group, raised.notes), ("odd", [], []))

    def test_a_message_of_megabytes_makes_no_page_of_megabytes(self):
        report = self.report(ValueError("x" * 5_000_000))
        self.assertLess(len(answer(report)[2]), 300_000)
        self.assertLess(len(report.text), 210_000)


if __name__ == "__main__":
    unittest.main()
