"""A small real Flask app: session, form, upload, streaming, error, redirect."""
import hashlib

from flask import Flask, Response, abort, jsonify, redirect, request, session, stream_with_context, url_for

app = Flask(__name__)
app.secret_key = "for tests only"


@app.get("/")
def index():
    return "<p>Hello from Flask</p>"


@app.get("/count")
def count():
    session["n"] = session.get("n", 0) + 1
    return jsonify(n=session["n"])


@app.get("/greet/<name>")
def greet(name):
    return jsonify(name=name, url=url_for("greet", name=name), q=request.args.getlist("q"))


@app.post("/form")
def form():
    return jsonify(dict(request.form))


@app.post("/upload")
def upload():
    f = request.files["file"]
    data = f.read()
    return jsonify(name=f.filename, size=len(data), sha256=hashlib.sha256(data).hexdigest(), note=request.form["note"])


@app.post("/json")
def json_in():
    return jsonify(got=request.get_json())


@app.get("/stream")
def stream():
    def lines():
        for i in range(5):
            yield "%d %s\n" % (i, request.args["word"])

    return Response(stream_with_context(lines()), mimetype="text/plain")


@app.get("/where")
def where():
    return jsonify(url=request.url, client=request.remote_addr, secure=request.is_secure, script=request.script_root, link=url_for("where", _external=True))


@app.get("/old")
def old():
    return redirect(url_for("index"))


@app.get("/teapot")
def teapot():
    abort(418)


@app.get("/boom")
def boom():
    raise ValueError("a bug in the view")


@app.get("/cookies")
def cookies():
    r = Response("ok")
    r.set_cookie("a", "1")
    r.set_cookie("b", "caf\u00e9")
    return r
