"""Measures gowsgi dev beside the frameworks' own development servers: how long after a module is saved the new code is served. bench-dev.sh
prepares what this needs; bench_dev.py --help tells the options."""

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "bench"))

import client
import contestants
import procfs
import projects
import table
from running import Failed, Running

SETTLE = 2  # seconds from the last start to the measurement at rest
LIMITS = {False: 230, True: 55}  # seconds for all, by whether in the short form: what does not fit is left out


@dataclass
class Entry:
    """One server with one project."""

    title: str  # of the project
    server: contestants.Contestant
    project: projects.Project
    run: Running = None
    failed: str = ""
    number: int = 1000  # in the answer that was saved last; all have four digits
    starts: list = field(default_factory=list)  # seconds
    saves: dict = field(default_factory=lambda: {True: [], False: []})  # seconds, by whether the file was replaced
    rest: float = None  # percent of a core
    tally: client.Tally = field(default_factory=client.Tally)


def parse():
    parser = argparse.ArgumentParser(prog="bench_dev.py", description="Measures development servers from the save of a module to its first answer.")
    parser.add_argument("--gowsgi", required=True, metavar="PATH", help="the binary to measure")
    parser.add_argument("--with-watchdog", required=True, metavar="PATH", help="a Python that has watchdog too")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where results.md goes")
    parser.add_argument("--rounds", type=int, metavar="N", help="10, in the short form 2; a round is two saves for each server and project")
    parser.add_argument("--short", action="store_true", help="less than a minute, instead of less than four")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.short else 10)
    options.starts, options.at_rest = (1, 2) if options.short else (3, 5)
    return options


def say(text):
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def noting(entry):
    """Has an entry that fails be left out from then on."""
    try:
        yield
    except (Failed, client.TooLate) as failure:
        words = entry.run.last_words() if isinstance(failure, client.TooLate) else ""
        entry.failed = f"{failure}" + (f"; its log ends with: {words}" if words else "")
        say(f"  {entry.title}: {entry.server.name}: {entry.failed}")


def start(entry, stack):
    """Starts the server until the stack is closed, and waits for its first answer."""
    began = time.monotonic()
    entry.run = stack.enter_context(contestants.running(entry.server, entry.project.folder))
    with noting(entry):
        tally = client.Tally()  # that nobody listens yet is no failure
        entry.starts.append(client.wait_for(entry.run.port, entry.project.answer(entry.number), tally, entry.run.check_alive) - began)


def save(entry, replace):
    entry.number += 1
    with noting(entry):
        entry.saves[replace].append(client.saved(entry.project, entry.number, replace, entry.run, entry.tally))


def within(end, most):
    """Counts to most, as far as the time allows with each step as long as the one before."""
    took = 0
    for number in range(most):
        began = time.monotonic()
        if number and began + took > end:
            say(f"there is no time for more than {number}")
            return
        yield number
        took = time.monotonic() - began


def measure(entries, options, end):
    for number in within(time.monotonic() + (end - time.monotonic()) / 4, options.starts - 1):
        say(f"start {number + 1} of {options.starts}")
        for entry in entries:
            with contextlib.ExitStack() as stack:
                start(entry, stack)
    with contextlib.ExitStack() as stack:
        say("the last start" if options.starts > 1 else "start")
        for entry in entries:
            start(entry, stack)
        going = [entry for entry in entries if not entry.failed]
        time.sleep(SETTLE)
        say(f"at rest: {options.at_rest} s")
        before = [procfs.cpu_seconds(entry.run.pid) for entry in going]
        time.sleep(options.at_rest)
        for entry, used in zip(going, before):
            entry.rest = 100 * (procfs.cpu_seconds(entry.run.pid) - used) / options.at_rest
        for number in within(end, options.rounds):
            say(f"round {number + 1} of {options.rounds}")
            for replace in (True, False):
                shift = number % len(entries)
                for entry in entries[shift:] + entries[:shift]:
                    if not entry.failed:
                        save(entry, replace)


def end(signum, frame):
    raise SystemExit(128 + signum)


def main():
    options = parse()
    signal.signal(signal.SIGTERM, end)  # so that the servers are ended too
    options.output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-dev-", ignore_cleanup_errors=True) as name:
        folder, entries = Path(name), []
        say("making the projects")
        servers = contestants.all_of(str(Path(options.gowsgi).resolve()), sys.executable, options.with_watchdog)
        for title, project in projects.make(folder).items():
            for server in servers:
                if title.startswith(server.framework):
                    entries.append(Entry(title, server, project.copy(folder / f"copy{len(entries)}")))
        for entry in entries:
            entry.project.save(entry.number, True)
        measure(entries, options, began + LIMITS[options.short])
    text = table.whole(entries, options)
    (options.output / "results.md").write_text(text)
    print(text)
    say(f"took {time.monotonic() - began:.0f} s; results.md is in {options.output}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("bench-dev: interrupted")
