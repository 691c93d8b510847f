"""Django with the middleware that startproject sets: a page, an ORM read, and views that wait or compute. The environment gives the sizes:
BENCH_DB (an SQLite file), BENCH_CPU_LOOPS (50 ms of Python) and BENCH_PBKDF2_ITERATIONS (20 ms)."""

import hashlib
import os
import time
import zlib

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="for measurements only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    # A connection lives as long as its thread, as on a site that is tuned.
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DB"], "CONN_MAX_AGE": None}},
    USE_TZ=True,
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402

CPU_LOOPS = int(os.environ["BENCH_CPU_LOOPS"])
PBKDF2_ITERATIONS = int(os.environ["BENCH_PBKDF2_ITERATIONS"])
TEXT = b"".join(b"line %d of a text that zlib can shorten\n" % n for n in range(2000))[:65536]

app = get_wsgi_application()
template = engines["django"].from_string(
    "<h1>{{ title|upper }}</h1><ul>{% for row in rows %}<li>{{ row.n }}: {{ row.name }}</li>{% endfor %}</ul>")


class Item(models.Model):
    name = models.CharField(max_length=40)
    price = models.IntegerField()

    class Meta:
        app_label = "bench"
        db_table = "item"
        managed = False


def page(request, number):
    rows = [{"n": n, "name": f"row <{n}>"} for n in range(20)]
    return HttpResponse(template.render({"title": f"page {number}", "rows": rows}, request))


def orm(request, number):
    rows = Item.objects.filter(price__gte=number).order_by("id")[:20]
    return JsonResponse([{"id": row.id, "name": row.name, "price": row.price} for row in rows], safe=False)


def sleep(request):
    time.sleep(0.020)
    return HttpResponse("slept\n")


def cpu(request):
    value = 1
    for _ in range(CPU_LOOPS):
        value = value * 3 % 1000003
    return HttpResponse(f"{value}\n")


def pbkdf2(request):
    return HttpResponse(hashlib.pbkdf2_hmac("sha256", b"password", b"salt", PBKDF2_ITERATIONS).hex())


def deflate(request):
    return HttpResponse(f"{len(zlib.compress(TEXT))}\n")


urlpatterns = [
    path("pages/<int:number>/", page),
    path("orm/<int:number>/", orm),
    path("sleep/", sleep),
    path("cpu/", cpu),
    path("pbkdf2/", pbkdf2),
    path("zlib/", deflate),
]
