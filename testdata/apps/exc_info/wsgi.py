"""start_response with exc_info, before and after the headers went out."""
import sys


def error(start_response):
    try:
        raise LookupError("made by the test app")
    except LookupError:
        exc_info = sys.exc_info()
    try:
        return start_response("503 Broken", [("Content-Type", "text/plain"), ("X-From", "error")], exc_info)
    finally:
        exc_info = None


def before_headers(start_response):
    start_response("200 OK", [("Content-Type", "text/html"), ("X-Gone", "yes")])
    error(start_response)
    return [b"error page"]


def first_call(start_response):
    error(start_response)
    return [b"error page"]


def none_first(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")], None)
    return [b"fine"]


def in_first_step(start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    error(start_response)
    yield b"error page"


def after_headers(start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"sent")
    try:
        error(start_response)
    except LookupError as e:
        print("re-raised", type(e).__name__, e, e.__traceback__ is not None, file=sys.stderr, flush=True)
        raise
    return [b"never sent"]


def after_first_chunk(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"sent"
    error(start_response)
    yield b"never sent"


def before_an_empty_chunk(start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    yield b""
    error(start_response)
    yield b"error page"


def application(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](start_response)
