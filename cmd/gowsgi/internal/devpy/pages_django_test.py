"""Tests of what goes around a Django app in gowsgi dev: python -m unittest pages_django_test, in this folder."""

import gc
import gzip
import os
import sys
import tempfile
import threading
import types
import unittest
import weakref
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import django
import django.db.transaction
import django.conf  # not settings: unittest looks at what is here before they are set
from django.apps import AppConfig
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from pages_test import TAG, ask, injected, pages, tag

FOLDER = tempfile.TemporaryDirectory()
ROOT = os.path.realpath(FOLDER.name)
FILES = {
    "polls/templates/polls/a.html": "<html><head><title>{{ x }}</title></head></html>",
    "polls/static/polls/a.css": "p {}",
    "polls/static/polls/a.html": "<head></head>",
    "polls/locale/de/LC_MESSAGES/django.po": "",
    "assets/b.js": "1",
    "prefixed/c.js": "1",
    "translations/de/LC_MESSAGES/django.po": "",
    "templates/base.html": "",
    "jinja/d.html": "",
    "page.html": "<head>" + "x" * 20000,
}


class PollsConfig(AppConfig):
    name = label = "polls"
    path = os.path.join(ROOT, "polls")


def setUpModule():
    global Choice
    for name, text in FILES.items():
        os.makedirs(os.path.dirname(os.path.join(ROOT, name)), exist_ok=True)
        with open(os.path.join(ROOT, name), "w", encoding="utf-8") as f:
            f.write(text)
    polls = sys.modules["polls"] = types.ModuleType("polls")
    polls.__path__ = [os.path.join(ROOT, "polls")]
    polls.PollsConfig = PollsConfig
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [os.path.join(ROOT, "templates")]}
    django.conf.settings.configure(
        DEBUG=True,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=sys.modules[__name__],
        SECRET_KEY="x",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles", "polls.PollsConfig"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(ROOT, "db.sqlite3")}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        STATIC_URL="static/",
        STATICFILES_DIRS=[os.path.join(ROOT, "assets"), ("p", os.path.join(ROOT, "prefixed"))],
        LOCALE_PATHS=[os.path.join(ROOT, "translations")],
        TEMPLATES=[
            {**engine, "APP_DIRS": True},
            {"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": [os.path.join(ROOT, "jinja")], "NAME": "jinja"},
        ],
    )
    django.setup()

    class Choice(models.Model):
        text = models.CharField(max_length=50)

        class Meta:
            app_label = "polls"

    with connection.schema_editor() as editor:
        editor.create_model(Choice)
    Choice.objects.bulk_create(Choice(text="it's %d" % i) for i in range(20))


def tearDownModule():
    connection.close()
    FOLDER.cleanup()


def index(request):
    from django.shortcuts import render

    return render(request, "polls/a.html", {"x": "y" * 1000})


def choices(count, *others):
    def view(request):
        for i in range(count):
            str(Choice.objects.get(id=i + 1, text="it's %d" % i))
        for other in others:
            other()
        return HttpResponse("%d" % count)

    return view


def stream(request):
    return StreamingHttpResponse(("<p>%s</p>" % Choice.objects.get(id=i + 1).text for i in range(6)), content_type="text/html")


def with_policy(request):
    return HttpResponse("<head></head>", headers={"Content-Security-Policy": "script-src 'self' 'nonce-abc' 'strict-dynamic'"})


def transaction():
    with django.db.transaction.atomic():
        Choice.objects.exists()


def inserts():
    for i in range(7):
        Choice.objects.create(text="new")
    Choice.objects.filter(text="new").delete()


def above(conditions):
    rows = Choice.objects.all()
    for i in range(conditions):
        rows = rows.filter(id__gt=i)
    return list(rows)


urlpatterns = [
    path("", index),
    path("stream", stream),
    path("file", lambda request: FileResponse(open(os.path.join(ROOT, "page.html"), "rb"))),
    path("policy", with_policy),
    path("four", choices(4, *[lambda: Choice.objects.count()] * 3)),
    path("transactions", choices(0, *[transaction] * 6)),
    path("twelve", choices(12, lambda: Choice.objects.count())),
    path("changes", choices(0, inserts)),
    path("in", choices(0, *[lambda n=n: list(Choice.objects.filter(id__in=range(n + 1))) for n in range(6)])),
    path("many", choices(0, *[lambda n=n: above(n) for n in range(10, 15) for _ in range(9)])),
]


def application(*middleware):
    with override_settings(MIDDLEWARE=["django.middleware.%s" % name for name in middleware]):
        return get_wsgi_application()


