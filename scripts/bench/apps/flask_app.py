"""Flask: a view that says hello, and one that answers with 10 KB of JSON made anew for each request."""

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/")
def hello():
    return "Hello, world!\n"


@app.get("/items/<int:number>")
def items(number):
    return jsonify([{"id": number + n, "name": f"item {number + n}", "price": n * 1.25, "tags": ["a", "b"], "text": "x" * 40}
                    for n in range(90)])
