"""raw path undamaged, duplicates joined, names with an underscore dropped, latin-1 out, the usual keys there"""


def app(environ, start_response):
    wanted = "/a/b/\xc3\xa9/../x//y"
    assert environ["PATH_INFO"] == wanted, environ["PATH_INFO"]
    assert environ["HTTP_X_A"].replace(" ", "") == "1,3", environ["HTTP_X_A"]
    for key in ("RAW_URI", "SERVER_SOFTWARE", "wsgi.input_terminated", "REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT"):
        assert key in environ, key
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Name", "caf\xe9")])
    return [b"ok"]
