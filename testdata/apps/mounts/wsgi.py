"""Apps for several mounts; each says which it is, and what SCRIPT_NAME and PATH_INFO it got."""
import json


def named(name):
    def app(environ, start_response):
        body = json.dumps([name, environ["SCRIPT_NAME"], environ["PATH_INFO"]]).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]

    return app


root, api, api_v2, cafe = named("root"), named("api"), named("api_v2"), named("cafe")
