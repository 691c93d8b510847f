"""Says in X-Seen what it saw of a request: the environ's text and the body as JSON. /unread leaves the body, /canaries lists the queries of
the requests for /canary."""
import json

canaries = []


def application(environ, start_response):
    path, body = environ.get("PATH_INFO", ""), b""
    if path == "/canary":
        canaries.append(environ["QUERY_STRING"])
    if path != "/unread":
        body = environ["wsgi.input"].read()
    plain = {k: v for k, v in environ.items() if type(v) is str}
    seen = json.dumps([plain, body.decode("latin-1")]).replace("\x7f", "\\u007f")
    if path == "/canaries":
        listed = json.dumps(canaries).encode()
        start_response("200 OK", [("Content-Length", str(len(listed)))])
        return [listed]
    start_response("200 OK", [("Content-Length", "0"), ("X-Seen", seen)])
    return []
