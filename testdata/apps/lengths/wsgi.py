"""A Content-Length that the body keeps to, falls short of, or exceeds."""


def generator(*chunks):
    yield from chunks


REPLIES = {
    "exact_list": ("4", lambda: [b"bo", b"dy"]),
    "exact_generator": ("4", lambda: generator(b"bo", b"dy")),
    "short_list": ("10", lambda: [b"body"]),
    "short_generator": ("10", lambda: generator(b"bo", b"dy")),
    "short_empty": ("10", lambda: []),
    "long_one": ("4", lambda: [b"body+more"]),
    "long_list": ("4", lambda: [b"bo", b"dy+", b"more"]),
    "long_generator": ("4", lambda: generator(b"bo", b"dy+", b"more")),
    "long_zero": ("0", lambda: [b"more"]),
    "zero": ("0", lambda: []),
    "none": (None, lambda: generator(b"bo", b"dy")),
    "not_a_number": ("four", lambda: [b"body"]),
    "negative": ("-4", lambda: [b"body"]),
    "plus_sign": ("+4", lambda: [b"body"]),
    "padded": (" 4", lambda: [b"body"]),
    "huge": ("99999999999999999999", lambda: [b"body"]),
}


def application(environ, start_response):
    length, body = REPLIES[environ["PATH_INFO"][1:]]
    start_response("200 OK", [("Content-Type", "text/plain")] + ([("Content-Length", length)] if length is not None else []))
    return body()
