"""at SIGTERM: atexit, a non-daemon thread, a buffered file and print() are not lost"""
import atexit
import os
import threading
import time

from _app import text

out = open(os.environ["HAZARD_FILE"], "a")


def mark(what):
    with open(os.environ["HAZARD_FILE"], "a") as file:
        file.write(what + "\n")


atexit.register(mark, "atexit")


def late():
    while threading.main_thread().is_alive():
        time.sleep(0.05)
    time.sleep(0.5)
    mark("thread")


@text
def app(environ):
    out.write("buffered\n")
    print("hazard-print")
    threading.Thread(target=late).start()
    return "ok"
