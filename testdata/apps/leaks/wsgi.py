"""The kinds of request that a leak would show in, and /counts: what there is in the process just now."""
import collections
import gc
import io
import json
import os
import sys
import threading

FILE = os.path.abspath(__file__)
PLAIN = [("Content-Type", "text/plain")]


class Closing:
    def __iter__(self):
        return iter([b"a", b"b"])

    def close(self):
        pass


def generator():
    yield b"a"
    yield b"b"


def replaced(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        raise ValueError
    except ValueError:
        start_response("500 Replaced", PLAIN, sys.exc_info())
    return [b"error"]


def late(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"a"


def post(environ, start_response):
    stream = environ["wsgi.input"]
    parts = [stream.read(3), stream.readline(), stream.read()]
    start_response("200 OK", PLAIN + [("X-Length", str(sum(map(len, parts))))])
    return parts


def plain(reply):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return reply()

    return app


def writes(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"a")
    return [b"b"]


def keeps_a_cycle(environ, start_response):
    environ["e2e.cycle"] = environ
    start_response("200 OK", PLAIN)
    return [b"a"]


def bad_header(environ, start_response):
    start_response("200 OK", [("X-A", "\n")])
    return [b"a"]


KINDS = {
    "list": plain(lambda: [b"a"]),
    "generator": plain(generator),
    "closing": plain(Closing),
    "empty": plain(list),
    "str": plain(lambda: ["a"]),
    "fails": plain(lambda: 1 / 0),
    "file": lambda environ, start_response: plain(lambda: environ["wsgi.file_wrapper"](open(FILE, "rb")))(environ, start_response),
    "bytesio": lambda environ, start_response: plain(lambda: environ["wsgi.file_wrapper"](io.BytesIO(b"a")))(environ, start_response),
    "post": post,
    "ignores_body": plain(lambda: [b"a"]),
    "write": writes,
    "late": late,
    "replaced": replaced,
    "cycle": keeps_a_cycle,
    "bad_header": bad_header,
    "never": lambda environ, start_response: [b"a"],
}


def counts(environ, start_response):
    gc.collect()
    gc.collect()
    objects = collections.Counter(type(o).__name__ for o in gc.get_objects())
    memory = [line for line in open("/proc/self/status") if line.startswith("VmRSS")][0].split()[1]
    body = json.dumps({
        "objects": objects,
        "threads": len(threading.enumerate()),
        "tasks": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
        "rss_kib": int(memory),
        "blocks": sys.getallocatedblocks(),
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


def application(environ, start_response):
    name = environ["PATH_INFO"][1:]
    return (counts if name == "counts" else KINDS[name])(environ, start_response)
