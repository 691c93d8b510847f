"""Raw WSGI apps by path: bodies of several kinds, an upload read in pieces, and a wait."""

import time

HELLO = b"Hello, world!\n"
KIB = b"k" * 1024
PIECES = [b"p" * 16384] * 64  # 1 MiB
PIECE = 65536


def hello(environ):
    return [HELLO], len(HELLO)


def stream(environ):
    return (KIB for _ in range(100)), None


def listed(environ):
    return PIECES, 1 << 20


def generated(environ):
    return (piece for piece in PIECES), 1 << 20


def upload(environ):
    read, body = 0, environ["wsgi.input"]
    while piece := body.read(PIECE):
        read += len(piece)
    reply = b"%d" % read
    return [reply], len(reply)


def sleep(environ):
    time.sleep(0.020)
    return [HELLO], len(HELLO)


ROUTES = {"/": hello, "/stream": stream, "/list": listed, "/generator": generated, "/upload": upload, "/sleep": sleep}


def app(environ, start_response):
    body, length = ROUTES[environ["PATH_INFO"]](environ)
    headers = [("Content-Type", "text/plain")]
    if length is not None:
        headers.append(("Content-Length", str(length)))
    start_response("200 OK", headers)
    return body
