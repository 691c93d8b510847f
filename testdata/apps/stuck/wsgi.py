"""Ways not to come back: /loop is Python that catches everything, /sleep is time.sleep, /call is a C function that let the GIL go, /hold is
one that keeps it. /pid answers with the process's id, what else is asked with "fine"."""
import ctypes
import os
import time


def loop():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/loop":
        loop()
    if path == "/sleep":
        time.sleep(3600)
    if path == "/call":
        ctypes.CDLL(None).sleep(3600)
    if path == "/hold":
        ctypes.PyDLL(None).sleep(3600)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode() if path == "/pid" else b"fine"]
