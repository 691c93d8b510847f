import hashlib

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.urls import path, reverse

FORM = """<form method="post" enctype="multipart/form-data">{% csrf_token %}{{ form }}<button>send</button></form>"""


class Form(forms.Form):
    title = forms.CharField()
    file = forms.FileField(required=False)


def index(request):
    return HttpResponse("<p>Hello from Django</p>")


def count(request):
    request.session["n"] = request.session.get("n", 0) + 1
    return JsonResponse({"n": request.session["n"]})


def form(request):
    if request.method == "POST":
        f = Form(request.POST, request.FILES)
        if f.is_valid():
            data = f.cleaned_data["file"].read() if f.cleaned_data["file"] else b""
            return JsonResponse({"title": f.cleaned_data["title"], "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    else:
        f = Form()
    return HttpResponse(engines["django"].from_string(FORM).render({"form": f}, request))


def stream(request):
    return StreamingHttpResponse(("line %d\n" % i for i in range(5)), content_type="text/plain")


def file(request):
    return FileResponse(open(__file__, "rb"))


def protected(request, name):
    return HttpResponse(headers={"X-Accel-Redirect": "/protected/" + name, "Content-Type": "", "X-View": "protected"})


def users(request):
    return JsonResponse({"users": list(get_user_model().objects.values_list("username", flat=True))})


def boom(request):
    raise ValueError("a bug in the view")


def meta(request, name):
    return JsonResponse({"path": request.path, "script": request.META["SCRIPT_NAME"], "uri": request.build_absolute_uri()})


def where(request):
    return JsonResponse({
        "url": request.build_absolute_uri(), "client": request.META["REMOTE_ADDR"], "secure": request.is_secure(), "script": request.META["SCRIPT_NAME"],
        "link": request.build_absolute_uri(reverse("where")),
    })


urlpatterns = [
    path("where", where, name="where"),
    path("", index),
    path("count", count),
    path("form", form),
    path("stream", stream),
    path("file", file),
    path("download/<str:name>", protected),
    path("users", users),
    path("boom", boom),
    path("meta/<str:name>", meta),
    path("admin/", admin.site.urls),
]
