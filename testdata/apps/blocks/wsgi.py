"""/block says that it is there and waits for the file in the query string (60 s at most), /busy computes until then; anything else answers at
once."""
import os
import time


def application(environ, start_response):
    path, gate, deadline = environ["PATH_INFO"], environ["QUERY_STRING"], time.monotonic() + 60
    if path == "/block":
        print("blocked", gate, file=environ["wsgi.errors"], flush=True)
        while not os.path.exists(gate) and time.monotonic() < deadline:
            time.sleep(0.01)
    if path == "/busy":
        print("busy", gate, file=environ["wsgi.errors"], flush=True)
        while not os.path.exists(gate) and time.monotonic() < deadline:
            end = time.monotonic() + 0.2  # to look for the file lets the GIL go
            while time.monotonic() < end:
                pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
