"""Reads the body only in the ways that wsgiref.validate allows: with a size, by line, by iteration."""


def application(environ, start_response):
    stream = environ["wsgi.input"]
    parts = [stream.read(3), stream.readline(), stream.readline(4)] + stream.readlines(1) + list(stream)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"|".join(parts)]
