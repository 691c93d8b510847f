"""Measures gowsgi beside other servers, in interleaved rounds. bench.sh prepares what this needs; bench.py --help tells the options."""

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import plot
import prepare
import report
import servers
import workloads
from measure import SETTLE, WARM, Bench, requests
from workloads import Request

START = 0.8  # seconds that a server takes to start, about; for the estimate only
HELLO = Request("/")
OPEN_FILES = 65536  # for the servers, where the hard limit allows: some do not raise the soft one, which often is 1024


def names(text):
    return [name for name in text.replace(",", " ").split() if name]


def parse():
    parser = argparse.ArgumentParser(prog="bench.py", description="Measures gowsgi beside other WSGI servers.")
    parser.add_argument("--gowsgi", required=True, metavar="PATH", help="the binary to measure")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=PATH", help="another gowsgi, as a row of its own; can be repeated")
    parser.add_argument("--tools", type=Path, required=True, metavar="FOLDER", help="where the programs load and floor are")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where results.json, results.md and the pictures go")
    parser.add_argument("--workload", type=names, default=[], metavar="A,B", help="only these; of: " + ", ".join(workloads.WHOLE))
    parser.add_argument("--servers", type=names, default=[], metavar="X,Y", help="only these")
    parser.add_argument("--rounds", type=int, metavar="N", help="5, in the short form 3")
    parser.add_argument("--seconds", type=int, default=1, metavar="N", help="of one measurement: 1")
    parser.add_argument("--short", action="store_true", help="a few workloads and servers: about 5 minutes")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.short else 5)
    if options.rounds < 1 or options.seconds < 1:
        parser.error("rounds and seconds are at least 1")
    return parser, options


def choose(parser, options):
    """The workloads and servers asked for; unknown names end the run."""
    try:
        chosen = [workloads.find(name) for name in options.workload or (workloads.SHORT if options.short else workloads.WHOLE)]
    except ValueError as error:
        parser.error(str(error))
    for also in options.also:
        if not all(also.partition("=")):
            parser.error(f"--also {also!r} is not NAME=PATH")
    others = [servers.gowsgi(path, name) for name, _, path in (also.partition("=") for also in options.also)]
    ours = servers.gowsgi(options.gowsgi)
    known = {server.name: server for server in [ours, servers.with_access_log(ours), *others, *servers.PEERS]}
    wanted = options.servers or ([*servers.SHORT, *(other.name for other in others)] if options.short else list(known))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        parser.error(f"no server {unknown[0]!r}; there are: {', '.join(known)}")
    for name in wanted:
        if known[name].binary and not os.access(known[name].binary, os.X_OK):
            parser.error(f"there is no program {known[name].binary}: make build, or give another with --gowsgi or --also")
    return chosen, [known[name] for name in wanted]


def describe(options, chosen, running, missing):
    wrk = f"wrk -t 1 (from 16 connections on: 2) -c CONNECTIONS -d {options.seconds}s -s scripts/bench/wrk.lua"
    return {
        "head": {**prepare.machine(), "rounds": f"{options.rounds}, interleaved", "measurement": f"{options.seconds} s after {WARM} s to warm, on a "
                 "fresh server each", "keep_alive": "on", "access_log": "off, but for gowsgi-access-log", "command": wrk},
        "servers": {server.name: {"version": server.version(), "about": server.about} for server in running},
        "missing": missing,
        "unfit": {workload.name: {server.name: reason for server in running if (reason := server.serves(workload)) and not workload.servers and not server.only}
                  for workload in chosen},
        "rounds": {workload.name: {server.name: [] for server in running if not server.serves(workload)} for workload in chosen},
        "ceiling": {},
        "floor": {},
    }


def estimate(results, chosen, rounds, seconds):
    one = START + WARM + seconds
    runs = sum(len(results["rounds"][workload.name]) * (one + (SETTLE + seconds + 2 if workload.held else 0)) for workload in chosen)
    return rounds * (runs + len(ceilings(chosen)) * 1.5 + len(floors(chosen)) * one) / 60


def ceilings(chosen):
    return list(dict.fromkeys((workload.app, workload.groups[0].request) for workload in chosen if workload.ceiling)) or [("hello", HELLO)]


def floors(chosen):
    return sorted({workload.connections for workload in chosen if workload.kind == "simple"}) or [32]


def measure_round(number, bench, chosen, running, results, options):
    say(f"round {number + 1} of {options.rounds}: the app alone, fasthttp alone")
    for app, request in ceilings(chosen):
        figures = prepare.call_directly(app, request, bench.environ, 1)
        results["ceiling"].setdefault(f"{app} {request.path}", []).append(figures)
    for connections in floors(chosen):
        figures = bench.measure(servers.floor(str(options.tools / "floor")), workloads.simple("floor", "", "hello", "/", connections))
        results["floor"].setdefault(str(connections), []).append(figures)
    for at, workload in enumerate(chosen):
        say(f"round {number + 1} of {options.rounds}: {workload.name}")
        fit = [server for server in running if server.name in results["rounds"][workload.name]]
        first = (number + at) % max(1, len(fit))  # each round begins with another server
        for server in fit[first:] + fit[:first]:
            figures = bench.measure(server, workload)
            results["rounds"][workload.name][server.name].append(figures)
            if "failed" in figures:
                say(f"  {server.name}: {figures['failed']}")
        (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def say(text):
    print(text, file=sys.stderr, flush=True)


def end(signum, frame):
    raise SystemExit(128 + signum)


def main():
    parser, options = parse()
    chosen, wanted = choose(parser, options)
    signal.signal(signal.SIGTERM, end)  # so that the servers are ended too
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES), hard))
    options.output.mkdir(parents=True, exist_ok=True)
    for old in (*options.output.glob("*.svg"), *options.output.glob("results.*")):
        old.unlink()  # the folder holds one run
    missing = {server.name: reason for server in wanted if (reason := server.missing())}
    running = [server for server in wanted if server.name not in missing]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        Path(name).chmod(0o755)
        environ = prepare.environment(Path(name))
        asked = {(workload.app, request) for workload in chosen for request in requests(workload)} | {("hello", HELLO)}
        replies = {(app, request): prepare.call_directly(app, request, environ, 0)["digest"] for app, request in asked}
        bench = Bench(options.seconds, environ, replies, str(options.tools / "load"))
        results = describe(options, chosen, running, missing)
        say(f"{len(chosen)} workloads, {len(running)} servers, {options.rounds} rounds: about "
            f"{estimate(results, chosen, options.rounds, options.seconds):.0f} minutes")
        for number in range(options.rounds):
            measure_round(number, bench, chosen, running, results, options)
    ours = {"gowsgi", *(also.partition("=")[0] for also in options.also)}
    for workload in chosen:
        plot.picture(workload, results["rounds"][workload.name], ours, options.output / f"{workload.name.replace('@', '-c').replace('/', '-')}.svg")
    text = report.whole(chosen, results)
    (options.output / "results.md").write_text(text)
    print(text)
    say(f"took {(time.monotonic() - began) / 60:.1f} minutes; results.json, results.md and the pictures are in {options.output}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("bench: interrupted; what was measured until then is in results.json")
