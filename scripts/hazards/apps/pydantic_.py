"""pydantic and orjson, with deep nesting both ways"""
import orjson
from _app import text
from pydantic import BaseModel, ValidationError


class Node(BaseModel):
    n: int
    next: "Node | None" = None


@text
def app(environ):
    assert Node.model_validate({"n": "1", "next": {"n": 2}}).next.n == 2
    try:
        Node(n="x")
    except ValidationError:
        pass
    deep = b"[" * 200 + b"]" * 200
    assert orjson.dumps(orjson.loads(deep)[0]) == deep[1:-1]
    for refused in (lambda: orjson.loads(b"[" * 100_000), lambda: orjson.dumps(nested(1000))):
        try:
            refused()
        except (ValueError, TypeError):
            continue
        raise AssertionError("deep nesting was not refused")
    return "ok"


def nested(n):
    value = []
    for _ in range(n):
        value = [value]
    return value
