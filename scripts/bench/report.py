"""The results as Markdown: the head, then one table per workload."""

from summary import columns, errors, spread


def head(results):
    lines = ["# Measurements", ""]
    lines += [f"- {key.replace('_', ' ')}: {value}" for key, value in results["head"].items()]
    lines += ["", "Median over the rounds, with the least and the most in brackets. CPU and PSS are those of the server's whole process tree; "
              "latencies are wrk's.", "", "| server | version | how it is run |", "|---|---|---|"]
    lines += [f"| {name} | {about['version']} | {about['about']} |" for name, about in results["servers"].items()]
    lines += [f"| {name} | not measured | {reason} |" for name, reason in results["missing"].items()]
    return "\n".join(lines)


def table(workload, results):
    """One workload's table; the ceiling and the floor are its last rows where they say something."""
    rounds_of = results["rounds"][workload.name]
    shown = columns(workload, rounds_of)
    connections = ", ".join(f"{group.connections} x {group.request.path}" for group in workload.groups)
    beside = f", beside {workload.held.count:,} held ({workload.held.mode} {workload.held.request.path})" if workload.held else ""
    lines = [f"## {workload.name}: {workload.title}", "", f"{connections} connections{beside}, {workload.processes} x {workload.threads} threads", "",
             "| server | " + " | ".join(column.name for column in shown) + " | errors |", "|---" * (len(shown) + 2) + "|"]
    for name, rounds in rounds_of.items():
        if rounds:
            cells = [spread(column.values[name], column.digits) for column in shown]
            lines.append(f"| {name} | " + " | ".join(cells) + f" | {errors(rounds)} |")
    lines += _references(workload, results)
    unfit = results["unfit"].get(workload.name, {})
    if unfit:
        lines += ["", "Not measured here: " + "; ".join(f"{name}: {reason}" for name, reason in unfit.items()) + "."]
    return "\n".join(lines) + "\n"


def _references(workload, results):
    if workload.kind != "simple":
        return []
    group, lines = workload.groups[0], []
    alone = results["ceiling"].get(f"{workload.app} {group.request.path}")
    if alone:
        rate, cpu = (spread([figures[key] for figures in alone], digits) for key, digits in (("rate", 0), ("cpu_us", 1)))
        lines.append(f"| *the app alone (ceiling)* | {rate} | {cpu} | - | - | - | - | - |")
    bare = results["floor"].get(str(group.connections))
    if bare:
        shown = columns(workload, {"floor": bare})
        cells = [spread(column.values["floor"], column.digits) for column in shown]
        lines.append("| *fasthttp alone, 14 bytes (floor)* | " + " | ".join(cells) + f" | {errors(bare)} |")
    return lines


def whole(workloads, results):
    return head(results) + "\n\n" + "\n".join(table(workload, results) for workload in workloads)
