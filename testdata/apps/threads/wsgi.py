"""Threads of the app beside those of the server, threading.local, names and hooks."""
import json
import sys
import threading

local = threading.local()
lock = threading.Lock()
seen = {}
traced = []


def work(environ, done):
    print("worked", environ["QUERY_STRING"], file=sys.stderr, flush=True)
    done.set()


def start(environ):
    done = threading.Event()
    t = threading.Thread(target=work, args=(environ, done))
    t.start()
    t.join(10)
    return {"done": done.is_set(), "alive": t.is_alive()}


def remember(environ):
    """Counts requests per thread, once in a threading.local and once by thread id: both must agree."""
    local.count = getattr(local, "count", 0) + 1
    me = threading.current_thread()
    with lock:
        seen[me.ident] = seen.get(me.ident, 0) + 1
        return {"local": local.count, "by_id": seen[me.ident], "threads": len(seen)}


def me(environ):
    t = threading.current_thread()
    return {
        "name": t.name,
        "type": type(t).__name__,
        "daemon": t.daemon,
        "main": t is threading.main_thread(),
        "listed": t in threading.enumerate(),
        "ident": t.ident == threading.get_ident(),
        "main_name": threading.main_thread().name,
        "main_alive": threading.main_thread().is_alive(),
        "imported_on_main": imported_on_main,
    }


def trace(environ):
    return {"traced": "traced_function" in traced_function()}


def traced_function():
    return list(traced)


def tracer(frame, event, arg):
    if frame.f_globals.get("__name__") == __name__ and event == "call":
        traced.append(frame.f_code.co_name)


imported_on_main = threading.current_thread() is threading.main_thread()
threading.settrace(tracer)


def application(environ, start_response):
    body = json.dumps(globals()[environ["PATH_INFO"][1:]](environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
