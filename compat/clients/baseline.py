"""RabbitMQ's outcomes, recorded, and what is new beside them.

A test is a new failure if RabbitMQ passed it and here it failed, was skipped, or never reported. Tests that the
suite explains are listed apart with their reasons; an explained test that passes is reported too, so that no
explanation outlives its cause.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from clients.suite import FAILED, PASSED, SKIPPED, Outcome, reason_for

FOLDER = Path(__file__).resolve().parent / "baselines"
SILENT = Outcome(FAILED, "RabbitMQ passed it; here it did not report")


@dataclass
class Verdict:
    """A suite's outcomes beside RabbitMQ's."""

    counts: dict
    new: dict = field(default_factory=dict)
    explained: dict = field(default_factory=dict)
    unstable: dict = field(default_factory=dict)
    stale: list = field(default_factory=list)


def without(outcomes, patterns):
    """Outcomes of the tests that are not left out."""
    return {test: outcome for test, outcome in outcomes.items() if reason_for(test, patterns) is None}


def counts(outcomes):
    """How many passed, failed and were skipped."""
    verdicts = [outcome.verdict for outcome in outcomes.values()]
    return {verdict: verdicts.count(verdict) for verdict in (PASSED, FAILED, SKIPPED)}


def read(name):
    """What RabbitMQ did, or None if that was not recorded."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write(suite, product, outcomes, seconds):
    """Records RabbitMQ's outcomes."""
    recorded = {"broker": product, "version": suite.version, "seconds": round(seconds, 1),
                "outcomes": {test: outcomes[test].verdict for test in sorted(outcomes)}}
    text = json.dumps(recorded, indent=1, ensure_ascii=False)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{suite.name}.json").write_text(text + "\n", encoding="utf-8")


def judge(suite, outcomes, recorded, may_skip=False, on_leveret=True):
    """What is new beside the recorded outcomes.

    A broker that was not started here cannot be restarted, so tests `may_skip` there. Explanations are Leveret's.
    """
    verdict = Verdict(counts(outcomes))
    for test in sorted({*recorded, *outcomes}):
        seen = outcomes.get(test, SILENT)
        passed_there = recorded.get(test, PASSED) == PASSED
        why = reason_for(test, suite.explained)
        if seen.verdict == PASSED:
            verdict.stale += [test] if why and on_leveret else []
        elif seen.verdict == SKIPPED and may_skip:
            continue
        elif passed_there:
            _sort(verdict, suite, test, seen, why)
    return verdict


def _sort(verdict, suite, test, seen, why):
    if why:
        verdict.explained[test] = why
    elif reason_for(test, suite.unstable):
        verdict.unstable[test] = seen
    else:
        verdict.new[test] = seen
