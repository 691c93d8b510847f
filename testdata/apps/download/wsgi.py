"""Sends as many MiB as the query string says: /generator and /odd in pieces made one by one, /list as pieces that exist already."""

PIECE = b"0123456789abcdef" * 4096


def generator(n):
    for _ in range(n * 16):
        yield bytes(bytearray(PIECE))  # a new object each time, as a real app makes them


def odd(n):
    """Pieces of 1 to 5000 bytes that begin and end anywhere in a page."""
    whole = memoryview(PIECE * 2)
    at, end, size = 0, n * 1048576, 1
    while at < end:
        piece = whole[at % len(PIECE) :][: min(size, end - at)].tobytes()
        at, size = at + len(piece), size % 5000 + 7
        yield piece


def application(environ, start_response):
    n = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(n * 1048576))])
    if environ["PATH_INFO"] == "/list":
        return [PIECE] * (n * 16)
    return odd(n) if environ["PATH_INFO"] == "/odd" else generator(n)
