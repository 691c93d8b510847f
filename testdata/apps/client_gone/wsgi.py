"""Finds out that the client went away: while it reads the body, calls write(), or waits with nothing to do."""
import os
import time


def say(environ, what):
    print(what, environ["QUERY_STRING"], file=environ["wsgi.errors"], flush=True)


def read(environ, start_response):
    say(environ, "reading")
    try:
        while environ["wsgi.input"].read(1024):
            pass
        say(environ, "read to the end")
    except OSError:
        say(environ, "read raised OSError")
        raise
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"whole"]


def write(environ, start_response):
    put = start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        while True:
            put(b"x" * 65536)
    except OSError:
        say(environ, "write raised OSError")
        raise


class Waits:
    """Yields once, waits for the gate, yields again: close() must come at the latest then."""

    def __init__(self, environ):
        self.environ = environ

    def __iter__(self):
        yield b"one"
        deadline = time.monotonic() + 30
        while not os.path.exists(self.environ["HTTP_X_GATE"]) and time.monotonic() < deadline:
            time.sleep(0.005)
        say(self.environ, "yields again")
        yield b"two"
        say(self.environ, "asked for more")

    def close(self):
        say(self.environ, "closed")


def wait(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Waits(environ)


def fast(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fast"]


def application(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
