"""Tests of host.py under a plain python: python -m unittest test_host, in this folder."""

import bz2
import gzip
import io
import os
import signal
import sys
import tempfile
import textwrap
import threading
import types
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))


def load_host():
    """host.py as the host loads it, with the functions that C gives it replaced by lists."""
    host = types.ModuleType("_gowsgi_host")
    host.__file__ = os.path.join(HERE, "host.py")
    host.written, host.logged, host.flushes = [], [], []
    host._errors_write = host.written.append
    host._errors_flush = lambda: host.flushes.append(1)
    host._log = host.logged.append
    with open(host.__file__, encoding="utf-8") as f:
        exec(compile(f.read(), host.__file__, "exec"), vars(host))
    return host


class LoadTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path, self.modules, self.argv = list(sys.path), set(sys.modules), sys.argv
        self.host = load_host()
        self.host._directory = self.folder.name
        sys.path.insert(0, self.folder.name)

    def tearDown(self):
        sys.path[:], sys.argv = self.path, self.argv
        for name in set(sys.modules) - self.modules:
            del sys.modules[name]

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(textwrap.dedent(text))
        return path

    def reason(self, spec):
        app, reason, trace = self.host.load(spec)
        self.assertIsNone(app)
        return reason, trace

    def test_the_default_names_are_application_then_app(self):
        self.write("both.py", "application = max\napp = min\n")
        self.write("one.py", "app = min\n")
        self.assertIs(self.host.load("both")[0], max)
        self.assertIs(self.host.load("one")[0], min)
        self.assertEqual(sys.argv, ["both"])

    def test_a_module_named_wsgi_in_a_package_is_no_file(self):
        self.write("site1/__init__.py", "")
        self.write("site1/wsgi.py", "application = max\n")
        self.assertIs(self.host.load("site1.wsgi")[0], max)
        self.assertIs(self.host.load("site1.wsgi:application")[0], max)

    def test_a_file_is_found_from_the_apps_folder(self):
        self.write("sub/x.wsgi", "application = __name__.__len__\n")
        self.assertEqual(self.host.load("sub/x.wsgi")[0](), len("wsgi_x_wsgi"))
        self.assertEqual(sys.path[0], os.path.join(self.folder.name, "sub"))

    def test_two_files_of_one_name_are_two_modules(self):
        self.write("a/x.wsgi", "application = max\n")
        self.write("b/x.wsgi", "application = min\n")
        self.assertIs(self.host.load("a/x.wsgi")[0], max)
        self.assertIs(self.host.load("b/x.wsgi")[0], min)

    def test_a_file_that_shadows_a_standard_module_leaves_it_alone(self):
        self.write("json.py", "app = max\n")
        import json

        self.assertIs(self.host.load("./json.py")[0], max)
        self.assertIs(sys.modules["json"], json)

    def test_a_missing_module_of_the_apps_own_is_told_from_a_missing_app(self):
        self.write("here.py", "import nowhere_to_be_found\n")
        reason, trace = self.reason("here")
        self.assertIn("the app imports nowhere_to_be_found", reason)
        self.assertIn("here.py", trace)
        self.assertNotIn("host.py", trace)
        reason, trace = self.reason("heer")
        self.assertIn("did you mean here?", reason)
        self.assertEqual(trace, "")

    def test_an_attribute_error_inside_a_property_is_the_apps(self):
        self.write("prop.py", "class C:\n    @property\n    def app(self): return None.missing\nc = C()\n")
        reason, trace = self.reason("prop:c.app")
        self.assertIn("'NoneType' object has no attribute 'missing'", reason)
        self.assertIn("in app", trace)

    def test_a_failed_file_leaves_no_module(self):
        self.write("bad.wsgi", "1/0\n")
        before = set(sys.modules)
        self.assertIn("ZeroDivisionError", self.reason("bad.wsgi")[0])
        self.assertFalse([name for name in set(sys.modules) - before if "bad" in name])


