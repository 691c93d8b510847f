"""The load: wrk for requests, one per group of connections, and load/main.go for connections that are held."""

import contextlib
import json
import subprocess
from pathlib import Path

from running import Failed

LUA = str(Path(__file__).resolve().with_name("wrk.lua"))


def wrk_command(group, port, seconds):
    threads = "1" if group.connections < 16 else "2"
    upload = ["--", str(group.request.upload)] if group.request.upload else []
    return ["wrk", "-t", threads, "-c", str(group.connections), "-d", f"{seconds}s", "-s", LUA, f"http://127.0.0.1:{port}{group.request.path}",
            *upload]


def run_groups(groups, port, seconds):
    """Drives all groups at the same time. A result per group name: requests, rate, latencies in ms (None without a reply), errors by kind.
    Raises Failed where wrk gives up, as it does when nobody listens."""
    with contextlib.ExitStack() as stack:
        wrks = []
        for group in groups:
            process = stack.enter_context(subprocess.Popen(wrk_command(group, port, seconds), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                                           text=True))
            stack.callback(process.kill)  # no harm where it has ended
            wrks.append((group, process))
        return {group.name: _result(process) for group, process in wrks}


def _result(process):
    out = process.communicate()[0]
    if process.returncode != 0:
        raise Failed(f"{' '.join(process.args)} ended with {process.returncode}: {out.strip()[-300:]}")
    result = json.loads(out.strip().splitlines()[-1])
    result["rate"] = result["requests"] / result["seconds"]
    if result["requests"] == 0:
        result.update({"p50": None, "p99": None, "p99.9": None})
    return result


@contextlib.contextmanager
def holding(binary, held, port):
    """Holds connections. Yields a dict with wanted and opened; at the end it has live and served too. Raises Failed where the client
    cannot do it on this machine."""
    command = [binary, "-mode", held.mode, "-n", str(held.count), "-addr", f"127.0.0.1:{port}", "-path", held.request.path, "-body",
               str(held.request.upload), "-piece", str(held.piece), "-every", held.every]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            first = process.stdout.readline()
            if not first:
                raise Failed(process.stderr.read().strip())
            state = json.loads(first)
            yield state
            process.stdin.close()
            state.update(json.loads(process.stdout.readline()))
        finally:
            process.kill()
