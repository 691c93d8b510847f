"""Raises what the path says, at the point that the query string says: before, started, first, later, close."""
import json


class BadStr(Exception):
    def __str__(self):
        raise ValueError("no text either")

    __repr__ = __str__


def recursion():
    return recursion()


def recursion_json():
    nested = []
    for _ in range(1000000):
        nested = [nested]
    try:
        return json.dumps(nested)
    finally:
        while nested:  # taken apart by hand: freeing it is as deep
            nested = nested.pop()


def memory():
    return bytearray(1 << 62)


def throw(e):
    raise e


def chained():
    try:
        1 / 0
    except ZeroDivisionError as e:
        raise ValueError("outer") from e


KINDS = {
    "value_error": lambda: throw(ValueError("caf\u00e9 \u20ac \udce9")),
    "stop_iteration": lambda: throw(StopIteration("not the end")),
    "system_exit": lambda: throw(SystemExit()),
    "system_exit_3": lambda: throw(SystemExit(3)),
    "system_exit_text": lambda: throw(SystemExit("text")),
    "keyboard_interrupt": lambda: throw(KeyboardInterrupt()),
    "generator_exit": lambda: throw(GeneratorExit()),
    "memory_error": memory,
    "recursion": recursion,
    "recursion_json": recursion_json,
    "bad_str": lambda: throw(BadStr()),
    "os_error": lambda: throw(OSError(5, "not the client's")),
    "chained": chained,
}


class Reply:
    def __init__(self, point, raise_it):
        self.point, self.raise_it, self.step = point, raise_it, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.step += 1
        if self.step == 1 and self.point == "first" or self.step == 2 and self.point == "later":
            self.raise_it()
        if self.step > 2:
            raise StopIteration
        return b"chunk"

    def close(self):
        if self.point == "close":
            self.raise_it()


def application(environ, start_response):
    point, raise_it = environ["QUERY_STRING"], KINDS[environ["PATH_INFO"][1:]]
    if point == "before":
        raise_it()
    headers = [("Content-Type", "text/plain")]
    if environ.get("HTTP_X_LENGTH"):
        headers.append(("Content-Length", environ["HTTP_X_LENGTH"]))
    start_response("200 OK", headers)
    if point == "started":
        raise_it()
    return Reply(point, raise_it)
