"""Tests of what goes around a Flask app in gowsgi dev: python -m unittest pages_flask_test, in this folder."""

import os
import sys
import tempfile
import unittest
from wsgiref.validate import validator

from pages_test import TAG, ask, injected, pages


class FlaskTest(unittest.TestCase):
    def setUp(self):
        import flask

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)
        for path, text in {
            "templates/a.html": "<html><head><title>{{ 1 + 1 }}</title></head></html>",
            "static/a.css": "p {}",
            "static/a.html": "<!doctype html><p>static</p>",
            "shop/pages/b.html": "<p>",
            "shop/files/b.js": "1",
            "both/c.html": "",
            "beside/d.html": "",
        }.items():
            os.makedirs(os.path.dirname(os.path.join(self.folder, path)), exist_ok=True)
            with open(os.path.join(self.folder, path), "w", encoding="utf-8") as f:
                f.write(text)
        self.app = flask.Flask("site_of_a_test", root_path=self.folder)
        self.app.add_url_rule("/", view_func=lambda: flask.render_template("a.html"), endpoint="index")
        self.app.add_url_rule("/stream", view_func=lambda: flask.Response(iter(["<p>", "</p>"])), endpoint="stream")

    def test_its_pages_get_the_tag_and_its_files_stay_files(self):
        app = validator(injected(self.app))
        answer = ask(app)
        self.assertEqual(answer.body, b"<html><head>" + TAG + b"<title>2</title></head></html>")
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
        self.assertEqual(ask(app, "/", method="HEAD").headers["content-length"], str(len(answer.body)))
        self.assertEqual(ask(app, "/stream").body, b"<p></p>" + TAG)
        self.assertEqual(ask(app, "/nothing").status, "404 NOT FOUND")
        self.assertIn(TAG, ask(app, "/nothing").body)
        self.assertEqual(ask(injected(self.app), "/static/a.css").body, b"p {}")
        answer = ask(injected(self.app), "/static/a.html")
        self.assertEqual((answer.body, answer.headers["content-length"]), (b"<!doctype html><p>static</p>" + TAG, str(28 + len(TAG))))
        self.assertTrue(answer.headers["etag"].startswith("W/"))
        again = ask(injected(self.app), "/static/a.html", HTTP_IF_NONE_MATCH=answer.headers["etag"])
        self.assertEqual(again.status, "200 OK")

    def test_without_django_there_is_nothing_to_add(self):
        self.assertIs(pages.static(self.app), self.app)
        self.assertIs(pages.sql(self.app, None), self.app)
        import django.apps  # is there, and is not set up

        self.assertFalse(django.apps.apps.ready)
        self.assertIs(pages.static(self.app), self.app)
        self.assertIs(pages.sql(self.app, None), self.app)

    def test_its_folders_are_found_under_middleware(self):
        import flask
        import jinja2

        shop = flask.Blueprint("shop", "shop", root_path=os.path.join(self.folder, "shop"), template_folder="pages", static_folder="files")
        self.app.register_blueprint(shop)
        within = os.path.join(self.folder, "templates", "assets")
        self.app.register_blueprint(flask.Blueprint("within", "within", root_path=within, static_folder="."))
        both = os.path.join(self.folder, "both")
        self.app.register_blueprint(flask.Blueprint("both", "both", root_path=both, template_folder=".", static_folder="."))
        installed = os.path.join(self.folder, "lib", "site-packages", "admin")
        os.makedirs(os.path.join(installed, "templates"))
        self.app.register_blueprint(flask.Blueprint("admin", "admin", root_path=installed, template_folder="templates"))
        modules = os.path.join(self.folder, "node_modules", "lib")
        os.makedirs(modules)
        self.app.register_blueprint(flask.Blueprint("lib", "lib", root_path=modules, static_folder="."))
        beside = jinja2.FileSystemLoader(os.path.join(self.folder, "beside"))

        class Middleware:
            def __init__(self, app):
                self.app = app
                self.mails = jinja2.Environment(loader=jinja2.PrefixLoader({"mail": jinja2.ChoiceLoader([beside])}))

            def __call__(self, environ, start_response):
                return self.app(environ, start_response)

        inner = Middleware(self.app.wsgi_app)
        app = injected(validator(inner))
        want = ["both", "beside", "shop/files", "shop/pages", "static", "templates"]
        self.assertEqual(sorted(pages.watch_folders(app)), sorted(os.path.join(self.folder, name) for name in want))
        for path, kind in {
            "templates/a.html": "template",
            "templates/gone.txt": "template",
            "templates/assets/a.html": "static",  # the folder is not there yet
            "shop/pages/b.html": "template",
            "beside/d.html": "template",
            "static/a.css": "static",
            "static/a.html": "static",
            "shop/files/b.js": "static",
            "both/c.html": "template",
            "both/c.css": "static",
            "shop/b.py": "code",
            "templates/b.py": "code",
            "a.txt": "",
            "templates": "",
            "lib/site-packages/admin/templates/a.html": "",
        }.items():
            self.assertEqual(pages.kind_of(os.path.join(self.folder, path), app), kind, path)

    def test_environments_of_an_apps_module_are_found(self):
        import jinja2

        names = {"env": jinja2.Environment(loader=jinja2.FileSystemLoader([self.folder + "/beside", self.folder + "/both"]))}
        exec("def app(environ, start_response): pass\nclass App:\n    def __call__(self, environ, start_response): pass\n", names)
        want = [self.folder + "/beside", self.folder + "/both"]
        self.assertEqual(pages.watch_folders(names["app"]), want)
        self.assertEqual(pages.watch_folders(injected(names["App"]())), want)

    def test_the_folder_of_a_package_loader_is_found(self):
        import jinja2

        with open(os.path.join(self.folder, "__init__.py"), "w"):
            pass
        sys.path.insert(0, os.path.dirname(self.folder))
        self.addCleanup(sys.path.pop, 0)
        self.app.jinja_loader = jinja2.PackageLoader(os.path.basename(self.folder), "beside")
        self.assertIn(os.path.join(self.folder, "beside"), pages.watch_folders(self.app))

    def test_an_app_that_nobody_knows_has_no_folders(self):
        self.assertEqual(pages.watch_folders(len), [])
        self.assertEqual(pages.kind_of("/x/a.html", len), "")


if __name__ == "__main__":
    unittest.main()
