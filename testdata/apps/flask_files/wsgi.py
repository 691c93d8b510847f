"""Flask with USE_X_SENDFILE, and pages that are worth a compression."""
import os

from flask import Flask, Response, jsonify, send_file, send_from_directory

app = Flask(__name__)
app.config["USE_X_SENDFILE"] = True
FILES = os.environ["E2E_FILES"]
closed = []


@app.get("/download/<path:name>")
def download(name):
    return send_from_directory(FILES, name, as_attachment=True)


@app.get("/any")
def any_file():
    return send_file("/etc/passwd")


@app.get("/items")
def items():
    return jsonify([{"id": i, "name": "item %d of many" % i} for i in range(500)])


@app.get("/named")
def named():
    """A body beside the file: it is dropped, and closed."""
    def body():
        try:
            for i in range(100):
                yield b"x" * 10000
        finally:
            closed.append("named")

    r = Response(body(), mimetype="text/plain")
    r.headers["X-Sendfile"] = os.path.join(FILES, "page.txt")
    return r


@app.get("/closed")
def was_closed():
    return jsonify(closed)
