"""Hashes the body in pieces of 64 KiB: answers its length and SHA-256."""
import hashlib


def application(environ, start_response):
    digest, size = hashlib.sha256(), 0
    while True:
        piece = environ["wsgi.input"].read(65536)
        if not piece:
            break
        digest.update(piece)
        size += len(piece)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%d %s" % (size, digest.hexdigest())).encode()]
