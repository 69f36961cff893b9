"""Figures: what is looked at in a run, what several runs come to, and the goal beside it.

A run is a dictionary: `figures` by name, `clean` (nothing lost, doubled, reordered or damaged) and, when it could not
be finished, `broken` with the reason. `PYTHONPATH=benches python3 -m doctest benches/comparison/*.py` checks the
examples here and in its neighbours.
"""

import dataclasses
import statistics

MIB_PER_MB = 1e6 / 2**20


@dataclasses.dataclass(frozen=True)
class Goal:
    """A bound for Leveret's figure, or for its ratio to RabbitMQ's.

    >>> str(at_most(0.25)), str(times(7.5)), str(at_least(300_000))
    ('<= 0.25', '>= 7.5x', '>= 300,000')
    """

    relation: str
    bound: float
    of_ratio: bool = False

    def is_met(self, value):
        """
        >>> at_most(2).is_met(2), at_least(2).is_met(1.99)
        (True, False)
        """
        return value >= self.bound if self.relation == ">=" else value <= self.bound

    def __str__(self):
        bound = f"{self.bound:,.0f}" if self.bound >= 1000 else f"{self.bound:.4g}"
        return f"{self.relation} {bound}{'x' if self.of_ratio else ''}"


def at_least(bound):
    return Goal(">=", bound)


def at_most(bound):
    return Goal("<=", bound)


def times(bound):
    """At least so many times RabbitMQ's figure, measured in the same round."""
    return Goal(">=", bound, of_ratio=True)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of a run: its name in JSON, what people call it, and its goal."""

    key: str
    title: str
    goal: Goal | None = None


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of what several runs showed."""

    median: float
    low: float
    high: float


def spread(values):
    """
    >>> spread([3.0, None, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0)
    >>> spread([None])
    """
    known = [value for value in values if value is not None]
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def value_of(run, key):
    """The figure in one run; none when it was not measured, or the run broken."""
    return run.get("figures", {}).get(key)


def of_runs(runs, key):
    """The spread of a figure over runs; none when no run measured it."""
    return spread([value_of(run, key) for run in runs or []])


def ratio(ours, theirs, key):
    """Ours divided by theirs, round by round; a round in which one of them is missing says nothing.

    >>> run = lambda value: {"figures": {"rate": value}}
    >>> ratio([run(10), run(30), run(7)], [run(5), run(10), {"broken": "no answer"}], "rate")
    Spread(median=2.5, low=2.0, high=3.0)
    """
    pairs = [(value_of(our, key), value_of(their, key)) for our, their in zip(ours or [], theirs or [])]
    return spread([our / their for our, their in pairs if our is not None and their])


def verdict(figure, ours, against):
    """What the goal says to Leveret's spread and its ratio to RabbitMQ; empty without a goal.

    >>> verdict(Figure("rate", "rate", times(25)), Spread(9, 9, 9), Spread(24.9, 20.0, 30.0))
    'missed'
    >>> verdict(Figure("cpu", "CPU", at_most(0.25)), Spread(0.2, 0.2, 0.2), None)
    'met'
    >>> verdict(Figure("rate", "rate", times(25)), Spread(9, 9, 9), None)
    'not measured'
    """
    if figure.goal is None:
        return ""
    measured = against if figure.goal.of_ratio else ours
    if measured is None:
        return "not measured"
    return "met" if figure.goal.is_met(measured.median) else "missed"


def text(value):
    """A number with as many digits as say something.

    >>> text(5485896.4), text(138.25), text(10.997), text(0.195), text(0.00042), text(None)
    ('5,485,896', '138.2', '11.00', '0.195', '0.00042', '-')
    """
    if value is None:
        return "-"
    if abs(value) < 0.01 and value:
        return f"{value:.2g}"
    digits = next((digits for bound, digits in ((1000, 0), (100, 1), (10, 2)) if abs(value) >= bound), 3)
    return f"{value:,.{digits}f}"


def short(value, _=None):
    """For an axis; the second argument is what matplotlib calls it with.

    >>> short(1_500_000), short(10_000), short(250), short(0.2), short(0.0)
    ('1.5M', '10k', '250', '0.2', '0')
    """
    for bound, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:g}{letter}"
    return f"{value:g}"


def size(value, _=None):
    """Bytes, for an axis.

    >>> size(16), size(65536), size(1 << 20)
    ('16 B', '64 KiB', '1 MiB')
    """
    for bound, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= bound:
            return f"{value / bound:g} {unit}"
    return f"{value:g} B"


def range_text(measured, unit=""):
    """Smallest and largest, or a dash.

    >>> range_text(Spread(2, 1.5, 3), "x"), range_text(None)
    ('1.500 - 3.000x', '-')
    """
    return f"{text(measured.low)} - {text(measured.high)}{unit}" if measured else "-"


def median_text(measured, unit=""):
    return f"{text(measured.median)}{unit}" if measured else "-"


def markdown_table(titles, lines):
    """
    >>> print(markdown_table(["a", "b"], [["1", "2"]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
