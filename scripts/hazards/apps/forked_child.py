"""a child that the app forked lives on: connections end, and a new server on the port is not robbed of its own"""
import os
import time

from _app import text


@text
def app(environ):
    if environ["PATH_INFO"] == "/fork":
        pid = os.fork()
        if pid == 0:
            time.sleep(8)
            os._exit(0)
        return pid
    return "ok"
