"""The results as Markdown."""

import os
import platform
import statistics
import time
from importlib.metadata import version

import client
from prepare import cpu_model
from summary import spread


def head(entries, options):
    measured, starts = (max(len(values) for values in all) for all in ([e.saves[True] for e in entries], [e.starts for e in entries]))
    lines = ["# From a save to the new code", ""]
    lines += [
        f"- date: {time.strftime('%Y-%m-%d %H:%M %Z')}",
        f"- machine: {os.cpu_count()} x {cpu_model()}, Linux {platform.release()}",
        f"- CPython {platform.python_version()}, {', '.join(versions())}",
        f"- {measured} saves of each kind, interleaved, with all servers running; {starts} starts",
    ]
    lines += [
        "",
        "Times are in ms: median, least and most; beside them how many times as long as gowsgi's median. A module is saved, by a rename over it or by "
        f"writing into it, and the server is asked every {client.EVERY * 1000:.0f} ms, each time on a new connection, from the save until "
        f"{client.AFTER:g} s after the first answer of the new code. Start: from the start of the process to the first answer. Longest answer: that "
        f"a client waited for. At rest: CPU of the whole process tree over {options.at_rest} s, in percent of a core.",
    ]
    return lines


def versions():
    return [f"{name} {version(name)}" for name in ("Flask", "Werkzeug", "Django")]


def timed(values, ours):
    """The spread of seconds in ms, and how many times as long as ours they are."""
    cell = spread([1000 * value for value in values], 0)
    if values and ours and values is not ours:
        cell += f", {statistics.median(values) / statistics.median(ours):.1f}x"
    return cell


def failures(tally):
    of = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.failures.items()))
    return f"{sum(tally.failures.values())} of {tally.asked}" + (f" ({of})" if of else "")


def project(title, entries):
    """One project's table. The first entry is gowsgi's."""
    lines = ["", f"## {title}", "", "| server | save by rename | save in place | start | requests that failed | longest answer, ms | at rest, % |",
             "|---" * 7 + "|"]
    ours = entries[0]
    for entry in entries:
        cells = [timed(entry.saves[replace], ours.saves[replace]) for replace in (True, False)]
        cells += [timed(entry.starts, ours.starts), failures(entry.tally), f"{1000 * entry.tally.longest:.0f}",
                  "-" if entry.rest is None else f"{entry.rest:.1f}"]
        lines.append(f"| {entry.server.name} | " + " | ".join(cells) + " |")
    lines += [f"\n{entry.server.name} failed: {entry.failed}".replace("|", "\\|") for entry in entries if entry.failed]
    return lines


def whole(entries, options):
    lines = head(entries, options)
    for title in dict.fromkeys(entry.title for entry in entries):
        lines += project(title, [entry for entry in entries if entry.title == title])
    return "\n".join(lines) + "\n"
