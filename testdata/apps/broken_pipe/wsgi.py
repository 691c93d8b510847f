"""Writes to a pipe and a socket whose other end is closed."""
import os
import socket


def pipe():
    r, w = os.pipe()
    os.close(r)
    try:
        os.write(w, b"x")
    finally:
        os.close(w)


def sock():
    ours, theirs = socket.socketpair()
    theirs.close()
    try:
        ours.send(b"x")
    finally:
        ours.close()


def application(environ, start_response):
    try:
        globals()[environ["PATH_INFO"][1:]]()
        result = "nothing raised"
    except OSError as e:
        result = type(e).__name__
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]
