"""From the figures of all rounds to the columns of a workload: each a name, its digits, and its values by server. What the table and the picture
both show."""

import statistics
from dataclasses import dataclass, field

MIB, KIB = 1 << 20, 1 << 10
ERRORS = ("connect", "read", "write", "timeout", "status")


@dataclass
class Column:
    name: str
    digits: int
    pick: object  # of one round's figures: a number or None
    plotted: bool = False
    values: dict = field(default_factory=dict)  # by server: those of all rounds that have one

    def fill(self, rounds_of):
        for server, rounds in rounds_of.items():
            picked = (self.pick(figures) for figures in rounds if "failed" not in figures)
            self.values[server] = [value for value in picked if value is not None]
        return self


def _group(name, key):
    return lambda figures: figures["groups"].get(name, {}).get(key)


def _part(part, pick):
    return lambda figures: pick(figures[part])


def _loss(figures):
    before, beside = (figures[part]["groups"]["busy"]["rate"] for part in ("without", "with"))
    return 100 * (1 - beside / before) if before else None


def columns(workload, rounds_of):
    """The columns that fit the workload's kind, filled."""
    pss = Column("PSS MiB", 0, lambda figures: figures["pss"] / MIB if "pss" in figures else None)
    if workload.kind == "simple":
        found = [Column("requests/s", 0, _group("all", "rate"), True), Column("CPU us per request", 1, lambda figures: figures["cpu_us"], True)]
        found += [Column(f"{key} ms", 2, _group("all", key), key == "p99") for key in ("p50", "p99", "p99.9")]
        found.append(pss)
    elif workload.kind == "mix":
        found = [Column(f"{group.name} requests/s", 0, _group(group.name, "rate"), True) for group in workload.groups]
        found += [Column(f"{group.name} p99 ms", 1, _group(group.name, "p99"), group.name == "fast") for group in workload.groups]
        found += [Column("CPU us per request", 1, lambda figures: figures["cpu_us"]),
                  Column("cores used", 2, lambda figures: figures["cpu_cores"]), pss]
    else:
        rate, p99 = _group("busy", "rate"), _group("busy", "p99")
        found = [
            Column("requests/s without", 0, _part("without", rate), True),
            Column("with", 0, _part("with", rate), True),
            Column("loss %", 1, _loss),
            Column("p99 ms without", 2, _part("without", p99)),
            Column("p99 ms with", 2, _part("with", p99), True),
            Column("held open", 0, lambda figures: figures["held"]["live"]),
            Column("PSS KiB per held", 1, lambda figures: figures["pss_per_held"] / KIB if "pss_per_held" in figures else None),
            Column("CPU us per request with", 1, _part("with", lambda part: part["cpu_us"])),
            Column("PSS MiB with", 0, _part("with", lambda part: part["pss"] / MIB)),
        ]
        if workload.held.mode != "upload":  # an upload is not over when the measurement is
            found.insert(6, Column("of them answered", 0, lambda figures: figures["held"]["served"]))
    return [column.fill(rounds_of) for column in found]


def spread(values, digits):
    """Median, and the least and the most in brackets where there is more than one."""
    if not values:
        return "-"
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def errors(rounds):
    """The errors of all rounds by kind, failures with their reason, and whether keep-alive was refused."""
    counts, said = dict.fromkeys(ERRORS, 0), []
    for figures in rounds:
        for part in (figures, figures.get("without", {}), figures.get("with", {})):
            for group in part.get("groups", {}).values():
                for kind, count in group["errors"].items():
                    counts[kind] += count
    failures = [figures["failed"] for figures in rounds if "failed" in figures]
    if failures:
        said.append(f"failed in {len(failures)} of {len(rounds)} rounds: {failures[0]}")
    if any(figures.get("keep_alive") is False for figures in rounds):
        said.append("no keep-alive")
    said += [f"{kind} {count}" for kind, count in counts.items() if count]
    return ", ".join(said).replace("|", "\\|") or "0"
