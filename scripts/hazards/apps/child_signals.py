"""SIGTERM, SIGINT, SIGHUP and SIGUSR1 end a process that the app forked; Process.terminate() works"""
import multiprocessing
import os
import signal
import time

from _app import text


@text
def app(environ):
    fork = multiprocessing.get_context("fork")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        pid = os.fork()
        if pid == 0:
            time.sleep(3)
            os._exit(0)
        time.sleep(0.05)
        os.kill(pid, number)
        _, status = os.waitpid(pid, 0)
        assert status != 0, f"{number.name} was swallowed"
    child = fork.Process(target=time.sleep, args=(3,))
    child.start()
    child.terminate()
    child.join()
    assert child.exitcode == -signal.SIGTERM, child.exitcode
    return "ok"
