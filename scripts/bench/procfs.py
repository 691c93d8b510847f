"""What Linux says of a process and all that descend from it: CPU time and memory. Linux's proc(5) is the source of the fields."""

import os
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def _stats():
    """The fields of /proc/PID/stat after the name, by pid: [0] is the state, [1] the parent."""
    stats = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stats[int(entry)] = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended since the listing
    return stats


def _tree(root, stats):
    def below(pid):
        while pid in stats and pid != root:
            pid = int(stats[pid][1])
        return pid == root

    return [pid for pid in stats if below(pid)]


def cpu_seconds(root):
    """User and system time of the tree, with that of children which have ended and been waited for."""
    stats = _stats()
    return sum(int(ticks) for pid in _tree(root, stats) for ticks in stats[pid][11:15]) * TICK


def pss_bytes(root):
    """Proportional set size: memory that processes share is divided among them."""
    total = 0
    for pid in _tree(root, _stats()):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since the listing
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024