class InjectTest(unittest.TestCase):
    def test_what_gzip_middleware_would_compress_gets_the_tag(self):
        app = application("gzip.GZipMiddleware", "common.CommonMiddleware")
        answer = ask(validator(injected(validator(app))))
        self.assertTrue(answer.body.startswith(b"<html><head>" + TAG + b"<title>y"), answer.body[:200])
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
        self.assertNotIn("content-encoding", answer.headers)
        head = ask(validator(injected(validator(app))), method="HEAD")
        self.assertEqual(head.headers["content-length"], answer.headers["content-length"])
        script = ask(injected(app), HTTP_SEC_FETCH_DEST="empty")
        self.assertEqual(script.headers["content-encoding"], "gzip")
        self.assertNotIn(TAG, gzip.decompress(script.body))

    def test_a_page_in_the_browsers_cache_is_made_again(self):
        app = injected(application("http.ConditionalGetMiddleware"))
        first = ask(validator(app))
        self.assertTrue(first.headers["etag"].startswith("W/"))
        self.assertEqual(ask(app, HTTP_IF_NONE_MATCH=first.headers["etag"]).status, "200 OK")
        self.assertEqual(ask(app, HTTP_IF_NONE_MATCH=first.headers["etag"], HTTP_SEC_FETCH_DEST="empty").status, "304 Not Modified")

    def test_a_stream_and_a_file_get_it(self):
        app = application()
        answer = ask(validator(injected(validator(app))), "/stream")
        self.assertEqual((answer.body[:11], answer.body[-len(TAG) :]), (b"<p>it's 0</", TAG))
        answer = ask(injected(app), "/file")
        self.assertEqual(answer.body, b"<head>" + TAG + b"x" * 20000)
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
        answer = ask(injected(app), "/file", HTTP_SEC_FETCH_DEST="empty")
        self.assertIs(type(answer.result), FileWrapper)

    def test_the_nonce_of_a_policy_is_used(self):
        self.assertEqual(ask(injected(application()), "/policy").body, b"<head>" + tag("abc").encode() + b"</head>")

    def test_djangos_own_error_pages_get_it(self):
        answer = ask(injected(application()), "/nothing")
        self.assertEqual((answer.status, answer.body.count(TAG)), ("404 Not Found", 1))


class StaticTest(unittest.TestCase):
    def test_static_files_are_served_under_middleware(self):
        app = pages.static(validator(application()))
        self.assertEqual(ask(app, "/static/polls/a.css").body, b"p {}")
        self.assertEqual(ask(app, "/static/b.js").body, b"1")
        self.assertEqual(ask(app, "/static/b.js").headers["cache-control"], "no-cache")
        self.assertEqual(ask(app, "/static/p/c.js").body, b"1")
        self.assertEqual(ask(app, "/static/none.js").status, "404 Not Found")
        self.assertEqual(ask(app, "/").status, "200 OK")
        self.assertIs(pages.static(app), app)
        self.assertEqual(ask(injected(app), "/static/polls/a.html").body, b"<head>" + TAG + b"</head>")
        self.assertIs(type(ask(injected(app), "/static/polls/a.css").result), FileWrapper)

    def test_static_files_of_another_host_are_not(self):
        with override_settings(STATIC_URL="https://cdn.example/static/"):
            self.assertEqual(ask(pages.static(application()), "/static/b.js").status, "404 Not Found")

    def test_where_runserver_serves_none_the_app_stays(self):
        app = application()
        with override_settings(DEBUG=False):
            self.assertIs(pages.static(app), app)
        with override_settings(INSTALLED_APPS=["polls.PollsConfig"]):
            self.assertIs(pages.static(app), app)
        for name in ("whitenoise", "whitenoise.runserver_nostatic"):
            module = sys.modules[name] = types.ModuleType(name)
            module.__path__ = [os.path.join(ROOT, "whitenoise")]
            self.addCleanup(sys.modules.pop, name)
        with override_settings(INSTALLED_APPS=["django.contrib.staticfiles", "whitenoise.runserver_nostatic"]):
            self.assertIs(pages.static(app), app)


