"""a thread, a timer and an executor started at import run"""
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from _app import text

ticks = []
fired = threading.Event()


def tick():
    while True:
        ticks.append(1)
        time.sleep(0.02)


threading.Thread(target=tick, daemon=True).start()
threading.Timer(0.2, fired.set).start()
pool = ThreadPoolExecutor(2)
pool.submit(int).result()


@text
def app(environ):
    before = len(ticks)
    assert fired.wait(5), "the timer did not fire"
    assert pool.submit(sum, [1, 2]).result(5) == 3
    time.sleep(0.1)
    assert len(ticks) > before, "the thread does not run"
    return "ok"
