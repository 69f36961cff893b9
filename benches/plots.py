#!/usr/bin/env python3
"""Draws the plots of a comparison again, from the results.json in a directory, as SVG beside it.

    benches/plots.py benches/results/2026-11-21

Uses matplotlib as pinned in requirements.txt, in a virtual environment under target/ that is made on first use.
`--format png` is for looking at them where nothing shows SVG.
"""

import argparse
import pathlib
import sys

from comparison import environment

environment.enter()

import matplotlib  # noqa: E402 (only there in the environment)

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator  # noqa: E402

from brokers import Leveret, RabbitMq  # noqa: E402
from comparison.figures import of_runs, short, size  # noqa: E402
from comparison.results import Results  # noqa: E402
from comparison.rows import ROWS  # noqa: E402

# Told apart by people who see few colours, in grey, and by marker.
STYLES = {
    RabbitMq.name: {"color": "#d9730d", "marker": "s"},
    Leveret.name: {"color": "#1f5fa8", "marker": "o"},
}
DRAINING = {"linestyle": "--", "markerfacecolor": "white"}
RATE, CPU = "received_per_second", "server_cpu_seconds_per_million"
# What stands below a bar, beside the workload's name.
WORKLOADS = {
    "W1": "16 B", "W2": "1 KiB", "W3": "100 KiB", "W4": "persistent,\nconfirmed", "W5": "... one\nby one",
    "W6": "... two\npairs", "W7": "fan-out\nto 10", "W8": "topic, 1,000\nbindings", "W14": "quorum\nqueue",
}
PERCENTILES = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max"))
LOOK = {
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
    "font.size": 10, "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#dddddd", "grid.linewidth": 0.7, "lines.linewidth": 1.8, "lines.markersize": 5,
    "legend.frameon": False,
    # Letters as outlines, so that they look the same everywhere; no date, so that equal results are equal files.
    "svg.fonttype": "path", "svg.hashsalt": "leveret",
}


def logarithmic(axis, formatter=short):
    axis.set_major_formatter(FuncFormatter(formatter))
    axis.set_minor_formatter(NullFormatter())


def only_ticks(axes, points, formatter=short):
    """Ticks on the x axis at the points that were measured, and nowhere else."""
    axes.set_xticks(points)
    axes.xaxis.set_major_formatter(FuncFormatter(formatter))
    axes.xaxis.set_minor_locator(NullLocator())


