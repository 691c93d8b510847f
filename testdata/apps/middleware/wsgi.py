"""An app that wraps an app: adds a header, changes the body as it streams, passes close() on."""


def inner(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written,")

    def body():
        try:
            yield b"one,"
            yield b"two"
        finally:
            print("inner generator closed", environ["QUERY_STRING"], file=environ["wsgi.errors"], flush=True)

    return body()


class Upper:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        def wrapped(status, headers, exc_info=None):
            write = start_response(status, headers + [("X-Wrapped", "yes")], exc_info)
            return lambda data: write(data.upper())

        return Result(self.app(environ, wrapped))


class Result:
    def __init__(self, result):
        self.result = result

    def __iter__(self):
        for chunk in self.result:
            yield chunk.upper()

    def close(self):
        if hasattr(self.result, "close"):
            self.result.close()


application = Upper(inner)
