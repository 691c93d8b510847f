"""Handles SIGTERM itself and asks to leave with sys.exit(5)."""
import signal
import sys


def handler(number, frame):
    print("the app's own SIGTERM handler", file=sys.stderr, flush=True)
    sys.exit(5)


signal.signal(signal.SIGTERM, handler)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"up"]
