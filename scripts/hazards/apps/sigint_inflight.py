"""SIGINT with a request in hand: it is finished, then the server ends"""
import os
import time

from _app import text


@text
def app(environ):
    if environ["PATH_INFO"] == "/slow":
        with open(os.environ["HAZARD_FILE"], "w") as file:
            file.write("began")
        time.sleep(1)
    return "ok"
