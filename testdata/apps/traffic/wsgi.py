"""Answers of every kind for load, each with the release and the process that it is from. release.py beside it is what a deployment changes."""
import hashlib
import os
import time

import release

kept = []


def stream():
    for n in range(5):
        time.sleep(0.004)
        yield b"chunk %d\n" % n


def digest(body):
    hashed, size = hashlib.sha256(), 0
    while True:
        piece = body.read(65536)
        if not piece:
            return b"%d %s" % (size, hashed.hexdigest().encode())
        hashed.update(piece)
        size += len(piece)


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    status, body = "200 OK", [b"short"]
    if path == "/stream":
        body = stream()
    elif path == "/upload":
        body = [digest(environ["wsgi.input"])]
    elif path == "/health":
        status, body = release.HEALTH, [b"health"]
    elif path == "/block":  # until the file in the query string is there
        print("blocked", query, file=environ["wsgi.errors"], flush=True)
        deadline = time.monotonic() + 60
        while not os.path.exists(query) and time.monotonic() < deadline:
            time.sleep(0.01)
    elif path == "/keep":  # so many MiB more of memory
        kept.append(b"x" * (int(query) << 20))
    elif path == "/loop":
        print("looping", file=environ["wsgi.errors"], flush=True)
        while True:
            pass
    start_response(status, [("Content-Type", "text/plain"), ("X-Pid", str(os.getpid())), ("X-Release", release.NAME)])
    return body
