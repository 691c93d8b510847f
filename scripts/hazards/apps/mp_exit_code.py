"""multiprocessing with fork, spawn and forkserver out of a view: exit code 0, Pool.map right"""
import multiprocessing
import threading

from _app import text


@text
def app(environ):
    threading.current_thread()
    child = multiprocessing.get_context("fork").Process(target=len, args=("x",))
    child.start()
    child.join(10)
    assert child.exitcode == 0, f"exit code {child.exitcode}"
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
    return "ok"
