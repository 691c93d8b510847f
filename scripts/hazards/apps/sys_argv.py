"""sys.argv, sys.orig_argv, sys.executable and __main__ are there"""
import os
import sys

from _app import text


@text
def app(environ):
    import __main__

    assert isinstance(sys.argv, list) and sys.argv and sys.orig_argv
    assert os.path.samefile(os.path.dirname(sys.executable), os.path.join(sys.prefix, "bin")), sys.executable
    assert __main__.__name__ == "__main__"
    return "ok"
