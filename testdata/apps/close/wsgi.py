"""Says on wsgi.errors when close() of the returned object ran; the query string tells the requests apart."""


class Reply:
    status, headers = "200 OK", [("Content-Type", "text/plain")]

    def __init__(self, environ, start_response):
        self.environ, self.token = environ, environ["QUERY_STRING"]
        self.start(start_response)

    def start(self, start_response):
        start_response(self.status, self.headers)

    def __iter__(self):
        yield b"body"

    def close(self):
        print("object closed", self.token, file=self.environ["wsgi.errors"], flush=True)


class normal(Reply):
    pass


class OwnIterator:
    def __init__(self, reply):
        self.reply, self.left = reply, 2

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return b"body"

    def close(self):
        print("iterator closed", self.reply.token, file=self.reply.environ["wsgi.errors"], flush=True)


class iterator_with_close(Reply):
    def __iter__(self):
        return OwnIterator(self)


class list_with_close(list):
    def __init__(self, environ, start_response):
        super().__init__([b"body"])
        self.environ, self.token = environ, environ["QUERY_STRING"]
        start_response(Reply.status, Reply.headers)

    close = Reply.close


class raises_at_first(Reply):
    def __iter__(self):
        raise ValueError("at the first step")
        yield


class raises_later(Reply):
    def __iter__(self):
        yield b"body"
        raise ValueError("at a later step")


class iter_raises(Reply):
    __iter__ = property(lambda self: 1 / 0)


class not_iterable(Reply):
    __iter__ = None


class bad_chunk(Reply):
    def __iter__(self):
        yield "str"


class bad_chunk_later(Reply):
    def __iter__(self):
        yield b"body"
        yield None


class never_started(Reply):
    def start(self, start_response):
        pass


class started_twice(Reply):
    def __iter__(self):
        yield b""
        self.second("200 OK", [])
        yield b"body"

    def start(self, start_response):
        start_response(self.status, self.headers)
        self.second = start_response


class no_content(Reply):
    status, headers = "204 No Content", []


class too_long(Reply):
    headers = [("Content-Type", "text/plain"), ("Content-Length", "2")]


class too_short(Reply):
    headers = [("Content-Type", "text/plain"), ("Content-Length", "20")]


class bad_header(Reply):
    def __iter__(self):
        self.second("200 OK", [("X-Bad", "a\r\nb: c")])
        yield b"body"

    def start(self, start_response):
        self.second = start_response


class endless(Reply):
    """Goes on until the client is gone."""

    def __iter__(self):
        while True:
            yield b"x" * 65536


class close_raises(Reply):
    def close(self):
        super().close()
        raise ValueError("in close()")


class close_is_not_callable(Reply):
    close = 5


def application(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
