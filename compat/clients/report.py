"""README's table of client suites: ours beside RabbitMQ's."""

from collections import Counter

from clients import baseline
from clients.suite import FAILED, PASSED, SKIPPED
from clients.suites import SUITES
from harness import results


def table():
    """A line a suite, and below it the reasons of what cannot pass here."""
    kept = results.read("clients")
    rows = [_row(suite, kept.get(suite.name), baseline.read(suite.name)) for suite in SUITES]
    explained = [line for suite in SUITES for line in _explained(suite, kept.get(suite.name, {}))]
    return "\n".join([
        "| Suite | Language | RabbitMQ 3.10.8: passed, failed, skipped | Leveret: passed, failed, skipped "
        "| New failures | Explained | Unstable |", "|---|---|---|---|---|---|---|", *rows,
        *([""] if explained else []), *explained])


def _row(suite, ours, theirs):
    name = f"**{suite.title()}**" if suite.tier == 1 else suite.title()
    if ours is None or theirs is None:
        return f"| {name} | {suite.language} | | not run | | | |"
    there = _counts(Counter(theirs["outcomes"].values()))
    return (f"| {name} | {suite.language} | {there} | {_counts(ours)} | {len(ours['new'])} | {len(ours['explained'])} "
            f"| {len(ours['unstable'])} |")


def _counts(verdicts):
    return ", ".join(str(verdicts[verdict]) for verdict in (PASSED, FAILED, SKIPPED))


def _explained(suite, ours):
    """The tests of each reason."""
    reasons = {}
    for test, why in ours.get("explained", {}).items():
        reasons.setdefault(why, []).append(test)
    return [f"* {suite.name}, {len(tests)} explained: {why}" for why, tests in reasons.items()]
