"""What was measured, as `results.json` keeps it: added to piece by piece, never overwritten by something unrelated.

    {"format": 2,
     "sessions": {start: {"command", "plan", "environment"}},
     "table":   {row: {"session", "commands", "runs": {broker: [run, ...]}}},
     "scaling": {series: {"session", "commands", "points": {point: {broker: [run, ...]}}, "left_out": {...}}}}

A row that is measured again replaces itself; every row names the session it was measured in.
"""

import json
import pathlib

from brokers import Broken

FORMAT = 2
PARTS = ("table", "scaling")


class Results:
    """The results of one day, in one directory."""

    def __init__(self, directory, data=None):
        self.directory = pathlib.Path(directory)
        self.data = data or {"format": FORMAT, "sessions": {}, "table": {}, "scaling": {}}

    @classmethod
    def load(cls, directory):
        """What is kept there."""
        path = pathlib.Path(directory) / "results.json"
        data = json.loads(path.read_text())
        if data.get("format") != FORMAT:
            raise Broken(f"{path} is of an older layout and cannot be added to: measure everything, or move it away")
        return cls(directory, data)

    @classmethod
    def begun(cls, directory, adding):
        """New results for `directory`; those that are there already if something is added to them."""
        return cls.load(directory) if adding and (directory / "results.json").exists() else cls(directory)

    def open_session(self, start, session):
        self.data["sessions"][start] = session

    def set(self, part, name, entry):
        self.data[part][name] = entry
        needed = {entry["session"] for part in PARTS for entry in self.data[part].values()} | {entry["session"]}
        self.data["sessions"] = {start: kept for start, kept in self.data["sessions"].items() if start in needed}

    def save(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "results.json").write_text(laid_out(self.data) + "\n")

    def runs(self, row):
        """The runs of a row as {broker: [run, ...]}; empty when it was not measured."""
        return self.data["table"].get(row, {}).get("runs", {})

    def points(self, series):
        """The runs of a series as {point: {broker: [run, ...]}}, points as numbers."""
        points = self.data["scaling"].get(series, {}).get("points", {})
        return {int(point): runs for point, runs in points.items()}

    def every_run(self, session=None):
        """Each run, of one session or of all, with a label and its broker's name."""
        def entries(part):
            return ((name, entry) for name, entry in self.data[part].items() if session in (None, entry["session"]))
        for name, entry in entries("table"):
            yield from labelled(name, entry["runs"])
        for name, entry in entries("scaling"):
            for point, runs in entry["points"].items():
                yield from labelled(f"{name} {point}", runs)

    def sessions_in_use(self):
        """What was measured in each session: {start: [name, ...]}."""
        names = {start: [] for start in self.data["sessions"]}
        for part in PARTS:
            for name, entry in self.data[part].items():
                names[entry["session"]].append(name)
        return names


def labelled(label, runs):
    return ((label, broker, run) for broker, of_broker in runs.items() for run in of_broker)


def laid_out(value, indent=""):
    """JSON with a line for each run, since several thousand lines of figures would be no use to anybody.

    >>> print(laid_out({"rounds": 2, "runs": [{"figures": {"a": 1, "b": 2}}]}))
    {
     "rounds": 2,
     "runs": [
      {"figures": {"a": 1, "b": 2}}
     ]
    }
    """
    is_run = isinstance(value, dict) and not value.keys().isdisjoint(("figures", "broken"))
    if is_run or not value or not isinstance(value, (dict, list)):
        return json.dumps(value)
    deeper = indent + " "
    if isinstance(value, dict):
        inner = [f"{json.dumps(key)}: {laid_out(item, deeper)}" for key, item in value.items()]
        begin, end = "{}"
    else:
        inner = [laid_out(item, deeper) for item in value]
        begin, end = "[]"
    return begin + ",".join(f"\n{deeper}{item}" for item in inner) + f"\n{indent}{end}"
