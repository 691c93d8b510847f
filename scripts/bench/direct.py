"""direct.py MODULE PATH UPLOAD SECONDS: calls MODULE's app in a loop in this Python, with no server: the most that any server can reach with one
process and a GIL. Prints JSON: the SHA-256 of the reply's body, calls per second and CPU microseconds per call (none where SECONDS is 0)."""

import hashlib
import importlib
import io
import json
import os
import sys
import time

sys.path.insert(0, os.getcwd())


def environ_of(path, upload):
    environ = {
        "REQUEST_METHOD": "POST" if upload else "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40000", "HTTP_HOST": "127.0.0.1:8000",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if upload:
        environ["CONTENT_LENGTH"] = str(upload)
    return environ


def start_response(status, headers, exc_info=None):
    if status != "200 OK":
        raise SystemExit(f"direct: the app answered {status}")
    return None


def call(app, environ, body):
    reply = app({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
    try:
        for piece in reply:
            yield piece
    finally:
        if hasattr(reply, "close"):
            reply.close()


def main(module, path, upload, seconds):
    app = importlib.import_module(module).app
    environ, body = environ_of(path, upload), b"u" * upload
    result = {"digest": hashlib.sha256(b"".join(call(app, environ, body))).hexdigest()}
    if seconds:
        calls, began, cpu = 0, time.perf_counter(), time.process_time()
        while (took := time.perf_counter() - began) < seconds:
            for _ in call(app, environ, body):
                pass
            calls += 1
        result.update(rate=calls / took, cpu_us=(time.process_time() - cpu) / calls * 1e6)
    print(json.dumps(result))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
