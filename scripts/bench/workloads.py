"""The table of workloads: which app, which requests, how many connections, and what is held beside them."""

import dataclasses
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    path: str
    upload: int = 0  # bytes of the body; 0: a GET without one


@dataclass(frozen=True)
class Group:
    """Connections that make one kind of request, driven by a wrk of their own."""

    name: str
    request: Request
    connections: int


@dataclass(frozen=True)
class Held:
    """Connections that are idle or slow while the groups are measured."""

    mode: str  # idle, read, upload or headers
    count: int
    request: Request
    piece: int = 1024  # bytes that a slow one moves
    every: str = "100ms"


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    app: str
    groups: tuple
    threads: int = 16  # of each process
    processes: int = 1
    held: Held = None
    servers: tuple = None  # the only ones it is for; None: all
    ceiling: bool = True  # whether the app alone in a loop says something

    @property
    def kind(self):
        return "held" if self.held else "mix" if len(self.groups) > 1 else "simple"

    @property
    def connections(self):
        return sum(group.connections for group in self.groups)


def simple(name, title, app, path, connections=32, upload=0, **more):
    return Workload(name, title, app, (Group("all", Request(path, upload), connections),), **more)


FAST, ORM, SLEEP, CPU, PBKDF2, ZLIB = (Request(path) for path in ("/pages/7/", "/orm/7/", "/sleep/", "/cpu/", "/pbkdf2/", "/zlib/"))


def mix(name, title, **groups):
    requests = {"fast": FAST, "orm": ORM, "sleep": SLEEP, "cpu": CPU, "pbkdf2": PBKDF2, "zlib": ZLIB}
    return Workload(name, title, "django_app", tuple(Group(key, requests[key], count) for key, count in groups.items()), ceiling=False)


def beside(name, title, held):
    return Workload(name, title, "raw", (Group("busy", Request("/"), 32),), held=held, ceiling=False)


# One thread each: those that can be told so, and those that never have more.
ONE_THREAD = ("gowsgi", "granian", "bjoern", "fastwsgi")
# Those that look after several processes.
PROCESSES = ("gowsgi", "granian", "gunicorn", "uwsgi", "uwsgi-http11", "mod_wsgi")

BASES = [
    simple("hello", "Hello, world in raw WSGI", "hello", "/"),
    simple("flask-hello", "Flask, hello", "flask_app", "/"),
    simple("flask-json", "Flask, 10 KB of JSON", "flask_app", "/items/7"),
    simple("django", "Django, a template of 20 rows", "django_app", "/pages/7/"),
    simple("django-orm", "Django, 20 rows by the ORM from SQLite", "django_app", "/orm/7/"),
    simple("stream", "100 chunks of 1 KiB, no Content-Length", "raw", "/stream"),
    simple("list-1m", "1 MiB body, a list of 64 pieces", "raw", "/list"),
    simple("upload-1m", "1 MiB upload, read in pieces of 64 KiB", "raw", "/upload", upload=1 << 20),
    simple("sleep-20ms", "20 ms of I/O wait", "raw", "/sleep", ceiling=False),
    mix("mix-sleep", "Django: 4 fast, 8 of 20 ms wait", fast=4, sleep=8),
    mix("mix-orm", "Django: 16 by the ORM, 4 of 20 ms wait", orm=16, sleep=4),
    mix("mix-hogs", "Django: 4 fast, 4 of 20 ms wait, 2 of 50 ms Python", fast=4, sleep=4, cpu=2),
    mix("mix-wait", "Django: 2 fast, 24 of 20 ms wait", fast=2, sleep=24),
    mix("mix-pbkdf2", "Django: 4 fast, 4 of 20 ms pbkdf2 (no GIL)", fast=4, pbkdf2=4),
    mix("mix-zlib", "Django: 4 fast, 4 that deflate 64 KiB (no GIL)", fast=4, zlib=4),
    beside("idle-10k", "hello beside 10,000 idle keep-alive connections", Held("idle", 10_000, Request("/"))),
    beside("slow-readers-list", "hello beside 200 slow readers of 1 MiB (a list)", Held("read", 200, Request("/list"))),
    beside("slow-readers-generator", "hello beside 200 slow readers of 1 MiB (a generator)", Held("read", 200, Request("/generator"))),
    beside("slow-uploads", "hello beside 200 slow uploads of 1 MiB", Held("upload", 200, Request("/upload", 1 << 20))),
    beside("slowloris-headers", "hello beside 2,000 clients that send a byte of their header a second", Held("headers", 2000, Request("/"), 1, "1s")),
    beside("slowloris-body", "hello beside 2,000 clients that send a byte of their body a second",
           Held("upload", 2000, Request("/upload", 1 << 20), 1, "1s")),
    beside("slowloris-read", "hello beside 2,000 clients that read a byte of 1 MiB a second", Held("read", 2000, Request("/list"), 1, "1s")),
]
KNOWN = {workload.name: workload for workload in BASES}
VARIANTS = ["hello@1", "hello@4", "hello@256", "django@1", "django@4", "django@256", "flask-hello/t1", "django/t1", "hello/p2", "flask-hello/p2",
            "django/p2"]
WHOLE = [*KNOWN, *VARIANTS]
SHORT = ["hello", "flask-json", "django", "django-orm", "django@4", "upload-1m", "mix-sleep"]


def find(name):
    """The workload of a name: one of KNOWN, and for those with one group also NAME@CONNECTIONS, NAME/tTHREADS and NAME/pPROCESSES. Raises
    ValueError."""
    match = re.fullmatch(r"([^@/]*)(?:@([1-9]\d*))?(?:/t([1-9]\d*))?(?:/p([1-9]\d*))?", name)
    base, connections, threads, processes = match.groups() if match else (None, None, None, None)
    found = KNOWN.get(base)
    if not found or (found.kind != "simple" and base != name):
        raise ValueError(f"no workload {name!r}; there are: {', '.join(WHOLE)}; those with one kind of request also as "
                         "NAME@CONNECTIONS, NAME/tTHREADS and NAME/pPROCESSES")
    if connections:
        group = dataclasses.replace(found.groups[0], connections=int(connections))
        found = dataclasses.replace(found, title=f"{found.title}, {connections} connection{'s' * (connections != '1')}", groups=(group,))
    if threads:
        found = dataclasses.replace(found, title=f"{found.title}, {threads} thread{'s' * (threads != '1')}", threads=int(threads),
                                    servers=ONE_THREAD if threads == "1" else None)
    if processes:
        found = dataclasses.replace(found, title=f"{found.title}, {processes} process{'es' * (processes != '1')}", processes=int(processes),
                                    servers=PROCESSES)
    return dataclasses.replace(found, name=name)
