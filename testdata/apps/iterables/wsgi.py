"""Every kind of iterable that an app may return."""


class NoLen:
    def __init__(self, *chunks):
        self.chunks = chunks

    def __iter__(self):
        return iter(self.chunks)


class OldProtocol:
    """Iterable by __getitem__ only."""

    def __getitem__(self, i):
        return (b"old,", b"protocol")[i]


class OneByLen(NoLen):
    def __len__(self):
        return 1


def generator():
    yield b"one,"
    yield b"two,"
    yield b"three"


def many():
    for i in range(1000):
        yield b"%d," % i


REPLIES = {
    "list_of_one": lambda: [b"one"],
    "tuple_of_one": lambda: (b"one",),
    "len_one": lambda: OneByLen(b"one"),
    "list_of_many": lambda: [b"one,", b"two,", b"three"],
    "tuple_of_many": lambda: (b"one,", b"two,", b"three"),
    "generator": generator,
    "no_len": lambda: NoLen(b"one,", b"two,", b"three"),
    "old_protocol": OldProtocol,
    "map": lambda: map(bytes, [[97], [98]]),
    "many_chunks": many,
    "empty_list": lambda: [],
    "empty_tuple": lambda: (),
    "empty_generator": lambda: iter(()),
    "one_empty_chunk": lambda: [b""],
    "only_empty_chunks": lambda: iter([b"", b"", b""]),
    "empty_chunks_first": lambda: iter([b"", b"", b"one,", b"", b"two"]),
    "bytes_subclass": lambda: [type("B", (bytes,), {})(b"one")],
    "big_list": lambda: [b"x" * 1048576] * 3,
}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return REPLIES[environ["PATH_INFO"][1:]]()
