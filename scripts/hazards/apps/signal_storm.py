"""2,000 signals with a Python handler, while requests are served"""
import os
import signal

from _app import text

signal.signal(signal.SIGUSR1, lambda signum, frame: None)


@text
def app(environ):
    return os.getpid()
