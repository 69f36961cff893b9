"""`results.md`: the table with goals, the scaling series, the plots, the machine and every command."""

from brokers import Leveret, RabbitMq
from comparison.figures import markdown_table, median_text, of_runs, range_text, ratio, verdict
from comparison.generator import CAPITALS
from comparison.rows import ROWS
from comparison.series import SERIES

TITLES = ["", "figure", RabbitMq.name, "min - max", Leveret.name, "min - max", "ratio", "min - max", "goal", ""]
PLOTS = (
    ("throughput.svg", "Throughput by size of the message"),
    ("cpu.svg", "CPU time of the server for a million messages, by workload"),
    ("latency.svg", "Latency percentiles at a fixed rate"),
    ("cost.svg", "What a message costs beside many queues, bindings, connections and messages"),
    ("pairs.svg", "Throughput with 1, 2 and 4 producer/consumer pairs"),
)


def report(results):
    parts = [
        "# Leveret and RabbitMQ, side by side", "",
        *sessions(results), "",
        "Traffic over loopback, brokers with default settings, only the one being measured running; the load generator"
        " runs on the same cores. CPU is the server's, user and system, for a million messages received. Figures are"
        " medians over the rounds; ratios are Leveret's figure to RabbitMQ's, taken round by round.", "",
        *incidents(results.every_run()), "",
        "## The table", "", table(results), "", goals_sentence(results), "",
        "## Scaling", "", *scaling(results),
        "## Plots", "", *(f"![{title}]({name})\n" for name, title in PLOTS if (results.directory / name).exists()),
        "## Commands", "", CAPITALS, "", "```", *commands(results), "```", "",
    ]
    return "\n".join(parts)


def sessions(results):
    """The machine, versions and load of every session whose figures are in here."""
    names = results.sessions_in_use()
    for start, session in results.data["sessions"].items():
        facts, plan = session["environment"], session["plan"]
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        what = "" if len(names) == 1 else f" Measured: {', '.join(names[start])}."
        yield (f"* {start}: {versions}, commit {facts['commit']}, {facts['cores']} cores ({facts['cpu']}),"
               f" {facts['memory_gib']} GiB, Linux {facts['kernel']}, {facts['file_system']}, {facts['rustc']};"
               f" load average before {facts['load_average']:.2f}; {plan['rounds']} rounds of {plan['seconds']:g} s for"
               f" the table, {plan['scaling_rounds']} of {plan['scaling_seconds']:g} s for scaling.{what}")


def incidents(every_run):
    """What was lost, doubled, reordered or damaged, and what could not be measured; from (label, broker, run)."""
    found = list(every_run)
    unclean = {f"{label} ({broker})": None for label, broker, run in found if not run["clean"]}
    broken = {f"* {label}, {broker}: {run['broken']}": None for label, broker, run in found if "broken" in run}
    yield (f"**Verification FAILED: {', '.join(unclean)}.**" if unclean
           else "Every message of every run was verified: none lost, doubled, reordered or damaged.")
    if broken:
        yield from ("", "Runs that could not be finished:", "", *broken)


def exit_code(every_run):
    """2 when a run could not be finished, 1 when one was not clean, else 0.

    >>> exit_code([("W1", "Leveret", {"clean": True}), ("W2", "Leveret", {"clean": False})])
    1
    """
    codes = [2 if "broken" in run else 0 if run["clean"] else 1 for _, _, run in every_run]
    return max(codes, default=0)


def figure_cells(runs, figure):
    """Both brokers' medians and spreads, their ratio, the goal and whether it is met."""
    ours, theirs = (of_runs(runs.get(broker.name), figure.key) for broker in (Leveret, RabbitMq))
    against = ratio(runs.get(Leveret.name), runs.get(RabbitMq.name), figure.key)
    met = verdict(figure, ours, against)
    return [figure.title, median_text(theirs), range_text(theirs), median_text(ours), range_text(ours),
            median_text(against, "x"), range_text(against, "x"), str(figure.goal or ""),
            f"**{met}**" if met not in ("", "met") else met]


def table(results):
    lines = []
    for row in ROWS:
        runs = results.runs(row.name)
        for index, figure in enumerate(row.figures if runs else ()):
            lines.append([f"**{row.name}** {row.what}" if index == 0 else "", *figure_cells(runs, figure)])
    return markdown_table(TITLES, lines) if lines else "Not measured."


def goals_sentence(results):
    """How many goals are met, and which are not, with what was measured instead."""
    met, others = 0, []
    for row in ROWS:
        runs = results.runs(row.name)
        for figure in (figure for figure in row.figures if runs and figure.goal):
            ours = of_runs(runs.get(Leveret.name), figure.key)
            against = ratio(runs.get(Leveret.name), runs.get(RabbitMq.name), figure.key)
            if verdict(figure, ours, against) == "met":
                met += 1
                continue
            measured = median_text(against, "x") if figure.goal.of_ratio else median_text(ours)
            others.append(f"{row.name}, {figure.title}: {measured} (goal {figure.goal})")
    count = f"{met} of {met + len(others)} goals are met."
    return f"{count} Not met: {'; '.join(others)}." if others else count


def scaling(results):
    for series in SERIES:
        points = results.points(series.name)
        if not points:
            continue
        yield from (f"### {series.title}", "", series_table(series, points), "")
        left_out = results.data["scaling"][series.name]["left_out"]
        yield from (f"* left out on {broker}: {', '.join(f'{int(point):,}' for point in reasons)} {series.grows}"
                    f" ({next(iter(reasons.values()))})" for broker, reasons in left_out.items())
        if left_out:
            yield ""


def series_table(series, points):
    """A line for each point and broker; the ratio is that of the first figure."""
    lines = []
    for point, runs in sorted(points.items()):
        for broker, of_broker in runs.items():
            cells = [median_text(of_runs(of_broker, figure.key)) for figure in series.figures]
            against = None
            if broker == Leveret.name:
                against = ratio(of_broker, runs.get(RabbitMq.name), series.figures[0].key)
            lines.append([f"{point:,}", broker, *cells, median_text(against, "x")])
    return markdown_table([series.grows, "", *(figure.title for figure in series.figures), "ratio"], lines)


def commands(results):
    for session in results.data["sessions"].values():
        yield session["command"]
        yield from session["broker_commands"]
    seen = {command: None for part in ("table", "scaling") for entry in results.data[part].values()
            for command in entry["commands"]}
    yield from seen


