"""The Flask app that the demo mounts at /flask, beside the Django site, in the same interpreter."""

import hashlib
import json
import os
import platform
import re
import sys
import threading
import time
from collections import OrderedDict
from importlib.metadata import version

from flask import Flask, Response, jsonify, render_template, request

# Templates and style lie beside those of the Django site, whose static files are served at /static.
app = Flask(__name__, template_folder="flask_templates", static_folder=None)

STARTED = time.time()
PIECE = 64 * 1024  # bytes per read of wsgi.input
MAX_UPLOAD = 1024 * 1024 * 1024
app.config["MAX_CONTENT_LENGTH"] = MAX_UPLOAD


class Uploads:
    """What the server has counted of the uploads in hand and of the last few, by the name that the browser drew for each."""

    KEEP = 50

    def __init__(self):
        self._lock = threading.Lock()
        self._counts = OrderedDict()

    def set(self, name, **values):
        with self._lock:
            self._counts.setdefault(name, {}).update(values)
            while len(self._counts) > self.KEEP:
                self._counts.popitem(last=False)

    def get(self, name):
        with self._lock:
            return dict(self._counts.get(name, {"bytes": 0, "reads": 0, "state": "waiting"}))


uploads = Uploads()
served = threading.local()


@app.before_request
def count_requests_of_this_thread():
    # threading.local lives as long as the thread: the count goes up and stays with its thread.
    served.count = getattr(served, "count", 0) + 1


@app.get("/")
def index():
    return render_template("index.html", version=version("flask"), page="index")


@app.get("/stream")
def stream():
    return render_template("stream.html", page="stream")


@app.get("/stream/lines")
def stream_lines():
    """Twenty lines, one each 300 ms: as server-sent events to a browser's EventSource, as text to anybody else."""
    events = "text/event-stream" in request.headers.get("Accept", "")

    def lines():
        began = time.monotonic()
        for number in range(1, 21):
            line = json.dumps({"line": number, "of": 20, "seconds": round(time.monotonic() - began, 3),
                               "thread": threading.current_thread().name})
            yield f"data: {line}\n\n" if events else f"{line}\n"
            time.sleep(0.3)
        if events:
            yield "event: end\ndata: {}\n\n"

    return Response(lines(), mimetype="text/event-stream" if events else "text/plain", headers={"Cache-Control": "no-store"})


@app.get("/upload")
def upload():
    return render_template("upload.html", page="upload", limit=MAX_UPLOAD)


UPLOAD_NAME = re.compile(r"[0-9a-z]{8,40}")


@app.post("/upload/<name>")
def receive(name):
    """Reads the body in pieces, counts and hashes it, and keeps nothing of it."""
    if not UPLOAD_NAME.fullmatch(name):
        return jsonify(error="the upload's name is 8 to 40 digits and lower-case letters"), 400
    body = request.environ["wsgi.input"]
    if request.content_length is not None and request.content_length > MAX_UPLOAD:
        return jsonify(error="over 1 GiB"), 413
    total, reads, digest, began = 0, 0, hashlib.sha256(), time.monotonic()
    # A server that says wsgi.input_terminated ends the stream itself; elsewhere the length is the only bound.
    left = MAX_UPLOAD if request.environ.get("wsgi.input_terminated") else request.content_length or 0
    while left > 0:
        piece = body.read(min(PIECE, left))
        if not piece:
            break
        digest.update(piece)
        total += len(piece)
        left -= len(piece)
        reads += 1
        uploads.set(name, bytes=total, reads=reads, state="reading")
    seconds = round(time.monotonic() - began, 3)
    uploads.set(name, bytes=total, reads=reads, state="done", seconds=seconds, sha256=digest.hexdigest())
    return jsonify(uploads.get(name))


@app.get("/upload/<name>")
def progress(name):
    response = jsonify(uploads.get(name))
    response.headers["Cache-Control"] = "no-store"
    return response


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@app.get("/info")
def info():
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    facts = [
        ("Server", request.environ.get("SERVER_SOFTWARE", "unknown")),
        ("Python", f"{platform.python_implementation()} {sys.version}"),
        ("GIL", "on" if gil else "off (free-threaded)"),
        ("sys.executable", sys.executable),
        ("sys.prefix", sys.prefix),
        ("sys.base_prefix", sys.base_prefix),
        ("Process", f"{os.getpid()}, up {int(time.time() - STARTED)} s since the app was imported"),
        ("Resident memory", f"{resident_bytes() / 2**20:.1f} MiB"),
        ("Threads of the operating system", len(os.listdir("/proc/self/task"))),
        ("wsgi.multithread", request.environ["wsgi.multithread"]),
        ("wsgi.multiprocess", request.environ["wsgi.multiprocess"]),
        ("This request's thread", f"{threading.current_thread().name}, which has now served {served.count} requests of this app"),
        ("sys.path", "\n".join(sys.path)),
    ]
    threads = [(t.name, type(t).__name__, "daemon" if t.daemon else "", t.native_id) for t in threading.enumerate()]
    return render_template("info.html", page="info", facts=facts, threads=threads)


@app.get("/info/wait")
def wait():
    """Half a second of waiting, as for a database, and who waited: the info page fires many at once."""
    began = time.monotonic()
    time.sleep(0.5)
    return jsonify(thread=threading.current_thread().name, seconds=round(time.monotonic() - began, 3))
