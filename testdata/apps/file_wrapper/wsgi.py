"""wsgi.file_wrapper around a file, a file from a position on, objects without a descriptor, and a pipe."""
import gzip
import io
import os
import tempfile

DATA = bytes(range(256)) * 4096  # 1 MiB


def temporary(data=DATA, at=0):
    f = tempfile.TemporaryFile()
    f.write(data)
    f.seek(at)
    return f


def gzipped():
    return gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"unzipped" * 100)))


def gzip_file():
    return gzip.GzipFile(fileobj=temporary(gzip.compress(b"unzipped" * 100)))  # has a fileno(), of the zipped file


def partly_read():
    f = temporary()
    f.read(10)  # the buffer holds more than this, the descriptor is further on
    return f


def pipe():
    r, w = os.pipe()
    os.write(w, b"through a pipe")
    os.close(w)
    return os.fdopen(r, "rb")


class OnlyRead:
    """PEP 3333: the server may not ask for more than read()."""

    def __init__(self):
        self.left = [b"only,", b"read"]

    def read(self, size=-1):
        assert size > 0, size
        return self.left.pop(0) if self.left else b""


class Closes(io.BytesIO):
    def close(self):
        print("file closed", flush=True)
        super().close()


class BadFileno(io.BytesIO):
    def fileno(self):
        return 987654


def text():
    return io.StringIO("text, not bytes")


FILES = {
    "file": temporary,
    "position": lambda: temporary(at=1000),
    "partly_read": partly_read,
    "at_end": lambda: temporary(at=len(DATA)),
    "empty": lambda: temporary(b""),
    "bytesio": lambda: io.BytesIO(DATA),
    "gzip": gzipped,
    "gzip_file": gzip_file,
    "pipe": pipe,
    "only_read": OnlyRead,
    "closes": lambda: Closes(b"body"),
    "bad_fileno": lambda: BadFileno(b"body"),
    "unbuffered": lambda: open(__file__, "rb", buffering=0),
    "text": text,
}


def application(environ, start_response):
    headers = [("Content-Type", "application/octet-stream")]
    if environ["QUERY_STRING"].startswith("length="):
        headers.append(("Content-Length", environ["QUERY_STRING"][7:]))
    start_response("200 OK", headers)
    args = (int(environ["QUERY_STRING"][6:]),) if environ["QUERY_STRING"].startswith("block=") else ()
    wrapped = environ["wsgi.file_wrapper"](FILES[environ["PATH_INFO"][1:]](), *args)
    if environ["QUERY_STRING"] == "iterate":  # as a middleware does
        return iter(list(wrapped))
    return wrapped
