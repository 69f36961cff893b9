"""RabbitMQ's transcripts as committed text: one file for each file of scenarios.

    == scenario: title
    -- raw and pika
    > connect
    < #1 ...
"""

from pathlib import Path

from differential import suite

FOLDER = Path(__file__).resolve().parent / "recordings"
TOGETHER = " and "


def read():
    """All transcripts by scenario id and driver."""
    found = {}
    for path in sorted(FOLDER.glob("*.txt")):
        transcripts, lines = {}, []
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("== "):
                transcripts = found.setdefault(f"{path.stem}/{line[3:].partition(': ')[0]}", {})
            elif line.startswith("-- "):
                lines = []
                transcripts.update({driver: lines for driver in line[3:].split(TOGETHER)})
            elif line:
                lines.append(line)
    return found


def write(transcripts, recorded_with, keep_others):
    """Writes each area's file in the order of its scenarios; other files go unless they are kept."""
    FOLDER.mkdir(exist_ok=True)
    areas = suite.areas()
    for area in areas:
        recorded = [each for each in area.scenarios if each.id in transcripts]
        blocks = [f"{area.title}. Recorded with {recorded_with}."]
        blocks += [_block(scenario, transcripts[scenario.id]) for scenario in recorded]
        if recorded:
            (FOLDER / f"{area.name}.txt").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    names = {area.name for area in areas}
    for path in FOLDER.glob("*.txt"):
        if path.stem not in names and not keep_others:
            path.unlink()


def _block(scenario, transcripts):
    """One scenario; equal transcripts are kept once."""
    raw, by_pika = transcripts["raw"], transcripts.get("pika")
    if raw == by_pika:
        transcripts = {f"raw{TOGETHER}pika": raw}
    lines = [f"== {scenario.name}: {scenario.title}"]
    for drivers, transcript in transcripts.items():
        lines += [f"-- {drivers}", *transcript]
    return "\n".join(lines)
