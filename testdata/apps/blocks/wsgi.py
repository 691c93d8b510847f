"""/block says that it is there and waits for the file in the query string (60 s at most); anything else answers at once."""
import os
import time


def application(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        gate = environ["QUERY_STRING"]
        print("blocked", gate, file=environ["wsgi.errors"], flush=True)
        deadline = time.monotonic() + 60
        while not os.path.exists(gate) and time.monotonic() < deadline:
            time.sleep(0.01)
    if environ["PATH_INFO"] == "/busy":
        end = time.monotonic() + float(environ["QUERY_STRING"])
        while time.monotonic() < end:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
