"""the app's own SIGTERM handler, set at import, runs, and the server ends"""
import os
import signal
import sys

from _app import text


def handler(signum, frame):
    with open(os.environ["HAZARD_FILE"], "a") as file:
        file.write("handler ran\n")
    sys.exit(0)


signal.signal(signal.SIGTERM, handler)


@text
def app(environ):
    return "ok"