class ExceptionTest(unittest.TestCase):
    def setUp(self):
        self.host = load_host()

    def text(self, f):
        try:
            f()
        except BaseException as e:
            return self.host.format_exception(type(e), e, e.__traceback__)

    def test_frames_of_the_import_system_are_left_out(self):
        text = self.text(lambda: __import__("importlib").import_module("not.there.at.all"))
        self.assertNotIn("importlib/__init__.py", text)
        self.assertIn("ModuleNotFoundError", text)

    def test_a_cause_is_shown(self):
        def f():
            try:
                {}["key"]
            except KeyError as e:
                raise ValueError("value") from e

        text = self.text(f)
        self.assertLess(text.index("KeyError: 'key'"), text.index("ValueError: value"))

    def test_an_exception_that_can_not_be_shown_is(self):
        class Odd(Exception):
            def __str__(self):
                raise RuntimeError

        self.assertIn("Odd", self.text(lambda: (_ for _ in ()).throw(Odd())))

    def test_a_deep_recursion_is_cut(self):
        def f():
            f()

        text = self.text(f)
        self.assertIn("RecursionError", text)
        self.assertLess(len(text), 10000)


class ErrorsTest(unittest.TestCase):
    def setUp(self):
        self.host = load_host()

    def test_it_takes_text_only(self):
        for wrong in (b"bytes", None, 3):
            with self.assertRaises(TypeError):
                self.host.errors.write(wrong)
        with self.assertRaises(TypeError):
            self.host.errors.writelines(["text", b"bytes"])

    def test_print_and_logging_can_use_it(self):
        print("a", "b", file=self.host.errors, flush=True)
        self.assertEqual("".join(self.host.written), "a b\n")
        self.assertEqual(self.host.flushes, [1])
        self.assertEqual(self.host.errors.write("four"), 4)

    def test_it_can_not_be_closed(self):
        self.host.errors.close()
        self.assertFalse(self.host.errors.closed)
        self.host.errors.write("still")


class SendfileTest(unittest.TestCase):
    def setUp(self):
        self.source = load_host().sendfile_source

    def test_a_file_is_sent_from_where_it_stands(self):
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"0123456789")
            f.seek(4)
            self.assertEqual(self.source(f), (f.fileno(), 4, 6))
            with open(f.name, "rb") as g:
                g.read(3)
                self.assertEqual(self.source(g), (g.fileno(), 3, 7))
            with open(f.name, "rb", buffering=0) as g:
                self.assertEqual(self.source(g), (g.fileno(), 0, 10))
                g.seek(20)
                self.assertEqual(self.source(g)[2], 0)

    def test_what_is_not_a_files_own_bytes_is_read(self):
        folder = tempfile.mkdtemp()
        path = os.path.join(folder, "x")
        with gzip.open(path, "wb") as f:
            f.write(b"x" * 100)

        class Upper(io.FileIO):
            def read(self, n=-1):
                return super().read(n).upper()

        closed = open(path, "rb")
        closed.close()
        r, w = os.pipe()
        os.close(w)
        others = [gzip.open(path), bz2.open(path), Upper(path), open(path), io.BytesIO(b"x"), closed, open(r, "rb"), None, 3]
        others += [io.BufferedReader(Upper(path)), open("/proc/self/status", "rb"), open(path, "wb")]
        for other in others:
            self.assertIsNone(self.source(other), other)
        for other in others:
            if hasattr(other, "close"):
                other.close()
        os.remove(path)
        os.rmdir(folder)

    def test_a_spooled_file_counts_once_it_is_on_disk(self):
        with tempfile.SpooledTemporaryFile(10) as f:
            f.write(b"small")
            self.assertIsNone(self.source(f))
            f.write(b"no longer small")
            f.seek(0)
            self.assertEqual(self.source(f)[1:], (0, 20))


class SignalTest(unittest.TestCase):
    def setUp(self):
        self.host = load_host()

    def test_the_apps_wakeup_descriptor_is_kept(self):
        r, w = os.pipe()
        r2, w2 = os.pipe()
        for fd in (w, w2):
            os.set_blocking(fd, False)
        try:
            self.assertTrue(self.host.take_wakeup_fd(w))
            self.assertTrue(self.host.take_wakeup_fd(w))
            self.host.drop_wakeup_fd(w)
            signal.set_wakeup_fd(w2)
            self.assertFalse(self.host.take_wakeup_fd(w))
            self.host.drop_wakeup_fd(w)
            self.assertEqual(signal.set_wakeup_fd(-1), w2)
        finally:
            signal.set_wakeup_fd(-1)
            for fd in (r, w, r2, w2):
                os.close(fd)

    def test_only_a_handler_of_the_apps_runs(self):
        seen = []
        old = signal.signal(signal.SIGTERM, lambda n, frame: seen.append(n))
        try:
            self.host.run_signal_handler(signal.SIGTERM)
            self.host.run_signal_handler(signal.SIGUSR2)
            self.host.run_signal_handler(signal.SIGINT)
        finally:
            signal.signal(signal.SIGTERM, old)
        self.assertEqual(seen, [signal.SIGTERM])

    def test_exit_codes_are_pythons(self):
        stderr, sys.stderr = sys.stderr, io.StringIO()
        try:
            for code, want in ((None, 0), (0, 0), (3, 3), (256 + 4, 4), (-1, 255), ("text", 1), (True, 1)):
                self.assertEqual(self.host.exit_code(SystemExit(code)), want)
            self.assertEqual(sys.stderr.getvalue(), "text\n")
        finally:
            sys.stderr = stderr


