"""Who the app runs as, and its environment."""
import json
import os


def application(environ, start_response):
    umask = os.umask(0o77)
    os.umask(umask)
    facts = {
        "uid": os.getresuid(), "gid": os.getresgid(), "groups": sorted(os.getgroups()), "umask": umask, "env": dict(os.environ),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]
