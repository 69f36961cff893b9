"""Plays the scenarios and compares with RabbitMQ's recordings, or makes them."""

import difflib
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from harness.deadlines import within

from differential import golden, recordings, report, suite
from differential.dialogue import LEFT_OVER, Dialogue
from differential.pika_driver import PikaDriver
from differential.raw import RawDriver
from differential.transcript import Transcript

RABBITMQ = "RabbitMQ 3.10.8"
SCENARIO_DEADLINE = 60.0
_DRIVERS = {"raw": RawDriver, "pika": PikaDriver}
# What a transcript ends with if the scenario could not be played to its end.
BROKEN = "!! "


def chosen(match):
    """All scenarios with this text in their id or title."""
    return [scenario for area in suite.areas() for scenario in area.scenarios
            if match in scenario.id or match in scenario.title]


def play(scenario, driver, stages):
    """The transcript of one scenario with one driver."""
    transcript, stage = Transcript(), None
    try:
        with stages.stage(scenario.setting) as stage:
            dialogue = Dialogue(_DRIVERS[driver], stage, transcript)
            within(SCENARIO_DEADLINE, scenario.id, lambda: _play(scenario, dialogue, stage))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        failure = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        if stage and not stage.broker.answers():
            failure += f"\nthe broker does not answer:\n{stage.broker.last_output()}"
        return [*transcript.lines(), *(BROKEN + line for line in failure.splitlines())]
    return transcript.lines()


def _play(scenario, dialogue, stage):
    try:
        scenario.play(dialogue)
    finally:
        dialogue.finish()
        if not stage.is_spent:
            stage.janitor.remove(dialogue.queues, dialogue.exchanges)


def play_all(scenarios, stages, side_by_side):
    """Yields each scenario with its transcripts by driver, in order, playing a few at a time."""
    def transcripts(scenario):
        return {driver: play(scenario, driver, stages) for driver in scenario.drivers}

    with ThreadPoolExecutor(side_by_side) as pool:
        yield from zip(scenarios, pool.map(transcripts, scenarios))


def compare(stages, side_by_side, match="", apply_differences=True):
    """Prints a line for each area, or with `match` for each scenario, and one for each scenario that fails;
    returns how many are not as they should be."""
    golden.check()
    scenarios = [each for each in chosen(match) if getattr(stages, "offers", lambda _: True)(each.setting)]
    recorded = recordings.read()
    differences = report.differences() if apply_differences else {}
    tally = Tally(every_scenario=bool(match))
    for scenario, seen in play_all(scenarios, stages, side_by_side):
        verdict, lines = _judge(scenario, seen, recorded.get(scenario.id, {}), differences)
        tally.add(scenario, len(seen), verdict, lines)
    tally.say_area()
    counts = tally.counts
    wrong = counts["failing"] + (0 if match else _stale(recorded, differences))
    print(f"compat differential: {len(scenarios)} scenarios run ({tally.transcripts} transcripts), "
          f"{counts['equal']} equal to {RABBITMQ}, {counts['different']} deliberately different, "
          f"{counts['failing']} failing", flush=True)
    return wrong


class Tally:
    """Counts verdicts and prints them."""

    _WORDS = {"equal": "ok", "different": "as listed", "failing": "DIFFERENT"}

    def __init__(self, every_scenario):
        self.counts = dict.fromkeys(self._WORDS, 0)
        self.transcripts = 0
        self._every_scenario = every_scenario
        self._area = None
        self._of_area = {}

    def add(self, scenario, transcripts, verdict, lines):
        if scenario.area != self._area:
            self.say_area()
            self._area, self._of_area = scenario.area, dict.fromkeys(self._WORDS, 0)
        self.transcripts += transcripts
        self.counts[verdict] += 1
        self._of_area[verdict] += 1
        if self._every_scenario or verdict == "failing":
            print(f"{self._WORDS[verdict]:10}{scenario.id}: {scenario.title}", flush=True)
        for line in lines:
            print(f"    {line}", flush=True)

    def say_area(self):
        """Sums up the area that is done, if it went well."""
        if self._area and not self._every_scenario and not self._of_area["failing"]:
            listed = self._of_area["different"]
            beside = f", {listed} deliberately different" if listed else ""
            print(f"{'ok':10}{self._area}: {self._of_area['equal']} equal{beside}", flush=True)


def _judge(scenario, seen, recorded, differences):
    """Whether a scenario is equal, different as listed, or failing, and the lines that show why."""
    listed = differences.get(scenario.id, {})
    used, lines = False, []
    for driver, transcript in seen.items():
        expected = recorded.get(driver, [])
        if driver in listed and expected == transcript:
            lines.append(f"listed as different with {driver}, but equal; take it off differences/")
            continue
        if driver in listed:
            used = True
            expected = report.applied(expected, listed[driver])
        lines += _diff(f"{RABBITMQ}, {driver}", expected, transcript)
    if lines:
        return "failing", lines
    return "different" if used else "equal", []


def _diff(title, expected, seen):
    if expected == seen:
        return []
    return list(difflib.unified_diff(expected, seen, title, "this broker", lineterm="", n=2))


def _stale(recorded, differences):
    """Recordings and differences without their scenario: nothing must shrink unseen."""
    known = {scenario.id for scenario in chosen("")}
    stale = sorted((set(recorded) | set(differences)) - known)
    for name in stale:
        print(f"DIFFERENT {name}: recorded or listed, but there is no such scenario", flush=True)
    return len(stale)


def record(stages, match=""):
    """Plays on RabbitMQ and writes the recordings; returns how many scenarios could not be played to their
    end, or left frames that come by chance because nobody waits for them."""
    with stages.stage(suite.PLAIN) as stage:
        product = stage.broker.product()
    if product != RABBITMQ:
        raise SystemExit(f"compat: recordings are made with {RABBITMQ}, and this is {product}")
    old = {} if not match else recordings.read()
    new, failed = {}, 0
    for scenario, seen in play_all(chosen(match), stages, side_by_side=1):
        broken = [line for lines in seen.values() for line in lines
                  if line.startswith(BROKEN) or LEFT_OVER in line]
        failed += bool(broken)
        print(f"{'FAILED' if broken else 'recorded':10}{scenario.id}: {scenario.title}", flush=True)
        for line in broken:
            print(f"    {line}", flush=True)
        if broken:
            for lines in seen.values():
                print("\n".join(f"    {line}" for line in lines), flush=True)
        else:
            new[scenario.id] = seen
    recordings.write({**old, **new}, f"{product}, pika {version('pika')}", keep_others=bool(match))
    print(f"compat differential: {len(new)} scenarios recorded with {product}, {failed} failed")
    return failed


def accept(stages, match, reason):
    """Lists what this broker does differently as deliberate, and takes off what it does not; by hand."""
    recorded = recordings.read()
    listed = report.differences()
    for scenario, seen in play_all(chosen(match), stages, side_by_side=1):
        verdict, _ = _judge(scenario, seen, recorded.get(scenario.id, {}), listed)
        broken = any(line.startswith(BROKEN) for lines in seen.values() for line in lines)
        if verdict == "failing" and not broken:
            was_listed = report.list_difference(scenario, recorded[scenario.id], seen, reason)
            print(f"{'listed' if was_listed else 'unlisted':10}{scenario.id}: {reason}", flush=True)
    return 0
