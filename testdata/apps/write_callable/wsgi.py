"""Replies made with write(), the callable that start_response returns."""


def only_write(environ, write):
    write(b"one,")
    write(b"two")
    return []


def write_then_iterate(environ, write):
    write(b"written,")
    return [b"iterated,", b"twice"]


def write_while_iterating(environ, write):
    yield b"first,"
    write(b"written,")
    yield b"last"


def write_empty(environ, write):
    write(b"")
    return [b"body"]


def write_str(environ, write):
    write("not bytes")
    return []


def write_nothing(environ, write):
    return []


def application(environ, start_response):
    headers = [("Content-Type", "text/plain")]
    if environ["QUERY_STRING"]:
        headers.append(("Content-Length", environ["QUERY_STRING"]))
    return globals()[environ["PATH_INFO"][1:]](environ, start_response("200 OK", headers))
