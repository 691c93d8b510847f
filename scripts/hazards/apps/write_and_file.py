"""write() and wsgi.file_wrapper"""


def app(environ, start_response):
    if environ["PATH_INFO"] == "/file":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"ok")
    return []