class StatementsTest(unittest.TestCase):
    def warnings(self, url, **options):
        found = []
        ask(pages.sql(application(), found.append), url, **options)
        return found

    def test_a_statement_that_is_repeated_is_told_in_one_line(self):
        (text,) = self.warnings("/twelve")
        self.assertRegex(
            text,
            r'^12 x SELECT \.\.\. FROM "polls_choice" WHERE \("polls_choice"\."id" = \? AND "polls_choice"\."text" = \?\) LIMIT \? '
            r"\(\d+ ms\): select_related or prefetch_related may help; the request ran 13 statements in \d+ ms$",
        )

    def test_four_times_are_none(self):
        self.assertEqual(self.warnings("/four"), [])
        self.assertEqual(self.warnings("/"), [])

    def test_only_what_the_app_asks_for_is_counted(self):
        (text,) = self.warnings("/transactions")
        self.assertRegex(text, "^6 x SELECT")

    def test_changes_have_their_own_advice(self):
        (text,) = self.warnings("/changes")
        self.assertRegex(text, r'^7 x INSERT INTO "polls_choice" \("text"\) .*: bulk_create may help; the request ran \d+ statements')

    def test_lists_of_another_length_are_the_same_statement(self):
        (text,) = self.warnings("/in")
        self.assertRegex(text, r'^6 x SELECT .* WHERE "polls_choice"\."id" IN \(\?\) \(')

    def test_no_more_than_three_are_told(self):
        found = self.warnings("/many")
        self.assertEqual([text[:6] for text in found], ["9 x SE"] * 3)
        self.assertLess(max(map(len, found)), 300)

    def test_a_stream_is_looked_at_when_it_is_closed(self):
        found = []
        environ = {"PATH_INFO": "/stream"}
        setup_testing_defaults(environ)
        result = pages.sql(application(), found.append)(environ, lambda *a: None)
        list(result)
        self.assertEqual(found, [])
        finished = []

        def note(**kwargs):
            finished.append(1)

        request_finished.connect(note)
        self.addCleanup(request_finished.disconnect, note)
        result.close()
        self.assertEqual([text[:4] for text in found], ["6 x "])
        self.assertEqual(len(finished), 1)

    def test_statements_of_the_request_before_do_not_count(self):
        self.assertEqual(len(self.warnings("/twelve")), 1)
        found = []

        def answers_itself(environ, start_response):
            Choice.objects.count()
            start_response("200 OK", [])
            return []

        ask(pages.sql(answers_itself, found.append))
        self.assertEqual(found, [])

    def test_statements_of_other_threads_do_not_count(self):
        found = []

        def app(environ, start_response):
            thread = threading.Thread(target=self.warnings, args=("/twelve",))
            thread.start()
            thread.join()
            start_response("200 OK", [])
            return []

        ask(pages.sql(app, found.append))
        self.assertEqual(found, [])

    def test_nothing_is_kept_and_what_the_server_knows_stays(self):
        class Result(list):
            pass

        result = Result([b"x"])
        kept = weakref.ref(result)

        def app(environ, start_response, result=[result]):
            start_response("200 OK", [])
            return result.pop()

        app = pages.sql(app, self.fail)
        self.assertIs(ask(app).result, result)
        del result
        gc.collect()
        self.assertIsNone(kept())
        self.assertIs(type(ask(pages.sql(application(), self.fail), "/file").result), FileWrapper)

    def test_without_debug_the_app_stays(self):
        app = application()
        with override_settings(DEBUG=False):
            self.assertIs(pages.sql(app, self.fail), app)


class FoldersTest(unittest.TestCase):
    def test_folders_are_the_projects_own(self):
        want = ["assets", "jinja", "polls/locale", "polls/static", "polls/templates", "prefixed", "templates", "translations"]
        self.assertEqual(sorted(pages.watch_folders(application())), sorted(os.path.join(ROOT, name) for name in want))

    def test_files_are_told_apart_by_them(self):
        app = application()
        for name, kind in {
            "polls/templates/polls/a.html": "template",
            "templates/new.txt": "template",
            "jinja/d.html": "template",
            "polls/static/polls/a.css": "static",
            "assets/b.js": "static",
            "prefixed/c.js": "static",
            "polls/locale/de/LC_MESSAGES/django.mo": "locale",
            "translations/de/LC_MESSAGES/django.po": "locale",
            "polls/models.py": "code",
            "page.html": "",
            "templates2/a.html": "",
        }.items():
            self.assertEqual(pages.kind_of(os.path.join(ROOT, name), app), kind, name)

    def test_a_folder_behind_a_symbolic_link_is_the_one_that_it_names(self):
        link = os.path.join(ROOT, "link")
        os.symlink(os.path.join(ROOT, "templates"), link)
        self.addCleanup(os.unlink, link)
        self.assertEqual(pages.kind_of(os.path.join(link, "base.html"), application()), "template")

    def test_folders_of_single_loaders_count(self):
        loader = ("django.template.loaders.filesystem.Loader", [os.path.join(ROOT, "prefixed")])
        engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": [loader]}}
        with override_settings(TEMPLATES=[engine]):
            app = application()
            self.assertEqual(pages.kind_of(os.path.join(ROOT, "prefixed", "c.html"), app), "template")

    def test_wrong_settings_are_no_failure(self):
        with override_settings(TEMPLATES=[{"BACKEND": "nothing.Nothing"}]):
            self.assertEqual(pages.watch_folders(application()), [])


if __name__ == "__main__":
    unittest.main()
