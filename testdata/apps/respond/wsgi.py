"""Answers what the query string says, as percent-encoded JSON: {"status": ..., "headers": ..., "body": [...]}; strings are latin-1."""
import json
from urllib.parse import unquote


def application(environ, start_response):
    spec = json.loads(unquote(environ["QUERY_STRING"]))
    headers = spec.get("headers", [])
    if isinstance(headers, list):
        headers = [tuple(h) if isinstance(h, list) else h for h in headers]
    start_response(spec.get("status", "200 OK"), headers)
    body = [b.encode("latin-1") for b in spec.get("body", ["body"])]
    return body if spec.get("list", True) else iter(body)
