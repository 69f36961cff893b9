"""The scaling series: one thing grows, everything else stays, and the cost of a message is looked at."""

import dataclasses
import shutil
import tempfile
from collections.abc import Callable

from brokers import RabbitMq
from comparison import backlogs
from comparison.figures import Figure

RATE = Figure("received_per_second", "received, messages/s")
CPU = Figure("server_cpu_seconds_per_million", "server CPU, s/M")
PEAK = Figure("server_peak_rss_mib", "peak RSS, MiB")
# A run shorter than this many seconds of CPU is repeated: the kernel counts in hundredths.
ENOUGH_CPU_SECONDS = 0.2
MOST_REPEATS = 10
# A message of the backlog and what belongs to it, with room for a log that is not tidied up yet.
DISK_BYTES_PER_MESSAGE = 1500


@dataclasses.dataclass(frozen=True)
class Series:
    """`measure(generator, broker, plan, point)` is one run at one point."""

    name: str
    title: str
    grows: str
    points: tuple
    measure: Callable
    figures: tuple = (RATE, CPU, PEAK)
    # Whether each run needs a broker of its own, since it fills its disk.
    fresh: bool = False
    # The largest point that is measured, by broker, for what would take too long.
    most: dict = dataclasses.field(default_factory=dict)

    def leaves_out(self, broker_name, point, plan):
        """Why a point is not measured on a broker; none when it is."""
        if point > self.most.get(broker_name, point):
            return f"more than {self.most[broker_name]:,} takes {broker_name} too long"
        if not self.fresh:
            return None
        if point > plan.largest_backlog:
            return f"this run stops at {plan.largest_backlog:,}"
        needed, free = point * DISK_BYTES_PER_MESSAGE, shutil.disk_usage(tempfile.gettempdir()).free
        return f"needs {needed / 2**30:.0f} GiB of disk, {free / 2**30:.0f} are free" if needed > free else None


def grown(workload, option):
    """A workload with one option that says how much there is of what grows."""
    def measure(generator, broker, plan, point):
        return generator.workload(broker, workload, "--seconds", plan.scaling_seconds, option, point)
    return measure


def backlog(generator, broker, _plan, point):
    """W9 with `point` messages, repeated until its CPU time is more than the kernel's resolution."""
    runs, cpu_seconds = [], 0.0
    while not runs or (cpu_seconds < ENOUGH_CPU_SECONDS and len(runs) < MOST_REPEATS):
        runs.append(backlogs.measure(generator, broker, point))
        figures = runs[-1]["figures"]
        per_million = figures["fill_cpu_seconds_per_million"] + figures["drain_cpu_seconds_per_million"]
        cpu_seconds += per_million * point / 1e6
    return mean(runs)


def mean(runs):
    """Several runs as one, each figure the mean of theirs.

    >>> mean([{"figures": {"a": 1.0}, "clean": True}, {"figures": {"a": 2.0}, "clean": True}])
    {'figures': {'a': 1.5}, 'clean': True, 'repeats': 2}
    """
    common = [key for key in runs[0]["figures"] if all(key in run["figures"] for run in runs)]
    figures = {key: sum(run["figures"][key] for run in runs) / len(runs) for key in common}
    return {"figures": figures, "clean": all(run["clean"] for run in runs), "repeats": len(runs)}


BACKLOG_FIGURES = (
    Figure("fill_per_second", "fill, messages/s"),
    Figure("fill_cpu_seconds_per_million", "fill CPU, s/M"),
    Figure("fill_rss_peak_mib", "fill peak RSS, MiB"),
    Figure("answer_seconds", "ready after kill -9, s"),
    Figure("drain_per_second", "drain, messages/s"),
    Figure("drain_cpu_seconds_per_million", "drain CPU, s/M"),
    Figure("drain_rss_peak_mib", "drain peak RSS, MiB"),
)

SERIES = (
    Series("pairs-W1", "W1 with independent producer/consumer pairs", "pairs", (1, 2, 4), grown("W1", "--pairs")),
    Series("pairs-W4", "W4 with independent producer/consumer pairs", "pairs", (1, 2, 4), grown("W4", "--pairs")),
    Series("sizes", "W2 with bodies of other sizes", "bytes",
           (16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576), grown("W2", "--body-bytes")),
    Series("queues", "W2 through many queues, each message to the next, each queue consumed", "queues",
           (1, 10, 100, 1000, 10_000), grown("W2", "--queues")),
    Series("bindings", "W8 with more bindings", "bindings", (1000, 3000, 10_000), grown("W8", "--bindings")),
    Series("connections", "W2 beside idle connections", "idle connections", (0, 1000, 10_000),
           grown("W2", "--idle-connections")),
    Series("backlog", "W9 with smaller and larger backlogs", "messages", (10_000, 100_000, 1_000_000, 10_000_000),
           backlog, figures=BACKLOG_FIGURES, fresh=True, most={RabbitMq.name: 1_000_000}),
)
