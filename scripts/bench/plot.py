"""One SVG per workload: a panel per plotted column, a bar per server at the median, a line from the least to the most."""

import statistics

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "bench"  # the same figures give the same file
matplotlib.rcParams["svg.fonttype"] = "none"
from matplotlib import pyplot  # noqa: E402

from summary import columns  # noqa: E402

OURS, OTHERS = "#1f6f8b", "#b8b8b8"


def picture(workload, rounds_of, ours, path):
    """Draws the servers that have figures. Where none has, there is no picture."""
    panels = [column for column in columns(workload, rounds_of) if column.plotted]
    names = [name for name in reversed(rounds_of) if any(column.values[name] for column in panels)]
    if not names:
        return
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.6 * len(panels) + 1, 0.34 * len(names) + 1.4), sharey=True, squeeze=False,
                                   layout="constrained")
    for axis, column in zip(axes[0], panels):
        for row, name in enumerate(names):
            values = column.values[name]
            if not values:
                continue
            middle = statistics.median(values)
            axis.barh(row, middle, color=OURS if name in ours else OTHERS, height=0.7)
            axis.hlines(row, min(values), max(values), color="black", linewidth=1)
            axis.annotate(f" {middle:,.{column.digits}f}", (max(values), row), va="center", fontsize=8)
        axis.set_title(column.name, fontsize=9)
        axis.margins(x=0.22)
        axis.set_xlim(left=0)
        axis.tick_params(labelsize=8)
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_yticks(range(len(names)), names)
    figure.suptitle(f"{workload.name}: {workload.title}", fontsize=10)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
