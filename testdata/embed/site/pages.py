"""A Django site in one file, for a Go program that mounts it under a prefix."""

import secrets

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse, StreamingHttpResponse
from django.urls import path, reverse

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def about(request):
    # reverse() puts SCRIPT_NAME, the prefix that the Go program chose, before the URL.
    return JsonResponse({"framework": "Django " + django.get_version(), "path": request.path, "path_info": request.path_info,
                         "lines": reverse("lines", args=[3])})


def echo(request):
    return JsonResponse({"method": request.method, "body": request.body.decode()})


def lines(request, number):
    return StreamingHttpResponse((f"line {n}\n" for n in range(1, number + 1)), content_type="text/plain")


urlpatterns = [path("about", about), path("echo", echo), path("lines/<int:number>", lines, name="lines")]
application = get_wsgi_application()
