"""Tests of the error page with Flask and Django: python -m unittest errors_frameworks_test, in this folder."""

import os
import unittest
from unittest import mock

import errors_test as base


class FlaskTest(base.ProjectTest):
    def get(self, template, **names):
        """What was raised by a view that renders a template."""
        self.write("templates/index.html", "<p>\n{% for x in [1, 2] %}\n  {{ x.y.z }}\n{% endfor %}\n")
        self.write("templates/broken.html", "<p>\n{% fro x in y %}\n")
        module = self.module(
            "shop",
            """\
            import flask

            app = flask.Flask(__name__)
            app.config["PROPAGATE_EXCEPTIONS"] = True

            @app.get("/<name>")
            def show(name):
                return flask.render_template(name)
            """,
        )
        from werkzeug.test import EnvironBuilder

        return self.report(base.caught(module.app, EnvironBuilder("/" + template).get_environ(), lambda *_: None))

    def test_an_error_in_a_template_shows_the_templates_line(self):
        report = self.get("index.html")
        frame = [f for f in report.raised[0].frames if f.own][-1]
        self.assertEqual((report.raised[0].type, frame.shown, frame.line), ("jinja2.exceptions.UndefinedError", "templates/index.html", 3))
        text = base.Document(base.answer(report)[2]).text
        self.assertIn("{{ x.y.z }}", text)
        self.assertIn("in flask", text)
        self.assertLess(text.index("templates/index.html"), text.index("shop.py line 8"))

    def test_a_template_that_does_not_parse_shows_the_line(self):
        raised = self.get("broken.html").raised[0]
        places = [(f.shown, f.line) for f in raised.frames]
        self.assertEqual(places[-1], ("templates/broken.html", 2))
        self.assertEqual(places.count(places[-1]), 1)
        self.assertIn((2, "{% fro x in y %}"), raised.frames[-1].source)

    def test_a_template_that_is_missing_has_the_folders_and_what_is_near(self):
        raised = self.get("indx.html").raised[0]
        self.assertEqual(raised.hints, ["Did you mean index.html?", "Looked in %s." % os.path.join(self.dir, "templates")])


class DjangoTest(base.ProjectTest):
    @classmethod
    def setUpClass(cls):
        import django
        from django.conf import settings

        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nonexistent/folder/db"}},
            INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        )
        django.setup()

    def render(self, name, debug, **context):
        from django.template import Context, Engine

        self.write("t/index.html", "<p>\n{% for x in xs %}\n  {{ x.boom }}\n{% endfor %}\n")
        self.write("t/broken.html", "<p>\n{% fro x in y %}\n")
        engine = Engine(dirs=[os.path.join(self.dir, "t")], debug=debug)
        return self.report(base.caught(lambda: engine.get_template(name).render(Context(context))))

    def test_a_template_that_does_not_parse_shows_the_line(self):
        for debug in (False, True):
            raised = self.render("broken.html", debug).raised[0]
            self.assertEqual((raised.frames[-1].shown, raised.frames[-1].line), ("t/broken.html", 2))

    def test_an_error_in_what_a_template_calls_shows_both(self):
        row = self.module("shop", "class Row:\n    def boom(self):\n        1/0\n").Row()
        for debug in (False, True):
            own = [f for f in self.render("index.html", debug, xs=[row]).raised[0].frames if f.own]
            self.assertEqual([(f.shown, f.line) for f in own], [("t/index.html", 3), ("shop.py", 3)])

    def test_a_template_that_is_missing_has_the_paths_and_what_is_near(self):
        hints = self.render("indx.html", False).raised[0].hints
        self.assertEqual(hints, ["Did you mean index.html?", "Looked for %s." % os.path.join(self.dir, "t", "indx.html")])

    def test_showing_variables_asks_no_database_and_sets_up_nothing_lazy(self):
        from django.contrib.auth.models import User
        from django.db import connections
        from django.template import Context
        from django.utils.functional import SimpleLazyObject

        rows = User.objects.all()
        asked = []

        class Cart:
            def __repr__(self):
                return "<Cart %r>" % list(rows)

        lazy = SimpleLazyObject(lambda: asked.append(1))
        with mock.patch.object(type(connections["default"]), "get_new_connection", lambda *_: asked.append(2)):
            user = User(username="Ada", password="p")
            shown = {"rows": rows, "all": [rows], "user": user, "context": Context({"rows": rows}), "cart": Cart(), "lazy": lazy}
            (found,) = base.values.describe([shown])
        found = dict(found)
        self.assertEqual(asked, [])
        self.assertEqual((found["rows"], found["all"]), ("<QuerySet object>", "[<QuerySet object>]"))
        self.assertEqual(found["lazy"], "<SimpleLazyObject object>")
        self.assertIn("username='Ada'", found["user"])
        self.assertIn("password=(hidden)", found["user"])
        self.assertIn("{'rows': <QuerySet object>}", found["context"])
        self.assertEqual(found["cart"], "<Cart object> (its repr raised RuntimeError)")


if __name__ == "__main__":
    unittest.main()
