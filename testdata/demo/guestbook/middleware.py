from django.http import HttpResponse
from django.shortcuts import render

MAX_BODY = 6 * 1024 * 1024  # bytes: a picture of 5 MiB and the form's other fields


class BodyLimit:
    """Answers 413 before any part of a body that is too long is read.

    A request without a Content-Length has an empty body for Django, so that this is the only check needed.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return HttpResponse("Content-Length is not a number.\n", status=400, content_type="text/plain")
        if length > MAX_BODY:
            return render(request, "413.html", status=413)
        return self.get_response(request)
