"""Measures servers with wrk: requests per second, latency, and CPU time per request out of /proc.

    compare.py --gowsgi BIN [--rounds N] [--seconds N] [--connections N]

Runs with the interpreter of a virtualenv that has requirements.txt installed. Every server gets one process and 16 threads (bjoern has one). The
rounds are interleaved, so that what the machine does besides falls on all of them; a row shows the median and the range over the rounds.
"""

import argparse
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

APPS = Path(__file__).resolve().parent / "apps"
BIN = Path(sys.prefix) / "bin"
TARGETS = [("hello", "/"), ("flask_json", "/items/7"), ("django_page", "/pages/7/")]
BJOERN = "import sys, importlib, bjoern; sys.path.insert(0, {apps!r}); bjoern.run(importlib.import_module({app!r}).app, '127.0.0.1', {port})"


def commands(gowsgi, app, port):
    """The servers and how each is started."""
    return {
        "gowsgi": [gowsgi, "serve", "--bind", f"127.0.0.1:{port}", "--threads", "16", "--python", str(BIN / "python"), "--chdir", str(APPS),
                   f"{app}:app"],
        "granian": [str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
                    "--blocking-threads", "16", "--no-ws", "--log-level", "warning", "--working-dir", str(APPS), f"{app}:app"],
        "gunicorn gthread": [str(BIN / "gunicorn"), "-k", "gthread", "-w", "1", "--threads", "16", "--no-control-socket", "--log-level", "warning",
                             "--keep-alive", "30", "-b", f"127.0.0.1:{port}", "--chdir", str(APPS), f"{app}:app"],
        "bjoern (1 thread)": [str(BIN / "python"), "-c", BJOERN.format(apps=str(APPS), app=app, port=port)],
    }


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def cpu_seconds(root):
    """User and system time of a process and all that descend from it."""
    parent, used = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parent[int(entry)] = int(fields[1])
        used[int(entry)] = int(fields[11]) + int(fields[12])

    def below(pid):
        while pid and pid != root:
            pid = parent.get(pid, 0)
        return pid == root

    return sum(ticks for pid, ticks in used.items() if below(pid)) / os.sysconf("SC_CLK_TCK")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def wrk(url, seconds, connections):
    threads = "1" if connections < 16 else "2"
    out = subprocess.run(["wrk", "-t", threads, "-c", str(connections), "-d", f"{seconds}s", "--latency", url],
                         capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
    if errors:
        raise SystemExit(f"compare: {url}: {errors.group(0)}")
    return {
        "requests": int(re.search(r"(\d+) requests in", out)[1]),
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
        "p50": milliseconds(re.search(r"(?m)^ +50% +(\S+)", out)[1]),
        "p99": milliseconds(re.search(r"(?m)^ +99% +(\S+)", out)[1]),
    }


def wait_for(url_host_port, process):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"compare: {' '.join(process.args)} ended with {process.returncode}")
        try:
            socket.create_connection(url_host_port, 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"compare: {' '.join(process.args)} does not listen after 30 s")


def measure(name, gowsgi, app, path, options):
    port = free_port()
    process = subprocess.Popen(commands(gowsgi, app, port)[name], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(("127.0.0.1", port), process)
        url = f"http://127.0.0.1:{port}{path}"
        wrk(url, 2, options.connections)  # warm
        before = cpu_seconds(process.pid)
        result = wrk(url, options.seconds, options.connections)
        result["cpu"] = (cpu_seconds(process.pid) - before) / result["requests"] * 1e6
        return result
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its own group, not waited for yet
        process.wait()


def spread(values, digits):
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gowsgi", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    gowsgi = os.path.abspath(options.gowsgi)
    names = list(commands("", "", 0))
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, CPython {platform.python_version()}, {options.connections} connections, "
          f"{options.rounds} rounds of {options.seconds} s, median (range)", flush=True)
    for app, path in TARGETS:
        results = {name: [] for name in names}
        for round_ in range(options.rounds):
            # Each round begins with another server.
            for name in names[round_ % len(names):] + names[:round_ % len(names)]:
                results[name].append(measure(name, gowsgi, app, path, options))
        print(f"\n| {app} | requests/s | p50 ms | p99 ms | CPU us per request |\n|---|---|---|---|---|")
        for name, rows in results.items():
            cells = (spread([row[key] for row in rows], digits) for key, digits in (("rate", 0), ("p50", 2), ("p99", 2), ("cpu", 1)))
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
