"""Reads the body in pieces of the size in the query string and sends, as each one comes, how much it has by then."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    stream, size, total = environ["wsgi.input"], int(environ["QUERY_STRING"]), 0
    while True:
        piece = stream.read(size)
        if not piece:
            break
        total += len(piece)
        yield b"%d\n" % total
    yield b"end\n"
