"""sys.exit in a child that the view forked ends the child, and only it"""
import os
import signal
import sys
import time

from _app import text


@text
def app(environ):
    pid = os.fork()
    if pid == 0:
        sys.exit(5)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the child did not end in 5 s")
