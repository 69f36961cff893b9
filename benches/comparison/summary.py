"""The short version for README.md, between its two `measured` marks: a line a workload, the other goals, the plots."""

import os

from brokers import ROOT, Broken, Leveret, RabbitMq
from comparison.figures import markdown_table, median_text, of_runs, ratio, verdict
from comparison.report import PLOTS, goals_sentence
from comparison.rows import ROWS

README = ROOT / "README.md"
BEGIN = "<!-- measured: begin. Made by benches/compare --readme. -->"
END = "<!-- measured: end -->"

RATE, CPU = "received_per_second", "server_cpu_seconds_per_million"
# Beside the rates: a few figures of what does not pass through.
OTHERS = (
    ("W4", "confirm_p50_ms", "W4: time to the confirm, median, ms"),
    ("W4", "half_delivery_p99_ms", "W4 at half of its rate: delivery p99, ms"),
    ("W11T", "delivery_p50_ms", "5,000 messages/s of 100 B: delivery p50, ms"),
    ("W11T", "delivery_p99_ms", "... p99, ms"),
    ("W15", "delivery_p99_ms", "... p99 while another pair of connections does W2, ms"),
    ("W11P", "confirm_p50_ms", "2,000 persistent messages/s of 1 KiB: confirm p50, ms"),
    ("W9", "fill_per_second", "a backlog of a million messages of 1 KiB: filled, messages/s"),
    ("W9", "fill_rss_peak_mib", "... most memory meanwhile, MiB"),
    ("W9", "answer_seconds", "... after kill -9: seconds until it answers"),
    ("W9", "drain_per_second", "... drained, messages/s"),
    ("W10 connections", "rss_per_connection_bytes", "memory for an idle connection, bytes"),
    ("W10 queues", "rss_per_queue_bytes", "memory for a durable queue, bytes"),
    ("W10 queues", "declare_seconds", "10,000 durable queues declared, s"),
    ("W12", RATE, "connect, channel, declare, publish, get, close: times a second"),
    ("W13", "publish_per_second", "pika (BlockingConnection), published, messages/s"),
    ("W13", "confirmed_per_second", "... persistent, each confirmed, messages/s"),
    ("idle", "resident_mib", "memory at rest, MiB"),
    ("idle", "start_ms", "start to first answer on an empty directory, ms"),
    ("binary", "stripped_mb", "the executable, stripped, MB"),
)


def pair(results, row, key):
    """Leveret's spread, RabbitMQ's, and the ratio."""
    runs = results.runs(row)
    ours, theirs = runs.get(Leveret.name), runs.get(RabbitMq.name)
    return of_runs(ours, key), of_runs(theirs, key), ratio(ours, theirs, key)


def rates(results):
    """One line for each workload that receives messages as fast as it can: those whose CPU time is looked at."""
    lines = []
    for row in ROWS:
        figures = {figure.key: figure for figure in row.figures}
        ours, theirs, against = pair(results, row.name, RATE)
        if CPU not in figures or ours is None:
            continue
        figure = figures[RATE]
        our_cpu, their_cpu, _ = pair(results, row.name, CPU)
        lines.append([f"{row.name}: {row.what}", median_text(ours), median_text(theirs), median_text(against, "x"),
                      goal_text(figure, ours, against), median_text(our_cpu), median_text(their_cpu)])
    titles = ["Workload", "Messages received per second", "RabbitMQ's", "Ratio", "Goal",
              "Server CPU seconds per million", "RabbitMQ's"]
    return markdown_table(titles, lines)


def others(results):
    figures = {(row.name, figure.key): figure for row in ROWS for figure in row.figures}
    lines = []
    for row, key, title in OTHERS:
        ours, theirs, against = pair(results, row, key)
        if ours is not None:
            figure = figures[row, key]
            lines.append([title, median_text(ours), median_text(theirs), goal_text(figure, ours, against)])
    return markdown_table(["", "Leveret", "RabbitMQ", "Goal"], lines)


def goal_text(figure, ours, against):
    return f"{figure.goal}: {verdict(figure, ours, against)}" if figure.goal else ""


def summary(results):
    directory = os.path.relpath(results.directory, ROOT)
    start, session = next(reversed(results.data["sessions"].items()))
    facts, plan = session["environment"], session["plan"]
    plots = [f"![{title}]({directory}/{name})\n" for name, title in PLOTS if (results.directory / name).exists()]
    versions = " and ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return "\n".join([
        BEGIN, "",
        f"{versions} side by side in one run of `benches/compare`, {start[:10]}, on {facts['cores']} cores"
        f" ({facts['cpu']}) that the load generator shares; medians of {plan['rounds']} interleaved rounds"
        f" ([whole table with spread, scaling, machine, commands]({directory}/results.md)).", "",
        goals_sentence(results), "",
        rates(results), "", others(results), "", *plots, END])


def write(results):
    """Puts the summary between the marks of README.md."""
    before, begin, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise Broken(f"README.md lacks its marks: {BEGIN} and {END}")
    README.write_text(before + summary(results) + after)
