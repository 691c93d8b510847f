"""Starts a server, waits until it answers right, and ends all its processes whatever happens."""

import contextlib
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import servers

START_LIMIT = 20  # seconds until the first right answer


class Failed(Exception):
    """A server could not do a workload; the text says how."""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Running:
    def __init__(self, process, port, log):
        self.process, self.port, self.log = process, port, log

    @property
    def pid(self):
        return self.process.pid

    def check_alive(self):
        code = self.process.poll()
        if code is not None:
            raise Failed(f"it ended with {code}: {self.last_words()}")

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it wrote nothing"


@contextlib.contextmanager
def running(server, workload, environ):
    """A Running server, in a process group of its own which is killed at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        root = folder / "root"
        root.mkdir()
        folder.chmod(0o755)
        root.chmod(0o777)  # for a server that is another user
        port, log = free_port(), folder / "log"
        with log.open("wb") as out:
            command = server.command(workload.app, port, workload.processes, workload.threads, root)
            process = subprocess.Popen(command, cwd=servers.APPS, env=environ, start_new_session=True,
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield Running(process, port, log)
        finally:
            with contextlib.suppress(ProcessLookupError):  # the whole group has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ask(connection, request):
    """One request; its reply as (status, SHA-256 of the body, whether the connection stays)."""
    if request.upload:
        connection.request("POST", request.path, b"u" * request.upload)
    else:
        connection.request("GET", request.path)
    response = connection.getresponse()
    digest = hashlib.sha256(response.read()).hexdigest()
    return response.status, digest, not response.will_close


def wait_until_right(run, request, digest):
    """Waits for the server's first right answer, then says whether the connection took a second request. Raises Failed."""
    end, seen = time.monotonic() + START_LIMIT, "nothing"
    while time.monotonic() < end:
        run.check_alive()
        connection = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
        try:
            status, body, stays = ask(connection, request)
            if status == 200 and body == digest:
                return stays and ask(connection, request)[:2] == (200, digest)
            seen = f"status {status}" + (" with another body than the app's" if status == 200 else "")
        except (OSError, http.client.HTTPException) as error:
            seen = f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        time.sleep(0.05)
    raise Failed(f"no right answer from {request.path} in {START_LIMIT} s, but {seen}; its log ends with: {run.last_words()}")
