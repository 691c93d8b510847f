"""Imported once for all workers with --preload: what each then has of its own, and what they share."""
import json
import os
import random
import ssl
import sqlite3
import threading
import urllib.parse

imported_by = os.getpid()
threads_left = os.environ.get("PRELOADED_THREAD")

try:
    import gowsgi
except ImportError:
    pass
else:

    @gowsgi.postfork
    def connect():
        global database, database_of
        database, database_of = sqlite3.connect(":memory:", check_same_thread=False), os.getpid()


if threads_left:
    stop = threading.Event()
    threading.Thread(target=stop.wait, name=threads_left, daemon=True).start()


def application(environ, start_response):
    if environ["PATH_INFO"] == "/thread":
        ran = threading.Event()
        thread = threading.Thread(target=ran.set)
        thread.start()
        thread.join()
        assert ran.is_set()
    facts = {
        "pid": os.getpid(),
        "imported_by": imported_by,
        "random": random.random(),
        "ssl": ssl.RAND_bytes(8).hex(),
        "database_of": database_of,
        "one": database.execute("select 1").fetchone()[0],
        "main": threading.main_thread().name,
        "warm": sorted(warm),
    }
    if environ["QUERY_STRING"]:
        warm.update(urllib.parse.parse_qs(environ["QUERY_STRING"])["warm"])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]


warm = set()
database, database_of = sqlite3.connect(":memory:", check_same_thread=False), os.getpid()
