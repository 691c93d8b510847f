"""Ends the process from C code."""
import ctypes
import os


def application(environ, start_response):
    if environ["PATH_INFO"] == "/segfault":
        ctypes.string_at(0)
    if environ["PATH_INFO"] == "/abort":
        os.abort()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"alive"]
