"""Both default names: application comes first."""


def reply(name):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [name]

    return app


app = reply(b"app")
application = reply(b"application")
other = reply(b"other")


class holder:
    inner = reply(b"holder.inner")
