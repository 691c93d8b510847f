"""Factories."""
calls = 0


def create_app():
    global calls
    calls += 1

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"made by a factory, calls: %d" % calls]

    return app


def broken_factory():
    raise RuntimeError("the factory can't")


def none_factory():
    return None
