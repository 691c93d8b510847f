"""Returns what is not an iterable of bytes."""

VALUES = {
    "none": None,
    "int": 5,
    "true": True,
    "str": "text",
    "empty_str": "",
    "list_of_str": ["text"],
    "list_of_int": [1, 2],
    "list_of_none": [None],
    "list_of_bytearray": [bytearray(b"x")],
    "list_of_list": [[b"x"]],
    "bytes": b"bytes are an iterable of int",
    "dict": {"a": b"b"},
    "class": object,
    "object": object(),
    "second_is_str": [b"first", "second"],
}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return VALUES[environ["PATH_INFO"][1:]]
