"""os.chdir at import: what is imported later is still found"""
import os

from _app import text

os.chdir("/")


@text
def app(environ):
    import thread_names

    assert thread_names.__file__.startswith("/")
    return "ok"
