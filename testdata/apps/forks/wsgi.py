"""os.fork in a view; the child goes the way that the path names. Each run of the view adds a line to the file in X-Runs."""
import os
import sys
import time


def child_returns():
    return [b"from the child"]


child_starts = child_returns


def child_raises():
    raise ValueError("in the child")


def child_exits():
    sys.exit(7)


def child_os_exits():
    os._exit(8)


def child_execs():
    os.execv("/bin/sh", ["sh", "-c", "exit 9"])


def child_lives_on():
    while os.getppid() and not os.path.exists(gate):
        time.sleep(0.01)
    os._exit(0)


def child_yields():
    def body():
        yield b"from the child"

    return body()


def application(environ, start_response):
    global gate
    gate = environ.get("HTTP_X_GATE", "")
    with open(environ["HTTP_X_RUNS"], "a") as f:
        f.write("%s %s\n" % (environ["PATH_INFO"], environ["QUERY_STRING"]))
    if environ["PATH_INFO"] == "/plain":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"plain"]
    if environ["PATH_INFO"] == "/child_starts":
        pid = os.fork()
        start_response("200 OK", [("Content-Type", "text/plain")])
    else:
        start_response("200 OK", [("Content-Type", "text/plain")])
        pid = os.fork()
    if pid == 0:
        return globals()[environ["PATH_INFO"][1:]]()
    status = "left %d" % pid
    if environ["PATH_INFO"] != "/child_lives_on":
        raw = os.waitpid(pid, 0)[1]
        status = "signal %d" % os.WTERMSIG(raw) if os.WIFSIGNALED(raw) else "exit %d" % os.WEXITSTATUS(raw)
    return [status.encode()]