def legend(axes, **how):
    """Which broker is which, unless nothing was drawn."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**how)


def curve(axes, measured, broker, **style):
    """Medians as a line over what grows, smallest to largest as a band; `measured` is [(x, Spread)]."""
    measured = [(point, spread) for point, spread in measured if spread]
    if not measured:
        return
    points = [point for point, _ in measured]
    look = STYLES[broker] | style
    axes.plot(points, [spread.median for _, spread in measured], label=broker, **look)
    axes.fill_between(points, [spread.low for _, spread in measured], [spread.high for _, spread in measured],
                      color=look["color"], alpha=0.15, linewidth=0)


def series(results, name, key, broker, scale=lambda point: 1):
    """[(point, Spread)] of one figure of a scaling series; `scale` multiplies it."""
    for point, runs in sorted(results.points(name).items()):
        spread = of_runs(runs.get(broker), key)
        if spread:
            factor = scale(point)
            yield point, type(spread)(spread.median * factor, spread.low * factor, spread.high * factor)


def throughput(results, figure):
    """Messages and bytes a second by size of the message."""
    points = sorted(results.points("sizes"))
    messages, megabytes = figure.subplots(1, 2)
    for broker in STYLES:
        curve(messages, series(results, "sizes", RATE, broker), broker)
        curve(megabytes, series(results, "sizes", RATE, broker, lambda point: point / 2**20), broker)
    for axes, title in ((messages, "Messages received per second"), (megabytes, "MiB received per second")):
        axes.set(title=title, xscale="log", yscale="log", xlabel="size of the body (transient, auto-ack, one pair)")
        logarithmic(axes.yaxis)
        only_ticks(axes, points[::2], size)
    legend(messages)
    return bool(points)


def cpu(results, figure):
    """A bar for each workload and broker, with its number."""
    rows = [row.name for row in ROWS if any(item.key == CPU for item in row.figures) and results.runs(row.name)]
    axes = figure.subplots()
    width = 0.4
    for offset, broker in zip((-width / 2, width / 2), STYLES):
        spreads = [of_runs(results.runs(row).get(broker), CPU) for row in rows]
        heights = [spread.median if spread else 0 for spread in spreads]
        places = [index + offset for index in range(len(rows))]
        bars = axes.bar(places, heights, width, label=broker, color=STYLES[broker]["color"])
        axes.bar_label(bars, [f"{height:#.2g}" if height < 9.95 else f"{height:.0f}" for height in heights],
                       padding=2, fontsize=8)
    axes.set(title="Server CPU seconds per million messages received (less is better)", yscale="log")
    axes.set_xticks(range(len(rows)), [f"{row}\n{WORKLOADS.get(row, '')}" for row in rows], fontsize=9)
    axes.grid(axis="x", visible=False)
    logarithmic(axes.yaxis)
    axes.margins(y=0.12)
    legend(axes, loc="upper left", ncols=2)
    return bool(rows)


def latency(results, figure):
    """Latency percentiles where messages come at a fixed rate."""
    panels = (("W11T", "delivery", "Delivery, 5,000/s of 100 B"),
              ("W15", "delivery", "... while another pair does W2"),
              ("W11P", "confirm", "Confirm, 2,000/s, persistent"))
    all_axes = figure.subplots(1, 3, sharey=True)
    for axes, (row, of, title) in zip(all_axes, panels):
        for broker in STYLES:
            runs = results.runs(row).get(broker)
            curve(axes, [(index, of_runs(runs, f"{of}_{name}_ms")) for index, (name, _) in enumerate(PERCENTILES)],
                  broker)
        axes.set(title=title, yscale="log", xlabel="percentile")
        axes.set_xticks(range(len(PERCENTILES)), [title for _, title in PERCENTILES])
        logarithmic(axes.yaxis)
    all_axes[0].set_ylabel("ms after it was meant to be sent")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return any(results.runs(row) for row, _, _ in panels)


def cost(results, figure):
    """CPU time a message takes, while something else grows."""
    panels = (("queues", "queues that share the messages (W2)"), ("bindings", "bindings of the exchange (W8)"),
              ("connections", "idle connections beside it (W2)"), ("backlog", "messages in the backlog (W9)"))
    all_axes = figure.subplots(2, 2, sharey=True)
    for axes, (name, label) in zip(all_axes.flat, panels):
        for broker in STYLES:
            if name == "backlog":
                curve(axes, series(results, name, "fill_cpu_seconds_per_million", broker), broker)
                curve(axes, series(results, name, "drain_cpu_seconds_per_million", broker), broker, **DRAINING)
            else:
                curve(axes, series(results, name, CPU, broker), broker)
        if name == "connections":
            # None at all is a point, too, which no logarithm has.
            axes.set_xscale("symlog", linthresh=1000, linscale=0.6)
        else:
            axes.set_xscale("log")
        axes.set(yscale="log", xlabel=label)
        only_ticks(axes, sorted(results.points(name)))
        logarithmic(axes.yaxis)
    for axes in all_axes[:, 0]:
        axes.set_ylabel("CPU µs per message")
    grey = {"color": "#555555", "marker": "o"}
    ways = [Line2D([], [], label="filling", **grey), Line2D([], [], label="draining", **grey | DRAINING)]
    all_axes[1, 1].legend(handles=ways, loc="center right", fontsize=9)
    figure.suptitle("What a message costs the server while something else grows", x=0.01, ha="left",
                    fontweight="bold", fontsize=10.5)
    figure.legend(*all_axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return any(results.points(name) for name, _ in panels)


def pairs(results, figure):
    """Throughput with more producer/consumer pairs."""
    panels = (("pairs-W1", "16 B, transient, auto-ack (W1)"), ("pairs-W4", "1 KiB, persistent, confirmed (W4)"))
    for axes, (name, title) in zip(figure.subplots(1, 2), panels):
        for broker in STYLES:
            measured = list(series(results, name, RATE, broker))
            curve(axes, measured, broker)
            for point, spread in measured:
                axes.annotate(short(float(f"{spread.median:.3g}")), (point, spread.median), (0, 7),
                              textcoords="offset points", ha="center", fontsize=8)
        axes.set(title=title, xscale="log", yscale="log", xlabel="independent producer/consumer pairs",
                 ylabel="messages received per second")
        only_ticks(axes, sorted(results.points(name)))
        logarithmic(axes.yaxis)
        axes.margins(x=0.12, y=0.2)
        legend(axes, loc="center right")
    return any(results.points(name) for name, _ in panels)


DRAWINGS = {
    "throughput": (throughput, (9, 3.8)),
    "cpu": (cpu, (9, 3.8)),
    "latency": (latency, (9, 3.8)),
    "cost": (cost, (9, 7)),
    "pairs": (pairs, (9, 3.8)),
}


def draw(results, directory, kind):
    """Draws what there are figures for."""
    plt.rcParams.update(LOOK)
    for name, (drawing, inches) in DRAWINGS.items():
        figure = plt.figure(figsize=inches, layout="constrained")
        if drawing(results, figure):
            figure.savefig(directory / f"{name}.{kind}", dpi=110, metadata={"Date": None} if kind == "svg" else None)
        plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path, help="directory with a results.json")
    parser.add_argument("--format", default="svg", choices=("svg", "png"))
    parser.add_argument("--to", type=pathlib.Path, help="another directory for the plots")
    options = parser.parse_args()
    draw(Results.load(options.results), options.to or options.results, options.format)
    return 0


if __name__ == "__main__":
    sys.exit(main())
