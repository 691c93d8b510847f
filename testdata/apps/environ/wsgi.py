"""Answers with the environ as JSON: strings and numbers as they are, anything else as its repr."""
import json


def application(environ, start_response):
    wrong = [k for k, v in environ.items() if type(k) is not str or (not k.startswith(("wsgi.", "gowsgi.")) and type(v) is not str)]
    plain = {k: v if isinstance(v, (str, int, tuple)) else repr(v) for k, v in environ.items()}
    plain["e2e.not_str"] = wrong
    plain["e2e.type"] = type(environ).__name__
    environ["SCRIPT_NAME"] = environ["e2e.changed"] = "changed by the app"  # must not be seen by a later request
    body = json.dumps(plain).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
