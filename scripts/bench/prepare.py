"""What the apps find in the environment, and what the head of the results says of the machine."""

import hashlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import servers


def make_database(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, price INTEGER NOT NULL)")
        database.executemany("INSERT INTO item (name, price) VALUES (?, ?)", ((f"item {n}", n) for n in range(1000)))
    database.close()


def sized(work, seconds):
    """How much of work(n) takes so many seconds of CPU here, from the best of five tries. One size for all servers of a run."""
    sample, best = 20_000, float("inf")
    for _ in range(5):
        began = time.process_time()
        work(sample)
        best = min(best, time.process_time() - began)
    return max(1, round(sample * seconds / best))


def loops(n):
    value = 1
    for _ in range(n):
        value = value * 3 % 1000003


def environment(folder):
    database = folder / "bench.sqlite3"
    make_database(database)
    return {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "BENCH_DB": str(database),
        "BENCH_CPU_LOOPS": str(sized(loops, 0.050)),
        "BENCH_PBKDF2_ITERATIONS": str(sized(lambda n: hashlib.pbkdf2_hmac("sha256", b"password", b"salt", n), 0.020)),
    }


def call_directly(app, request, environ, seconds):
    """What direct.py prints, as a dict."""
    command = [sys.executable, "-B", str(servers.HERE / "direct.py"), app, request.path, str(request.upload), str(seconds)]
    done = subprocess.run(command, cwd=servers.APPS, env=environ, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench: the app {app} fails on {request.path} with no server: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def machine():
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.splitlines()[0]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "cpu": f"{os.cpu_count()} x {cpu_model()}",
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "kernel": platform.release(),
        "cpython": f"{platform.python_version()} ({sys.executable})",
        "load_generator": wrk.partition(" [")[0],
    }
