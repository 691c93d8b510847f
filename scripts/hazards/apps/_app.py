"""What the small apps here share."""

import functools


def text(view):
    """A WSGI app out of a function that takes the environ and returns text. What it raises is the server's to answer."""

    @functools.wraps(view)
    def app(environ, start_response):
        body = str(view(environ)).encode()
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return app
