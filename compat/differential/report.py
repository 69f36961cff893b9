"""Deliberate differences, and the table and the list that are made of them.

`differences/<area>.json` holds for each scenario the reason, and for each driver the lines of RabbitMQ's
transcript with the lines that stand there instead. Everything around them must still be equal.
"""

import difflib
import json
from pathlib import Path

from differential import suite

FOLDER = Path(__file__).resolve().parent
LIST = FOLDER / "DIFFERENCES.md"


def _listed():
    """What the files say, by scenario id."""
    found = {}
    for path in sorted((FOLDER / "differences").glob("*.json")):
        for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
            found[f"{path.stem}/{name}"] = entry
    return found


def differences():
    """Hunks by scenario id and driver."""
    return {name: {driver: hunks for drivers, hunks in entry["hunks"].items()
                   for driver in drivers.split(" and ")} for name, entry in _listed().items()}


def applied(lines, hunks):
    """RabbitMQ's transcript with the listed lines replaced; a hunk that does not fit changes nothing."""
    lines = list(lines)
    for hunk in reversed(hunks):
        start, old = hunk["line"] - 1, hunk["RabbitMQ"]
        if lines[start:start + len(old)] == old:
            lines[start:start + len(old)] = hunk["Leveret"]
    return lines


def list_difference(scenario, recorded, seen, reason):
    """Writes how a scenario differs to its area's file; if it does not, takes it out and returns False."""
    hunks = {driver: _hunks(recorded[driver], seen[driver]) for driver in seen
             if recorded[driver] != seen[driver]}
    if len(hunks) == 2 and hunks["raw"] == hunks["pika"]:
        hunks = {"raw and pika": hunks["raw"]}
    path = FOLDER / "differences" / f"{scenario.area}.json"
    path.parent.mkdir(exist_ok=True)
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entries.pop(scenario.name, None)
    if hunks:
        entries[scenario.name] = {"reason": reason, "hunks": hunks}
    text = json.dumps(dict(sorted(entries.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return bool(hunks)


def _hunks(recorded, seen):
    changes = difflib.SequenceMatcher(None, recorded, seen, autojunk=False).get_opcodes()
    return [{"line": start + 1, "RabbitMQ": recorded[start:end], "Leveret": seen[ours:ours_end]}
            for kind, start, end, ours, ours_end in changes if kind != "equal"]


def table():
    """README's table."""
    listed = differences()
    rows, total, total_different = [], 0, 0
    for area in suite.areas():
        different = sum(scenario.id in listed for scenario in area.scenarios)
        total += len(area.scenarios)
        total_different += different
        rows.append(f"| {area.title} | {len(area.scenarios)} | {len(area.scenarios) - different} | {different} |")
    return "\n".join([
        "| Area | Scenarios | Equal to RabbitMQ 3.10.8 | Deliberately different |", "|---|---|---|---|", *rows,
        f"| **All** | **{total}** | **{total - total_different}** | **{total_different}** |"])


def list_of_differences():
    """DIFFERENCES.md: the scenarios of each reason, and the first one's frames."""
    listed = _listed()
    lines = ["# Where Leveret deliberately differs from RabbitMQ 3.10.8", "",
             "Made by `compat/run --table` from `differences/`, where the frames of every scenario are. Lines with",
             "`-` are RabbitMQ's, lines with `+` those of Leveret in their place; all else in these scenarios is",
             "equal."]
    for area in suite.areas():
        reasons = {}
        for scenario in area.scenarios:
            if scenario.id in listed:
                reasons.setdefault(listed[scenario.id]["reason"], []).append(scenario)
        if reasons:
            lines += ["", f"## {area.title}"]
        for reason, scenarios in reasons.items():
            hunks = next(iter(listed[scenarios[0].id]["hunks"].values()))
            lines += ["", f"**{reason}**", "", *(f"* {scenario.title}" for scenario in scenarios), "",
                      "```diff", *_diff_lines(hunks), "```"]
    return "\n".join(lines) + "\n"


def _diff_lines(hunks):
    for hunk in hunks:
        yield from (f"-{line}" for line in hunk["RabbitMQ"])
        yield from (f"+{line}" for line in hunk["Leveret"])