class StaticTest(unittest.TestCase):
    def setUp(self):
        self.host = load_host()
        self.addCleanup(sys.modules.pop, "flask", None)
        flask = sys.modules["flask"] = types.ModuleType("flask")

        class Flask:
            static_folder = HERE
            blueprints = {}

            def __init__(self, *rules):
                self.url_map = types.SimpleNamespace(iter_rules=lambda: [
                    types.SimpleNamespace(endpoint=e, rule=r, subdomain=s, host=None) for e, r, s in rules
                ])

            def wsgi_app(self, environ, start_response):
                pass

            __call__ = wsgi_app

        flask.Flask = Flask
        self.flask = Flask(("static", "/static/<path:filename>", None), ("index", "/", None))

    def found(self, app):
        self.host._loaded[:] = [app]
        return self.host.static_folders(0)

    def test_an_app_is_found_inside_its_middleware(self):
        class Middleware:
            def __init__(self, inner):
                self.inner, self.itself, self.other = inner, self, len

            def __call__(self, environ, start_response):
                return self.inner(environ, start_response)

        def decorated(inner):
            def call(environ, start_response):
                return inner(environ, start_response)

            return call

        want = "static\0%s\0\0" % HERE
        for app in (
            self.flask,
            self.flask.wsgi_app,
            Middleware(self.flask),
            Middleware(self.flask).__call__,
            decorated(self.flask.wsgi_app),
            Middleware(decorated(Middleware(decorated(self.flask)))),
        ):
            self.assertEqual(self.found(app), want)
        for app in (len, Middleware(len), decorated(None), Middleware, object()):
            self.assertEqual(self.found(app), "")

    def test_rules_that_are_no_plain_folder_are_left_to_the_app(self):
        for rule, subdomain in (("/<lang>/static/<path:filename>", None), ("/static/<path:filename>/raw", None), ("/static/<name>", None),
                                ("/static/<path:filename>", "cdn")):
            self.assertEqual(self.found(type(self.flask)(("static", rule, subdomain))), "")

    def test_an_app_that_fails_when_it_is_asked_is_a_problem_and_no_failure(self):
        self.flask.url_map = None
        self.assertRegex(self.found(self.flask), "^\0\0the app does not tell its static files: AttributeError.*\0$")


class StacksTest(unittest.TestCase):
    def setUp(self):
        self.host = load_host()
        self.release = threading.Event()
        self.thread = threading.Thread(target=self.wait_here, name="gowsgi-7")
        self.waiting = threading.Event()
        self.thread.start()
        self.addCleanup(self.thread.join)
        self.addCleanup(self.release.set)
        self.waiting.wait(10)

    def wait_here(self):
        self.waiting.set()
        self.release.wait(10)

    def test_the_stack_of_a_thread_begins_with_the_code_of_the_app(self):
        lines = self.host.stack(self.thread.ident).decode().splitlines()
        self.assertIn("in wait_here", lines[0])
        self.assertEqual(self.host.stack(0), b"(the thread is not in Python)")

    def test_a_dump_names_threads_and_their_requests_busy_ones_first_and_not_the_one_that_makes_it(self):
        text = self.host.stacks({self.thread.ident: "for 1.5 s in GET /caf\xe9"}).decode()
        first = text.split("\n\n")[0].splitlines()
        self.assertEqual(first[0], "gowsgi-7 (0x%x), for 1.5 s in GET /caf\xe9:" % self.thread.ident)
        self.assertIn("in wait_here", first[1])
        self.assertNotIn("MainThread", text)

    def test_on_a_free_threaded_python_no_frame_is_touched(self):
        self.host._free_threaded = lambda: True
        with unittest.mock.patch("sys._current_frames", side_effect=AssertionError):
            self.assertIn(b"can't be read", self.host.stack(self.thread.ident))
            text = self.host.stacks({})
        self.assertIn(b"gowsgi-7 (", text)
        self.assertIn(b"can't be read", text)


if __name__ == "__main__":
    unittest.main()
