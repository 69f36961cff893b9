"""What test runners write, as outcomes by test name."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import PurePath

from clients.suite import FAILED, PASSED, SKIPPED, Outcome, SuiteFailed

DETAIL = 4000
_CARGO_TEST = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", re.MULTILINE)


def written(path, ended):
    """The report that a process should have written; without one, what it printed is all there is to tell."""
    if not path.exists():
        how = "it was out of time" if ended.status is None else f"it ended with {ended.status}"
        raise SuiteFailed(f"no report; {how}:\n{ended.output[-DETAIL:]}")
    return path.read_text(encoding="utf-8")


def _add(outcomes, name, seen):
    """A name that stands twice has its worst outcome."""
    if name not in outcomes or seen.verdict == FAILED:
        outcomes[name] = seen


def junit(text):
    """JUnit's XML, as pytest and others write it."""
    outcomes = {}
    for case in ElementTree.fromstring(text).iter("testcase"):
        name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
        _add(outcomes, name, _junit_outcome(case))
    return outcomes


def _junit_outcome(case):
    for tag, verdict in (("failure", FAILED), ("error", FAILED), ("skipped", SKIPPED)):
        found = case.find(tag)
        if found is not None:
            return Outcome(verdict, f"{found.get('message') or ''}\n{found.text or ''}".strip()[-DETAIL:])
    return Outcome(PASSED)


def mocha(text):
    """What `mocha --reporter json` writes, also after other output; a title that stands twice has its worst outcome."""
    report = json.loads(text[text.index('{\n  "stats"'):])
    outcomes = {_mocha_name(test): Outcome(PASSED) for test in report["passes"]}
    outcomes.update({_mocha_name(test): Outcome(SKIPPED) for test in report["pending"]})
    outcomes.update({_mocha_name(test): Outcome(FAILED, str(test["err"].get("stack", test["err"]))[-DETAIL:])
                     for test in report["failures"]})
    return outcomes


def _mocha_name(test):
    """Suites give one title to tests of several files."""
    return f"{PurePath(test.get('file', '')).name}::{test['fullTitle']}"


def cargo(text, prefix=""):
    """What the test binaries of `cargo test` print."""
    verdicts = {"ok": PASSED, "FAILED": FAILED, "ignored": SKIPPED}
    return {prefix + name: Outcome(verdicts[verdict], _cargo_detail(text, name) if verdict == "FAILED" else "")
            for name, verdict in _CARGO_TEST.findall(text)}


def _cargo_detail(text, name):
    _, found, rest = text.partition(f"---- {name} stdout ----\n")
    return rest.partition("\n---- ")[0][:DETAIL] if found else ""


def go(text):
    """What `go test -json` prints; subtests have a test of their own."""
    verdicts = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}
    outcomes, printed = {}, {}
    for line in filter(lambda line: line.startswith("{"), text.splitlines()):
        event = json.loads(line)
        if event.get("Action") == "output":
            printed[event.get("Test")] = printed.get(event.get("Test"), "") + event["Output"]
        elif event.get("Test") and event.get("Action") in verdicts:
            verdict = verdicts[event["Action"]]
            detail = printed.get(event["Test"], "")[-DETAIL:] if verdict == FAILED else ""
            outcomes[event["Test"]] = Outcome(verdict, detail)
    return outcomes


def rspec(text):
    """What `rspec --format json` writes."""
    verdicts = {"passed": PASSED, "failed": FAILED, "pending": SKIPPED}
    outcomes = {}
    for example in json.loads(text)["examples"]:
        name = f"{PurePath(example['file_path']).name}::{example['full_description']}"
        detail = example.get("exception", {}).get("message", "")[-DETAIL:]
        _add(outcomes, name, Outcome(verdicts[example["status"]], detail))
    return outcomes
