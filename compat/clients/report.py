"""README's table of client suites: ours beside RabbitMQ's."""

from clients import baseline
from clients.suites import SUITES
from harness import results


def table():
    """A line a suite, and below it the reasons of what cannot pass here."""
    kept = results.read("clients")
    rows = [_row(suite, kept.get(suite.name), baseline.read(suite.name)) for suite in SUITES]
    explained = [line for suite in SUITES for line in _explained(suite, kept.get(suite.name, {}))]
    return "\n".join([
        "| Suite | Language | RabbitMQ 3.10.8: passed, failed, skipped | Leveret: passed, failed, skipped "
        "| New failures | Explained | Time, s (RabbitMQ) |", "|---|---|---|---|---|---|---|", *rows,
        *([""] if explained else []), *explained])


def _row(suite, ours, theirs):
    if ours is None or theirs is None:
        return f"| {suite.title()} | {suite.language} | | not run | | | |"
    verdicts = list(theirs["outcomes"].values())
    there = ", ".join(str(verdicts.count(verdict)) for verdict in ("passed", "failed", "skipped"))
    here = ", ".join(str(ours[verdict]) for verdict in ("passed", "failed", "skipped"))
    return (f"| {suite.title()} | {suite.language} | {there} | {here} | {len(ours['new'])} | {len(ours['explained'])} "
            f"| {ours['seconds']:.0f} ({theirs['seconds']:.0f}) |")


def _explained(suite, ours):
    """The tests of each reason."""
    reasons = {}
    for test, why in ours.get("explained", {}).items():
        reasons.setdefault(why, []).append(test)
    return [f"* {suite.name}, {len(tests)} explained: {why}" for why, tests in reasons.items()]
