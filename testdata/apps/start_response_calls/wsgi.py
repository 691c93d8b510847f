"""start_response called late, never, twice, and with arguments that are not what PEP 3333 names."""

PLAIN = [("Content-Type", "text/plain")]


def late(start_response):
    start_response("201 Late", PLAIN)
    yield b"called in the first step"


def late_write(start_response):
    start_response("201 Late", PLAIN)(b"written,")
    yield b"yielded"


class LateIter:
    """Called in __iter__, with a close() of its own."""

    def __init__(self, start_response):
        self.start_response = start_response

    def __iter__(self):
        self.start_response("201 Late", PLAIN)
        return iter([b"called in __iter__"])


def late_iter(start_response):
    return LateIter(start_response)


def after_first_chunk(start_response):
    yield b"too early"
    start_response("200 OK", PLAIN)
    yield b"too late"


def after_empty_chunk(start_response):
    yield b""
    start_response("201 Late", PLAIN)
    yield b"body"


def never(start_response):
    return [b"body"]


def never_empty(start_response):
    return []


def never_generator(start_response):
    yield b"body"


def twice(start_response):
    start_response("200 OK", PLAIN)
    start_response("200 OK", PLAIN)
    return [b"body"]


def twice_caught(start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Call", "first")])
    try:
        start_response("404 Second", [("X-Call", "second")])
    except Exception:
        return [b"first call holds"]
    return [b"second call taken"]


def by_keyword(start_response):
    # The names are not fixed by PEP 3333: servers accept positional arguments only.
    start_response(status="200 OK", headers=PLAIN)
    return [b"body"]


def no_arguments(start_response):
    start_response()
    return [b"body"]


def headers_kept_apart(start_response):
    headers = [("Content-Type", "text/plain"), ("X-A", "1")]
    start_response("200 OK", headers)
    headers[:] = [("Content-Type", "text/html")]  # the server may hold on to the list, but must not crash
    del headers
    return [b"body"]


def application(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](start_response)
