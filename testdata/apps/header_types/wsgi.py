"""start_response with types that PEP 3333 does not allow, and with those that it does."""


class Str(str):
    pass


CALLS = {
    "status_bytes": (b"200 OK", []),
    "status_none": (None, []),
    "name_bytes": ("200 OK", [(b"X-A", "b")]),
    "value_bytes": ("200 OK", [("X-A", b"b")]),
    "value_int": ("200 OK", [("X-A", 1)]),
    "value_none": ("200 OK", [("X-A", None)]),
    "pair_of_one": ("200 OK", [("X-A",)]),
    "pair_of_three": ("200 OK", [("X-A", "b", "c")]),
    "pair_is_str": ("200 OK", ["ab"]),
    "headers_none": ("200 OK", None),
    "headers_int": ("200 OK", 5),
    "headers_dict": ("200 OK", {"X-A": "b"}),
    "value_not_latin1": ("200 OK", [("X-A", "\u20ac")]),
    "name_not_latin1": ("200 OK", [("X-\u20ac", "b")]),
    "status_not_latin1": ("200 \u20ac", []),
    "value_surrogate": ("200 OK", [("X-A", "\udce9")]),
    "str_subclass": (Str("200 OK"), [(Str("X-A"), Str("b"))]),
}


def application(environ, start_response):
    start_response(*CALLS[environ["PATH_INFO"][1:]])
    return [b"body"]
