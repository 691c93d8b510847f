"""Real packages and awkward behaviours, each as one tiny app, served by gowsgi and by gunicorn (gthread), and compared.

    run.py --gowsgi BIN [NAME...]

Runs with the interpreter of a virtualenv that has requirements.txt installed; both servers use that virtualenv. Prints a table and ends with
exit code 1 where gowsgi does worse than gunicorn in any row.
"""

import argparse
import ast
import concurrent.futures
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
APPS = HERE / "apps"
BIN = Path(sys.prefix) / "bin"


class Wrong(Exception):
    """The server did not do what the row says. The text goes into the table."""


def check(true, what):
    if not true:
        raise Wrong(what)


def until(ready, seconds, what):
    end = time.monotonic() + seconds
    while not (value := ready()):
        check(time.monotonic() < end, what)
        time.sleep(0.02)
    return value


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Server:
    """One server process with one app. Everything it started is gone after stop()."""

    def __init__(self, kind, gowsgi, app, folder, env, port=None):
        self.gowsgi = gowsgi
        self.kind, self.port, self.file = kind, port or free_port(), folder / "file"
        self.log = open(folder / "log", "ab")
        if kind == "gowsgi":
            command = [gowsgi, "serve", "--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--threads", "8", "--python", str(BIN / "python"),
                       "--chdir", str(APPS), f"{app}:app"]
        else:
            command = [str(BIN / "gunicorn"), "-k", "gthread", "-w", "1", "--threads", "8", "--no-control-socket", "--graceful-timeout", "10",
                       "-b", f"127.0.0.1:{self.port}", "--chdir", str(APPS), f"{app}:app"]
        full = {k: os.environ[k] for k in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") if k in os.environ}
        full |= {"HAZARD_FILE": str(self.file), "LANG": "C.UTF-8"} | env
        full = {k: v for k, v in full.items() if v is not None}
        soft = ["sh", "-c", 'ulimit -Sn 512; exec "$@"', "sh"]
        self.process = subprocess.Popen(soft + command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=full,
                                        cwd=APPS, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        # The group holds what the app forked, too; its leader is our own child and not yet waited for, so that the number is still ours.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()

    def text(self):
        return Path(self.log.name).read_text(errors="replace")

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise Wrong(f"does not start (exit code {self.process.returncode})")
            return self.listening()

        until(ready, 30, "does not start in 30 s")

    def listening(self):
        """Both listen before they have imported the app, and say so in the log when it is loaded, or about to be (gunicorn)."""
        return ("msg=\"serving " if self.kind == "gowsgi" else "Booting worker") in self.text()

    def get(self, path="/", headers=(), timeout=12):
        """The body of a 200. Anything else is Wrong."""
        status, body, _ = self.ask(path, headers, timeout)
        check(status == 200, f"{path}: {status}")
        return body

    def ask(self, path="/", headers=(), timeout=12):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest("GET", path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("Connection", "close")
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer
        except TimeoutError:
            raise Wrong(f"{path}: no answer in {timeout} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise Wrong(f"{path}: {type(error).__name__}") from None
        finally:
            connection.close()

    def terminate(self, number=signal.SIGTERM, seconds=15):
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Wrong(f"still there {seconds} s after {signal.Signals(number).name}") from None

    def written(self):
        return self.file.read_text() if self.file.exists() else ""


def once(server):
    return server.get()


def eight(server):
    """Eight requests at once."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: server.get(), range(8)))[0]


def twice(server):
    server.get()
    return server.get()


def crowd(server):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: server.get(), range(4)))


def forked_child(server):
    began = time.monotonic()
    server.get("/fork")
    check(time.monotonic() - began < 2, "the client gets no end of its connection while the child lives")
    server.terminate()
    folder = Path(server.log.name).parent / "second"
    folder.mkdir()
    with Server(server.kind, server.gowsgi, "forked_child", folder, {}, port=server.port) as second:
        try:
            second.wait_ready()
        except Wrong as wrong:
            raise Wrong(f"the next server on the port {wrong}") from None
        lost = 0
        for _ in range(16):
            try:
                second.get(timeout=1)
            except Wrong:
                lost += 1
        check(not lost, f"{lost} of 16 connections to the next server are lost")


def sigterm_handler(server):
    server.get()
    server.terminate(seconds=8)
    check("handler ran" in server.written(), "ends, but the app's handler did not run")


def signal_handlers(server):
    pid = int(server.get("/pid"))
    os.kill(pid, signal.SIGUSR1)
    return server.get()


def signal_storm(server):
    pid = int(server.get())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        storm = pool.submit(lambda: [(os.kill(pid, signal.SIGUSR1), time.sleep(0.0005)) for _ in range(2000)])
        while not storm.done():
            check(int(server.get()) == pid, "another process")
    check(int(server.get()) == pid, "another process")


def exit_hooks(server):
    server.get()
    server.terminate()
    missed = [word for word in ("buffered", "atexit", "thread") if word not in server.written()]
    if "hazard-print" not in server.text():
        missed.append("print()")
    check(not missed, "lost: " + ", ".join(missed))


def otel(server):
    server.get()
    check("last-span" not in server.written(), "exported early: the row shows nothing")
    server.terminate()
    check("last-span" in server.written(), "the last spans are lost")


def raises_exit(server):
    pid = server.get()
    for path in ("/exit", "/interrupt", "/generator"):
        status, _, _ = server.ask(path)
        check(status == 500, f"{path}: {status}")
        check(server.get() == pid, f"{path}: the process is another")


def sigint_inflight(server):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.get, "/slow")
        until(server.written, 5, "the request did not begin")
        server.process.send_signal(signal.SIGINT)
        check(slow.result() == "ok", "cut")
    try:
        server.process.wait(10)
    except subprocess.TimeoutExpired:
        raise Wrong("does not end") from None


def segfault(server):
    server.get()
    try:
        server.ask("/crash-here", timeout=5)
    except Wrong:
        pass
    until(lambda: any(word in server.text() for word in ("SIGSEGV", "egmentation")), 5, "the log says nothing")
    return "the log names the request" if "/crash-here" in server.text() else "the log does not name the request"


def environ_details(server):
    with socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(b"GET /a%2Fb/%C3%A9/../x//y HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: 1\r\nx_a: 2\r\nX-a: 3\r\n\r\n")
        client.settimeout(5)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    check(answer.startswith(b"HTTP/1.1 200"), "the environ is another: " + (assertion(server) or answer[:40].decode("latin-1")))
    check(b"caf\xe9" in answer, "X-Name is not latin-1 on the wire")


def write_and_file(server):
    check(server.get() == "ok", "write()")
    check(server.get("/file") == (APPS / "write_and_file.py").read_text(), "wsgi.file_wrapper")


def fails_to_start(server):
    until(lambda: server.process.poll() is not None, 20, "does not end")
    check(server.process.returncode != 0, "ends with 0")
    check("hazard at import" in server.text(), "no traceback")
    return f"exit code {server.process.returncode}"


def gevent_patched(server):
    """Refusing in a clear line is as good as serving: hanging is not."""
    until(lambda: server.process.poll() is not None or server.listening(), 20, "neither starts nor ends")
    if server.process.poll() is not None:
        lines = [line for line in server.text().splitlines() if "gevent" in line or "monkey" in line]
        check(lines, "ends without a word about gevent")
        return "refused in one line"
    server.get(timeout=5)
    return "served"


def titled(server):
    """A line that says that there will be no title is as good as one."""
    try:
        return server.get()
    except Wrong:
        check("setproctitle has no effect" in server.text(), "no title, and not a word about it")
        return "refused in one line"


def assertion(server):
    """The last AssertionError in the log."""
    # gowsgi logs a traceback as one line, with \\n in it.
    found = re.findall(r'AssertionError[^\n"]*', server.text().replace("\\n", "\n"))
    return found[-1].strip() if found else ""


C_LOCALE = {"LANG": None, "LC_ALL": "C"}
# Row: app, what is done with it, environment. A row without a function of its own asks once for "/".
ROWS = [
    ("sigpipe", once), ("forked_child", forked_child), ("sigterm_handler", sigterm_handler), ("signal_handlers", signal_handlers),
    ("signal_storm", signal_storm), ("child_signals", once), ("exit_hooks", exit_hooks), ("otel", otel),
    ("locale_", once, C_LOCALE), ("locale_", once, {"LANG": None}), ("locale_", once, {"LANG": "xx_XX.UTF-8"}),
    ("locale_", once, {**C_LOCALE, "PYTHONUTF8": "1", "PYTHONDEVMODE": "1", "PYTHONOPTIMIZE": "0"}),
    ("setproctitle_", titled), ("raises_exit", raises_exit), ("sigint_inflight", sigint_inflight), ("coverage_", once), ("settrace", once),
    ("thread_names", once), ("mp_exit_code", once), ("segfault", segfault), ("nofile", once), ("sigchld_ignored", once), ("chdir_", once),
    ("sys_argv", once), ("gevent_patched", gevent_patched), ("gevent_plain", once), ("threads_at_import", once), ("grpc_", once),
    ("clean_environ", once), ("import_error", fails_to_start), ("write_and_file", write_and_file), ("environ_details", environ_details),
    ("numpy_", eight), ("numpy_late", eight), ("crypto", once), ("pydantic_", once), ("lxml_", eight), ("psycopg_", once),
    ("sqlalchemy_", eight), ("pillow_", eight), ("asyncio_", once), ("sentry_", once), ("prometheus_", twice), ("subprocess_", once),
    ("process_pool", once), ("fork_sys_exit", twice), ("recursion", twice), ("tls_client", once), ("stdlib_details", twice),
]
NOT_STARTED_FIRST = {fails_to_start, gevent_patched}


def attempt(kind, gowsgi, app, drive, env):
    """(went well, what to show)."""
    with tempfile.TemporaryDirectory(prefix="hazard-") as folder:
        with Server(kind, gowsgi, app, Path(folder), env) as server:
            try:
                if drive not in NOT_STARTED_FIRST:
                    server.wait_ready()
                said = drive(server)
                return True, said if isinstance(said, str) and drive not in (once, eight, twice) else "ok"
            except Wrong as wrong:
                why = assertion(server)
                return False, f"{wrong}" + (f" ({why})" if why and why not in str(wrong) else "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gowsgi", required=True)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    gowsgi = os.path.abspath(options.gowsgi)
    unknown = set(options.names) - {row[0] for row in ROWS}
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    worse = tried = 0
    print(f"CPython {sys.version.split()[0]}\n\n| behaviour | gowsgi | gunicorn | verdict |\n|---|---|---|---|", flush=True)
    for app, drive, *rest in ROWS:
        env = rest[0] if rest else {}
        if options.names and app not in options.names:
            continue
        what = ast.get_docstring(ast.parse((APPS / f"{app}.py").read_text()))
        if env:
            what += " [" + " ".join(f"{k}={v}" if v is not None else f"no {k}" for k, v in env.items()) + "]"
        ours, said = attempt("gowsgi", gowsgi, app, drive, env)
        theirs, they_said = attempt("gunicorn", gowsgi, app, drive, env)
        verdict = {(True, True): "as good", (True, False): "better", (False, True): "WORSE", (False, False): "neither"}[ours, theirs]
        worse += verdict == "WORSE"
        tried += 1
        print(f"| {app}: {what} | {said} | {they_said} | {verdict} |".replace("\n", " "), flush=True)
    print(f"\n{tried} rows, gowsgi worse in {worse}")
    return 1 if worse or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
