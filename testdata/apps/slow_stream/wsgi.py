"""Yields "one", waits for the file that X-Gate names, yields "two". /length gives a Content-Length."""
import os
import time


def application(environ, start_response):
    gate = environ["HTTP_X_GATE"]
    headers = [("Content-Type", "text/plain")]
    if environ["PATH_INFO"] == "/length":
        headers.append(("Content-Length", "6"))
    start_response("200 OK", headers)

    def body():
        yield b"one"
        deadline = time.monotonic() + 30
        while not os.path.exists(gate) and time.monotonic() < deadline:
            time.sleep(0.005)
        yield b"two"
        print("stream ended", gate, file=environ["wsgi.errors"], flush=True)

    return body()
