"""Brokers in turn: every job on one broker and then on the other, round after round."""

import dataclasses
import os
import sys
import time
from collections.abc import Callable

from brokers import Broken

SETTLE_SECONDS = 2


@dataclasses.dataclass(frozen=True)
class Job:
    """Something to measure: `measure(broker)` is one run, on each of `kinds`."""

    label: str
    kinds: tuple
    measure: Callable


def attempt(broker, measure):
    """A run, or why there is none. One that failed is part of the result, not the end of it."""
    # What the run before left in the page cache must not be written during this one.
    os.sync()
    try:
        return measure(broker)
    except Broken as error:
        return {"broken": str(error), "clean": True}


class Fresh:
    """A broker for each run, on an empty directory."""

    def __init__(self):
        self.versions = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, kind, measure):
        try:
            broker = kind()
        except Broken as error:
            return {"broken": str(error), "clean": True}
        self.versions[kind.name] = broker.version
        try:
            # A broker does this and that just after its start.
            time.sleep(1)
            return attempt(broker, measure)
        finally:
            broker.stop()


class Together:
    """One broker of each kind for all runs, of which only the one being measured is let run (the others: SIGSTOP)."""

    def __init__(self, kinds):
        self.kinds = kinds
        self.brokers, self.versions = {}, {}

    def __enter__(self):
        try:
            for kind in self.kinds:
                self.start(kind)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for broker in self.brokers.values():
            broker.stop()

    def start(self, kind):
        broker = self.brokers[kind] = kind()
        self.versions[kind.name] = broker.version
        time.sleep(SETTLE_SECONDS)
        broker.pause()

    def run(self, kind, measure):
        broker = self.brokers[kind]
        broker.resume()
        time.sleep(0.5)
        run = attempt(broker, measure)
        if "broken" in run:
            # Whatever it still does or keeps must not be in the next run.
            broker.stop()
            self.start(kind)
        else:
            broker.pause()
        return run


def take_turns(stage, jobs, rounds, begun):
    """All runs as runs[label][broker name] = list over the rounds."""
    runs = {job.label: {kind.name: [] for kind in job.kinds} for job in jobs}
    for turn in range(1, rounds + 1):
        for job in jobs:
            for kind in job.kinds:
                run = stage.run(kind, job.measure)
                runs[job.label][kind.name].append(run)
                print(f"{clock(begun)} round {turn}/{rounds} {job.label}, {kind.name}: {outcome(run)}", file=sys.stderr)
    return runs


def outcome(run):
    """What the progress line says of a run."""
    if "broken" in run:
        return f"DID NOT WORK: {run['broken']}"
    if not run["clean"]:
        return "VERIFICATION FAILED"
    rate = run["figures"].get("received_per_second")
    return f"{rate:,.0f}/s" if rate else "clean"


def clock(begun):
    """Minutes and seconds since `begun`.

    >>> clock(time.monotonic() - 83)
    '[01:23]'
    """
    minutes, seconds = divmod(int(time.monotonic() - begun), 60)
    return f"[{minutes:02}:{seconds:02}]"
