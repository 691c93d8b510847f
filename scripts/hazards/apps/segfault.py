"""a segmentation fault in C: the log says so"""
import ctypes

from _app import text


@text
def app(environ):
    if environ["PATH_INFO"] == "/crash-here":
        ctypes.string_at(1)
    return "ok"
