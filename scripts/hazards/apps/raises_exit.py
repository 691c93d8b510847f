"""SystemExit, KeyboardInterrupt and GeneratorExit out of a view: 500, the process goes on, the next requests are served"""
import os

from _app import text

KINDS = {"/exit": SystemExit, "/interrupt": KeyboardInterrupt, "/generator": GeneratorExit}


@text
def app(environ):
    kind = KINDS.get(environ["PATH_INFO"])
    if kind:
        raise kind
    return os.getpid()
