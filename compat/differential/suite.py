"""Which scenarios there are: the decorators that make them, and the files that hold them."""

import importlib
import inspect
import json
import pkgutil
from dataclasses import dataclass, field
from typing import Callable

from differential.wire import Typed

DRIVERS = ("raw", "pika")
PLAIN = json.dumps({})


@dataclass
class Scenario:
    """One dialogue; `area` is its file, `name` its function and, for a table, the row."""

    area: str
    name: str
    title: str
    play: Callable
    drivers: tuple = DRIVERS
    raw_only: str = ""
    setting: str = PLAIN

    @property
    def id(self):
        return f"{self.area}/{self.name}"


@dataclass
class Area:
    """One file of scenarios."""

    name: str
    title: str
    scenarios: list = field(default_factory=list)


def scenario(function):
    """Makes a scenario of a function; its docstring is the title."""
    function.rows = None
    function.is_scenario = True
    return function


def for_each(**rows):
    """Makes a scenario of each row: `for_each(zero=(0,), text=("a",))`, or with a dict `**{...}`.

    The row's name goes where the docstring says `{row}`. A row with a `Typed` value or a float is raw only.
    """
    def decorate(function):
        function.rows = {name: row if isinstance(row, tuple) else (row,) for name, row in rows.items()}
        function.is_scenario = True
        return function
    return decorate


def raw_only(why):
    """Says why pika cannot play the scenario."""
    def decorate(function):
        function.raw_only = why
        return function
    return decorate


def needs(**setting):
    """What the broker must have before the scenario begins; see `setting.py`."""
    def decorate(function):
        function.setting = json.dumps(setting, sort_keys=True)
        return function
    return decorate


def _has_typed(value):
    if isinstance(value, (Typed, float)):
        return True
    if isinstance(value, dict):
        return any(_has_typed(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_has_typed(item) for item in value)


def _title(function, row=""):
    return " ".join(inspect.getdoc(function).split()).rstrip(".").replace("{row}", row)


def _made_of(area, function):
    """The scenarios of one function."""
    raw = getattr(function, "raw_only", "")
    setting = getattr(function, "setting", PLAIN)
    if function.rows is None:
        return [Scenario(area, function.__name__, _title(function), function,
                         ("raw",) if raw else DRIVERS, raw, setting)]
    made = []
    for row, values in function.rows.items():
        why = raw or ("a table value that pika cannot encode" if _has_typed(values) else "")
        made.append(Scenario(area, f"{function.__name__}/{row}", _title(function, row),
                             lambda s, function=function, values=values: function(s, *values),
                             ("raw",) if why else DRIVERS, why, setting))
    return made


def areas():
    """All files of scenarios in order of their names, each with its scenarios in order of the file."""
    folder = importlib.import_module("differential.scenarios")
    found = []
    for module in sorted(pkgutil.iter_modules(folder.__path__), key=lambda module: module.name):
        loaded = importlib.import_module(f"differential.scenarios.{module.name}")
        if not loaded.__doc__:
            raise SystemExit(f"compat: {module.name}.py needs a docstring; it names the area in the table")
        area = Area(module.name, loaded.__doc__.strip().splitlines()[0].rstrip("."))
        for function in vars(loaded).values():
            if getattr(function, "is_scenario", False) and function.__module__ == loaded.__name__:
                area.scenarios += _made_of(module.name, function)
        found.append(area)
    return found
