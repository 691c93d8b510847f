"""write() hands its bytes to the client before it waits for the file named in the query."""
import os
import time


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"before the gate")
    deadline = time.monotonic() + 30
    while not os.path.exists(environ["QUERY_STRING"]) and time.monotonic() < deadline:
        time.sleep(0.005)
    write(b"after the gate")
    return []
