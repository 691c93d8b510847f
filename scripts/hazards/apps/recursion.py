"""RecursionError in Python and in C (json, repr, pickle, ast), then served as before"""
import ast
import json
import pickle

from _app import text


def endless(n):
    return endless(n + 1)


def nested(n):
    value = []
    for _ in range(n):
        value = [value]
    return value


@text
def app(environ):
    deep = nested(200_000)
    for job in (lambda: endless(0), lambda: json.dumps(deep), lambda: repr(deep), lambda: pickle.dumps(deep),
                lambda: json.loads("[" * 200_000), lambda: ast.parse("(" * 50_000)):
        try:
            job()
        except (RecursionError, MemoryError, SyntaxError):
            continue
        raise AssertionError("no RecursionError")
    while deep:  # freed level by level: its own deallocation is not what is tried here
        deep = deep.pop()
    return "ok"
