"""Plays suites on a broker, each on a fresh one, and says what came of them."""

import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from clients import baseline
from clients.control import control_of
from clients.install import Home, pins_of
from clients.suite import SuiteFailed
from clients.suites import SUITES
from harness import results
from harness.broker import BrokerFailed

RABBITMQ = "RabbitMQ 3.10.8"
KIND = "clients"


@dataclass
class Played:
    """What came of a suite; `broken` says why it could not be played, if it could not."""

    outcomes: dict = field(default_factory=dict)
    seconds: float = 0.0
    product: str = ""
    may_skip: bool = False
    on_leveret: bool = True
    broken: str = ""


def chosen(match="", tiers=(1, 2)):
    """The suites of these tiers whose title has `match` in it."""
    return [suite for suite in SUITES if suite.tier in tiers and match in suite.title()]


def play(suite, source):
    """Installs and runs one suite on a broker of its own."""
    try:
        home = Home(KIND, suite.name).installed(suite, pins_of(suite.name))
        with source.broker() as broker, control_of(broker) as broker.control:
            played = Played(product=broker.product(), may_skip=broker.control is None,
                            on_leveret=broker.name == "leveret")
            begun = time.monotonic()
            played.outcomes = baseline.without(suite.run(home, broker), suite.left_out)
            played.seconds = time.monotonic() - begun
            if not broker.answers():
                return Played(broken=f"the broker does not answer any more:\n{broker.last_output()}")
    except (SuiteFailed, BrokerFailed) as failure:
        return Played(broken=str(failure))
    except Exception:  # a runner's own mistake is told like a failure, and stops no other suite
        return Played(broken=traceback.format_exc())
    return played if played.outcomes else Played(broken="it reported no test")


def _play_all(suites, source, side_by_side):
    with ThreadPoolExecutor(side_by_side) as pool:
        yield from zip(suites, pool.map(lambda suite: play(suite, source), suites))


def compare(suites, source, side_by_side, save=False):
    """Prints a SUITE line for each suite and what is new; returns how many suites are not as they should be."""
    wrong, totals = 0, {"passed": 0, "failed": 0, "skipped": 0, "new": 0}
    for suite, played in _play_all(suites, source, side_by_side):
        recorded = baseline.read(suite.name)
        if played.broken or recorded is None or recorded["version"] != suite.version:
            wrong += 1
            _say_broken(suite, played.broken or "RabbitMQ's outcomes were not recorded: compat/run --record")
            continue
        verdict = baseline.judge(suite, played.outcomes, recorded["outcomes"], played.may_skip, played.on_leveret)
        wrong += bool(verdict.new or verdict.stale)
        _say(suite, verdict, played.seconds)
        for key in totals:
            totals[key] += len(verdict.new) if key == "new" else verdict.counts[key]
        if save:
            results.keep(KIND, suite.name, _result(verdict, played))
    print(f"compat clients: {len(suites)} suites, {totals['passed']} passed, {totals['failed']} failed, "
          f"{totals['skipped']} skipped, {totals['new']} new failures", flush=True)
    return wrong


def _result(verdict, played):
    return {"seconds": round(played.seconds, 1), **verdict.counts, "new": sorted(verdict.new),
            "explained": verdict.explained, "unstable": sorted(verdict.unstable)}


def _say_broken(suite, why):
    print(f"SUITE {suite.name}: FAILED to run", flush=True)
    _indented(why)


def _say(suite, verdict, seconds):
    counts = verdict.counts
    explained = f", {len(verdict.explained)} explained" if verdict.explained else ""
    print(f"SUITE {suite.name}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped, "
          f"{len(verdict.new)} new failures{explained} ({suite.version}, {seconds:.0f} s)", flush=True)
    for test, outcome in verdict.new.items():
        print(f"  NEW {outcome.verdict}: {test}", flush=True)
        _indented(outcome.detail)
    for test, why in verdict.explained.items():
        print(f"  explained: {test}: {why}", flush=True)
    for test in verdict.unstable:
        print(f"  unstable, also on RabbitMQ: {test}: {suite.unstable_reason(test)}", flush=True)
    for test in verdict.stale:
        print(f"  STALE: {test} passes, but is explained as a failure", flush=True)


def _indented(text):
    for line in text.splitlines():
        print(f"      {line}", flush=True)


def record(suites, source):
    """Plays suites on RabbitMQ and writes the baselines; returns how many could not be played."""
    broken = 0
    for suite, played in _play_all(suites, source, 1):
        if played.broken or played.product != RABBITMQ:
            broken += 1
            _say_broken(suite, played.broken or f"baselines are made with {RABBITMQ}, and this is {played.product}")
            continue
        baseline.write(suite, played.product, played.outcomes, played.seconds)
        counts = baseline.counts(played.outcomes)
        print(f"SUITE {suite.name}: recorded: {counts['passed']} passed, {counts['failed']} failed, "
              f"{counts['skipped']} skipped ({suite.version}, {played.seconds:.0f} s)", flush=True)
        _indented("\n".join(f"failed: {test}" for test, outcome in played.outcomes.items()
                            if outcome.verdict == "failed"))
    return broken
