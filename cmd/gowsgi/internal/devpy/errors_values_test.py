"""Tests of how variables are shown, and of what is told about imports that fail: python -m unittest errors_values_test, in this folder."""

import collections
import contextvars
import dataclasses
import enum
import sys
import threading
import unittest

import errors_test as base

values = base.values


class ValuesTest(unittest.TestCase):
    def test_names_that_mean_secrets(self):
        for (
            name
        ) in "password PASSWD db_pwd api_key apiKey key keys SECRET_KEY csrftoken sessionid HTTP_COOKIE auth oauth authorization".split():
            self.assertTrue(values.is_secret(name), name)
        for name in "author authors keyboard name user pass_through compass primary".split():
            self.assertFalse(values.is_secret(name), name)

    def test_what_values_look_like(self):
        Point = collections.namedtuple("Point", "x token")

        @dataclasses.dataclass
        class Item:
            name: str
            password: str
            pin: int = dataclasses.field(default=1, repr=False)

        class Named(dict):
            pass

        class Color(str, enum.Enum):
            RED = "r"

        class Plain:
            pass

        ring = []
        ring.append(ring)
        for value, want in (
            (None, "None"),
            ("a'b", '"a\'b"'),
            (b"x", "b'x'"),
            ([1, "a", (2,), ()], "[1, 'a', (2,), ()]"),
            ({"a": {1}, "password": "p", 3: set()}, "{'a': {1}, 'password': (hidden), 3: set([])}"),
            (Named(a=1), "Named({'a': 1})"),
            (frozenset([1]), "frozenset([1])"),
            (collections.deque([1, 2]), "deque([1, 2])"),
            ({"a": 1}.keys(), "dict_keys(['a'])"),
            (Point(1, "t"), "Point(x=1, token=(hidden))"),
            (Item("tea", "p"), "Item(name='tea', password=(hidden))"),
            (Color.RED, repr(Color.RED)),
            (dict, "<class 'dict'>"),
            (Plain(), "<%s.%s object>" % (__name__, Plain.__qualname__)),
            (ring, "[[[[…]]]]"),
            (1 << 5000, "<an int of 5001 bits>"),
            ("https://x/?page=2&token=abc", "'https://x/?page=2&token=(hidden)'"),
        ):
            self.assertEqual(values.text(value), want)

    def test_no_value_is_longer_than_the_limit(self):
        class Long:
            def __repr__(self):
                return "y" * 1_000_000

        nested = []
        nested.append(nested)
        mapping = {str(i): i for i in range(100_000)}
        for value in ("x" * 10_000_000, b"x" * 10_000_000, list(range(1_000_000)), mapping, [["a" * 99] * 99] * 99, nested, Long()):
            self.assertLess(len(values.text(value)), 320)

    def test_a_repr_that_fails_or_never_ends_does_no_harm(self):
        never = threading.Event()
        self.addCleanup(never.set)

        class Failing:
            def __repr__(self):
                raise SystemExit(3)

        class Stuck:
            def __repr__(self):
                never.wait()
                return "late"

        class NoString:
            __repr__ = None

        found = values.describe([{"a": Failing(), "n": NoString(), "stuck": Stuck(), "b": 1, "password": 2}, {"c": 1}])
        late = " object> (its value took too long to show)"
        self.assertEqual(found[0][0], ("a", "<Failing object> (its repr raised SystemExit)"))
        self.assertEqual(found[0][1], ("n", "<NoString object> (its repr raised TypeError)"))
        self.assertEqual(found[0][2:], [("stuck", "<Stuck" + late), ("b", "<int" + late), ("password", "(hidden)")])
        self.assertEqual(found[1], [("c", "<int" + late)])

    def test_a_repr_runs_in_the_context_of_the_request(self):
        who = contextvars.ContextVar("who", default="nobody")

        class User:
            def __repr__(self):
                return "<User %s>" % who.get()

        self.addCleanup(who.reset, who.set("Ada"))
        self.assertEqual(values.describe([{"user": User()}]), [[("user", "<User Ada>")]])

    def test_a_frame_has_at_most_sixty_variables_and_none_of_what_a_module_has_of_itself(self):
        found = values.describe([{"__name__": "x", 1: 2, "sys": sys, **{"v%d" % i: i for i in range(100)}}])[0]
        self.assertEqual(len(found), 60)
        self.assertEqual(found[0], ("v0", "0"))


class ImportTest(base.ProjectTest):
    def test_a_syntax_error_shows_its_line_with_a_mark(self):
        self.write("shop.py", "import os\n\ndef f():\n    return (1 +* 2)\n\nx = 1\n")
        report = self.imported("shop")
        frame = report.raised[0].frames[-1]
        self.assertEqual((frame.shown, frame.line, frame.own, frame.name), ("shop.py", 4, True, ""))
        begin, end = frame.mark
        self.assertEqual(dict(frame.source)[4][begin:end], "*")
        self.assertIn("<mark>*</mark>", base.answer(report)[2])
        self.assertIn("SyntaxError", report.text)
        self.assertNotIn("(shop.py", report.raised[0].message)

    def test_an_indentation_error_and_one_at_the_lines_end_are_marked(self):
        self.write("shop.py", "def f():\n    x = 1\n  y = 2\n")
        report = self.imported("shop")
        self.assertEqual(report.raised[0].type, "IndentationError")
        self.assertEqual(report.raised[0].frames[-1].line, 3)
        self.assertIn("<mark>", base.answer(report)[2])

    def test_a_syntax_error_of_no_file_shows_the_text_that_it_has(self):
        report = self.report(base.caught(eval, "1 +* 2"))
        self.assertIn("1 +* 2", [text for _, text in report.raised[0].frames[-1].source])

    def test_a_module_that_is_not_installed_has_the_command_that_installs_it(self):
        self.write("shop.py", "import no_such_thing\n")
        (hint,) = self.imported("shop").raised[0].hints
        self.assertEqual(hint, "It is not installed for this Python: %s -m pip install no-such-thing" % sys.executable)
        self.write("pictures.py", "try:\n    import PIL\nexcept ImportError as e:\n    raise ModuleNotFoundError(str(e), name='PIL')\n")
        self.assertIn("pip install Pillow", self.imported("pictures").raised[0].hints[0])

    def test_a_name_nearly_right_is_told(self):
        self.write("pricing.py", "def total(): pass\n")
        self.write("parts/__init__.py", "")
        self.write("parts/screws.py", "")
        for text, hint in (
            ("import pricin", "Did you mean pricing?"),
            ("from pricing import totl", "Did you mean total?"),
            ("import parts.screw", "Did you mean parts.screws?"),
        ):
            self.write("shop.py", text + "\n")
            self.assertEqual(self.imported("shop").raised[0].hints[0], hint)

    def test_a_circular_import_is_told_with_its_way(self):
        self.write("first.py", "from second import b\na = 1\n")
        self.write("second.py", "from third import c\nb = 1\n")
        self.write("third.py", "from first import a\nc = 1\n")
        self.assertIn("A circular import: first imports second imports third imports first.", self.imported("first").raised[0].hints[0])
        self.write("left.py", "import right\nx = right.y\n")
        self.write("right.py", "import left\ny = left.x\n")
        self.assertIn("A circular import: left imports right imports left.", self.imported("left").raised[0].hints[0])


if __name__ == "__main__":
    unittest.main()
