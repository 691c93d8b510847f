import math
import platform
from http.cookies import SimpleCookie

import django
from django.contrib import messages
from django.db.models import Avg, Count, Max, Min
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from . import pictures
from .forms import EntryForm
from .models import Entry, Moon, Planet


@require_safe
def home(request):
    visits = request.session.get("visits", 0) + 1
    request.session["visits"] = visits
    return render(request, "guestbook/home.html", {
        "visits": visits,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "django": django.get_version(),
        "server": request.META.get("SERVER_SOFTWARE", "unknown"),
        "entries": Entry.objects.count(),
        "moons": Moon.objects.count(),
        "flask": "/flask/",
    })


@require_http_methods(["GET", "HEAD", "POST"])
def guests(request):
    if request.method == "POST":
        form = EntryForm(request.POST, request.FILES)
        if form.is_valid():
            form.save()
            request.session["name"] = form.cleaned_data["name"]
            messages.success(request, "Thank you for signing the guest book.")
            return redirect("guests")
    else:
        form = EntryForm(initial={"name": request.session.get("name", "")})
    return render(request, "guestbook/guests.html", {"form": form, "entries": Entry.objects.all()[:50]},
                  status=422 if form.errors else 200)


@require_safe
def picture(request, pk):
    entry = get_object_or_404(Entry, pk=pk)
    if not entry.picture:
        raise Http404
    try:
        file = entry.picture.open("rb")
    except FileNotFoundError:
        raise Http404 from None
    # Goes out by wsgi.file_wrapper. The type is ours and final: the file came from a stranger.
    response = FileResponse(file, content_type=pictures.content_type(entry.picture.name))
    response["X-Content-Type-Options"] = "nosniff"
    # The style is the browser's own: the page that it makes around a picture.
    response["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
    response["Cache-Control"] = "private, max-age=86400"
    return response


ORDERS = {
    "planet": ("planet", ["planet__order", "period"]),
    "name": ("name", ["name"]),
    "radius": ("size", ["-radius"]),
    "period": ("orbital period", ["period"]),
    "discovered": ("discovery", ["discovered", "name"]),
}


@require_safe
def moons(request):
    order = request.GET.get("order")
    order = order if order in ORDERS else "planet"
    rows = Moon.objects.select_related("planet")
    planet = request.GET.get("planet", "")
    if planet:
        rows = rows.filter(planet__name=planet)
    rows = list(rows.order_by(*ORDERS[order][1]))
    for moon in rows:
        # The square root keeps the small ones visible beside Ganymede.
        moon.px = round(4 + 44 * math.sqrt(moon.radius / 2634.1))
    return render(request, "guestbook/moons.html", {
        "rows": rows,
        "order": order,
        "orders": {key: label for key, (label, _) in ORDERS.items()},
        "planet": planet,
        "planets": Planet.objects.annotate(count=Count("moons")).filter(count__gt=0),
        "totals": Moon.objects.aggregate(count=Count("pk"), mean=Avg("radius"), fastest=Min("period"), slowest=Max("period")),
    })


@require_safe
def environ(request):
    """The environ dict of this very request, in groups."""
    groups = {"wsgi": [], "request": [], "headers": [], "rest": []}
    for key, value in sorted(request.environ.items()):
        # A cookie's value is a key to somebody's session: not for a screen that others may see.
        if key == "CSRF_COOKIE":
            value = "..."
        elif key == "HTTP_COOKIE":
            value = "; ".join(f"{name}=..." for name in SimpleCookie(value))
        row = (key, type(value).__name__, value if isinstance(value, str) else repr(value))
        if key.startswith(("wsgi.", "gowsgi.")):
            groups["wsgi"].append(row)
        elif key.startswith("HTTP_"):
            groups["headers"].append(row)
        elif key.isupper() and "." not in key and key.split("_")[0] in (
                "REQUEST", "SCRIPT", "PATH", "QUERY", "CONTENT", "SERVER", "REMOTE", "RAW"):
            groups["request"].append(row)
        else:
            groups["rest"].append(row)
    titles = {"request": "The request (CGI variables)", "headers": "Headers of the request", "wsgi": "WSGI",
              "rest": "The rest (middleware, Django, process)"}
    return render(request, "guestbook/environ.html", {"groups": [(titles[k], groups[k]) for k in titles if groups[k]]})
