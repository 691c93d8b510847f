"""Keeps start_response, write and wsgi.input of one request and uses them in a later one."""
import json

kept = {}


def keep(environ, start_response):
    stream = environ["wsgi.input"]
    kept.update(start_response=start_response, input=stream, lines=iter(stream))
    kept["write"] = start_response("200 OK", [("Content-Type", "text/plain")])
    kept["wrapper"] = environ["wsgi.file_wrapper"]
    return [b"kept"]


USES = {
    "start_response": lambda: kept["start_response"]("418 Stolen", [("X-Stolen", "yes")]),
    "write": lambda: kept["write"](b"stolen"),
    "read": lambda: kept["input"].read(),
    "readline": lambda: kept["input"].readline(),
    "readlines": lambda: kept["input"].readlines(),
    "next": lambda: next(kept["lines"]),
}


def use(environ, start_response):
    got = {}
    for name, call in USES.items():
        try:
            call()
            got[name] = "nothing raised"
        except BaseException as e:
            got[name] = type(e).__name__
    got["own"] = environ["wsgi.input"].read().decode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(got).encode()]


def application(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
