"""importlib.metadata, zoneinfo, .pth files' prefix, tracemalloc, stdin, threading.local over requests"""
import importlib.metadata
import sys
import threading
import tracemalloc
import zoneinfo

from _app import text

local = threading.local()


@text
def app(environ):
    local.count = getattr(local, "count", 0) + 1
    assert importlib.metadata.version("gunicorn")
    assert zoneinfo.ZoneInfo("Europe/Vienna").key
    assert sys.prefix != sys.base_prefix
    tracemalloc.start()
    tracemalloc.stop()
    sys.stdin.read()
    return f"ok {local.count}"
