"""ProcessPoolExecutor, ThreadPoolExecutor, sys.exit and os._exit in a forked child"""
import os
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from _app import text


@text
def app(environ):
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    pid = os.fork()
    if pid == 0:
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    return "ok"
