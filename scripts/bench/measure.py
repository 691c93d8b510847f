"""One measurement: a fresh server, warmed, under one workload."""

import time

import procfs
from load import holding, run_groups
from running import Failed, running, wait_until_right

WARM = 1  # seconds
SETTLE = 1  # seconds between opening the held connections and measuring beside them


class Bench:
    """What all measurements of a run have in common."""

    def __init__(self, seconds, environ, replies, load_binary):
        self.seconds, self.environ, self.replies, self.load_binary = seconds, environ, replies, load_binary

    def measure(self, server, workload):
        """The figures as a dict, or {"failed": reason}."""
        try:
            with running(server, workload, self.environ) as run:
                kept = [wait_until_right(run, request, self.replies[workload.app, request]) for request in requests(workload)]
                run_groups(workload.groups, run.port, WARM)
                figures = self._held(run, workload) if workload.held else self._loaded(run, workload)
                run.check_alive()
                return {"keep_alive": all(kept), **figures}
        except Failed as failure:
            return {"failed": str(failure)}

    def _loaded(self, run, workload):
        before = procfs.cpu_seconds(run.pid)
        groups = run_groups(workload.groups, run.port, self.seconds)
        used = procfs.cpu_seconds(run.pid) - before
        done = sum(group["requests"] for group in groups.values())
        return {"groups": groups, "cpu_us": used / done * 1e6 if done else None, "cpu_cores": used / self.seconds, "pss": procfs.pss_bytes(run.pid)}

    def _held(self, run, workload):
        without = self._loaded(run, workload)
        run.check_alive()
        with holding(self.load_binary, workload.held, run.port) as held:
            time.sleep(SETTLE)
            beside = self._loaded(run, workload)
        figures = {"without": without, "with": beside, "held": held}
        if held["live"]:
            figures["pss_per_held"] = (beside["pss"] - without["pss"]) / held["live"]
        return figures


def requests(workload):
    """Each kind of request of a workload once."""
    found = [group.request for group in workload.groups]
    if workload.held:
        found.append(workload.held.request)
    return list(dict.fromkeys(found))
