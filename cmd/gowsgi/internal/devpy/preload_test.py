"""Tests of what the template imports: python -m unittest preload_test, in this folder."""

import itertools
import json
import os
import signal
import sys
import tempfile
import textwrap
import threading
import types
import unittest

from pages_test import load

preload = load("_gowsgi_dev_preload", "preload.py")
_numbers = itertools.count()


class PreloadTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(os.path.join(folder.name, "project"))
        before, modules = list(sys.path), set(sys.modules)
        sys.path[:0] = [os.path.join(folder.name, "project"), folder.name]
        self.path = list(sys.path)

        def undo():
            sys.path[:] = before
            for name in set(sys.modules) - modules:
                del sys.modules[name]

        self.addCleanup(undo)

    def write(self, **modules):
        """Writes modules, with a number at the end of their names: "a" as the module that N(a) is in a text."""
        number = next(_numbers)
        self.names = {name: "%s_%d" % (name, number) for name in modules}
        for name, text in modules.items():
            text = textwrap.dedent(text)
            for other, full in self.names.items():
                text = text.replace("N(%s)" % other, full)
            with open(os.path.join(self.folder, self.names[name] + ".py"), "w") as f:
                f.write(text)
        sys.path_importer_cache.clear()

    def preload(self, *names, **wanted):
        """The names of those that are refused."""
        full = [self.names.get(name, name) for name in names]
        wanted = {"Modules": full, "Skip": None, "Own": None, "Environ": None, **wanted}
        wanted["Skip"] = [self.names[name] for name in wanted["Skip"] or ()]
        try:
            preload.preload(json.dumps(wanted))
        except RuntimeError as e:
            short = {full: name for name, full in self.names.items()}
            return sorted(short.get(name, name) for name in str(e).split("\n"))
        finally:
            self.assertEqual(sys.path, self.path)
            self.assertFalse([finder for finder in sys.meta_path if isinstance(finder, preload._Attempt)])
        return []

    def test_modules_that_import_nothing_of_the_kind_are_imported(self):
        self.write(a="import N(b)", b="")
        self.assertEqual(self.preload("a", "b"), [])
        self.assertIn(self.names["a"], sys.modules)

    def test_who_imports_the_project_is_refused_also_where_that_is_caught(self):
        self.write(a="import N(b)", b="try:\n import project_settings\nexcept ImportError:\n pass", c="")
        self.assertEqual(self.preload("a", "b", "c", Own=["project_settings"]), ["a", "b"])

    def test_who_imports_what_was_refused_later_is_refused_too(self):
        self.write(a="try:\n import project_settings\nexcept ImportError:\n pass", b="import N(a)\nx = 1", c="from N(b) import x", d="")
        self.assertEqual(self.preload("a", "b", "c", "d", Own=["project_settings"]), ["a", "b", "c"])

    def test_a_helper_that_imports_for_others_is_not_refused(self):
        self.write(helper="def load(name):\n return __import__(name)", a="import N(helper)\nN(helper).load('N(b)')", b="import project_settings")
        self.assertEqual(self.preload("helper", "a", "b", Own=["project_settings"]), ["a", "b"])

    def test_what_fails_is_refused_and_what_was_refused_is_not_tried_again(self):
        self.write(a="try:\n import N(b)\nexcept ValueError:\n pass", b="raise ValueError")
        self.assertEqual(self.preload("a", "b"), ["a", "b"])
        self.write(a="", b="raise SystemExit")
        self.assertEqual(self.preload("a", "b", Skip=["b"]), [])

    def test_modules_that_are_made_by_others_are_left_to_them(self):
        self.write(a="import sys, types\nsys.modules['made_by_a'] = types.ModuleType('made_by_a')")
        self.assertEqual(self.preload("made_by_b", "a", "made_by_a"), [])

    def test_who_asks_for_a_variable_that_the_project_sets_is_refused(self):
        self.write(a="import os\nos.environ.get('SET_BY_PROJECT')", b="import os\nos.getenv('ANOTHER')", c="import os\n'SET_BY_PROJECT' in os.environ")
        self.assertEqual(self.preload("a", "b", "c", Environ=["SET_BY_PROJECT"]), ["a", "c"])

    def test_who_sets_a_variable_itself_is_not(self):
        self.addCleanup(os.environ.pop, "SET_BY_A", None)
        self.write(a="import os\nos.environ.setdefault('SET_BY_A', '1')")
        self.assertEqual(self.preload("a", Environ=["SET_BY_A"]), [])

    def test_who_starts_a_thread_is_refused(self):
        end = sys.end_of_test = threading.Event()
        self.addCleanup(end.set)
        self.write(a="import N(b)", b="import sys, threading\nthreading.Thread(target=sys.end_of_test.wait, daemon=True).start()", c="")
        self.assertEqual(self.preload("a", "b", "c"), ["a", "b"])

    def test_who_keeps_a_file_open_is_refused(self):
        self.write(a="import os\nends = os.pipe()", b="import os\nfor fd in os.pipe():\n os.close(fd)")
        self.assertEqual(self.preload("a", "b"), ["a"])
        for fd in sys.modules[self.names["a"]].ends:
            os.close(fd)

    def test_who_handles_a_signal_is_refused(self):
        self.addCleanup(signal.signal, signal.SIGUSR2, signal.getsignal(signal.SIGUSR2))
        self.write(a="import signal\nsignal.signal(signal.SIGUSR2, lambda *_: None)")
        self.assertEqual(self.preload("a"), ["a"])

    def test_who_asks_for_settings_is_refused_also_where_the_failure_is_caught(self):
        before = os.environ.get("DJANGO_SETTINGS_MODULE")
        self.addCleanup(os.environ.pop if before is None else os.environ.__setitem__, "DJANGO_SETTINGS_MODULE", before)
        os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
        self.write(
            a="from django.conf import settings\ntry:\n settings.DEBUG\nexcept Exception:\n pass",
            b="from django.conf import settings",
            c="from django.conf import settings\nfound = settings.configured",
            d="import N(a)",
        )
        self.assertEqual(self.preload("b", "a", "c", "d", "django.conf"), ["a", "c", "d"])
        self.assertEqual(os.environ["DJANGO_SETTINGS_MODULE"], "project.settings")

    def test_what_modules_print_is_not_shown(self):
        self.write(a="import os\nprint('from a', flush=True)\nos.write(2, b'from a')\nprint('late')")
        ends = os.pipe()
        kept = os.dup(1), os.dup(2)
        for fd in 1, 2:
            os.dup2(ends[1], fd)
        try:
            refused = self.preload("a")
        finally:
            for fd, was in zip((1, 2), kept):
                os.dup2(was, fd)
                os.close(was)
            os.close(ends[1])
            with os.fdopen(ends[0]) as f:
                shown = f.read()
        self.assertEqual((refused, shown), ([], ""))

    def test_numbers_of_numpy_differ_in_forked_processes(self):
        seeded = []
        sys.modules["numpy.random.mtrand"] = types.SimpleNamespace(seed=lambda: seeded.append(os.getpid()))
        self.write(a="")
        self.assertEqual(self.preload("a"), [])
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write, b"%d" % (seeded == [os.getpid()]))
            os._exit(0)
        os.close(write)
        os.waitpid(pid, 0)
        with os.fdopen(read) as f:
            self.assertEqual(f.read(), "1")
