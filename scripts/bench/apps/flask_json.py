"""A Flask view with a path parameter that answers with JSON."""

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/items/<int:number>")
def item(number):
    return jsonify(number=number, name="item", tags=["a", "b", "c"])
