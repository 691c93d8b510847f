"""a write to a pipe and to a socket whose peer has closed is a BrokenPipeError"""
import os
import socket

from _app import text


@text
def app(environ):
    reader, writer = os.pipe()
    os.close(reader)
    near, far = socket.socketpair()
    far.close()
    for write in (lambda: os.write(writer, b"x"), lambda: near.send(b"x")):
        try:
            write()
        except BrokenPipeError:
            continue
        raise AssertionError("no BrokenPipeError")
    os.close(writer)
    near.close()
    return "ok"
