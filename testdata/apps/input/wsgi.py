"""Reads wsgi.input as the path says and answers with what it got, as a JSON list of latin-1 strings."""
import json


def loop(call):
    out = []
    while True:
        out.append(call())
        if not out[-1]:
            return out


def pieces(stream, path, n):
    if path == "read":
        return [stream.read(), stream.read(), stream.read(5)]
    if path == "read_none":
        return [stream.read(None), stream.read()]
    if path == "read_minus_one":
        return [stream.read(-1), stream.read()]
    if path == "read_zero":
        return [stream.read(0), stream.read()]
    if path == "read_n":
        return loop(lambda: stream.read(n))
    if path == "readline":
        return loop(stream.readline)
    if path == "readline_n":
        return loop(lambda: stream.readline(n))
    if path == "readline_minus_one":
        return loop(lambda: stream.readline(-1))
    if path == "readline_none":
        return loop(lambda: stream.readline(None))
    if path == "readlines":
        return stream.readlines() + [b"--"] + stream.readlines()
    if path == "readlines_hint":
        return stream.readlines(n) + [b"--"] + stream.readlines()
    if path == "iterate":
        return list(stream) + [b"--"] + list(stream)
    if path == "mixed":
        return [stream.read(2), stream.readline(), next(iter(stream)), stream.readline(3), stream.read()]
    if path == "ignored":
        return []
    if path == "part":
        return [stream.read(n)]
    raise LookupError(path)


def application(environ, start_response):
    n = int(environ["QUERY_STRING"] or 0)
    got = pieces(environ["wsgi.input"], environ["PATH_INFO"][1:], n)
    assert all(type(p) is bytes for p in got), got
    body = json.dumps([p.decode("latin-1") for p in got]).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
