"""A Django view with the usual middleware and a template of 20 rows; no database, which would be what is measured."""

from django.conf import settings

settings.configure(
    SECRET_KEY="for measurements only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402

app = get_wsgi_application()
page = engines["django"].from_string(
    "<h1>{{ title|upper }}</h1><ul>{% for row in rows %}<li>{{ row.n }}: {{ row.name }}</li>{% endfor %}</ul>")


def view(request, number):
    rows = [{"n": n, "name": f"row <{n}>"} for n in range(20)]
    return HttpResponse(page.render({"title": f"page {number}", "rows": rows}, request))


urlpatterns = [path("pages/<int:number>/", view)]
