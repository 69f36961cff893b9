"""Plays every run of every block and compares with the recordings, or makes them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version

from harness import catalogue, recordings
from harness.deadlines import within
from harness.stage import Stage

RUN_DEADLINE = 60.0
RABBITMQ = "RabbitMQ 3.10.8"


@dataclass(frozen=True)
class Job:
    """One run, and the recording it belongs to."""

    recording: str
    title: str
    run: catalogue.Run


def jobs_for(blocks, match):
    """All runs in the order in which they are reported."""
    jobs = [Job(block.file_name, f"{block.id} {run.name}", run)
            for block in blocks for run in catalogue.runs_of(block)]
    jobs += [Job(recordings.CROSS, f"cross {run.name}", run) for run in catalogue.runs_across()]
    return [job for job in jobs if match in job.title]


def play(job, source, blocks):
    """What one run leaves; what goes wrong in the harness or the broker is recorded in its place."""
    with source.broker() as broker:
        try:
            return within(RUN_DEADLINE, job.title, lambda: _on_stage(job, broker, blocks))
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}",
                    "broker": broker.last_output().splitlines()}


def _on_stage(job, broker, blocks):
    stage = Stage(broker, blocks)
    try:
        job.run.play(stage)
        return stage.record()
    finally:
        stage.close()


def play_all(jobs, source, blocks, side_by_side):
    """Yields every job with its record, in order, playing a few at a time."""
    with ThreadPoolExecutor(side_by_side) as pool:
        pending = [pool.submit(play, job, source, blocks) for job in jobs]
        try:
            for job, record in zip(jobs, pending):
                yield job, record.result()
        finally:
            for record in pending:
                record.cancel()


def compare(blocks, source, folder, side_by_side, match=""):
    """Prints a line for each run and returns how many differ from RabbitMQ."""
    jobs = jobs_for(blocks, match)
    equal = 0
    for job, seen in play_all(jobs, source, blocks, side_by_side):
        recorded = recordings.read(folder, job.recording).get(job.run.name)
        lines = recordings.difference(recorded, seen)
        equal += not lines
        print(f"{'DIFFERENT' if lines else 'ok':10}{job.title}", flush=True)
        for line in lines:
            print(f"    {line}", flush=True)
    stale = [] if match else not_played(jobs, folder)
    for name in stale:
        print(f"DIFFERENT {name}: recorded, but not played any more", flush=True)
    different = len(jobs) - equal + len(stale)
    played = {job.recording for job in jobs} - {recordings.CROSS}
    print(f"compat documents: {len(played)} blocks, {len(jobs)} runs, {equal} equal to {RABBITMQ}, "
          f"{different} different", flush=True)
    return different


def not_played(jobs, folder):
    """Recorded runs that no job plays: a recording must not shrink unseen."""
    played = {(job.recording, job.run.name) for job in jobs}
    return [f"{path.stem} {name}" for path in sorted(folder.glob("*.json"))
            for name in recordings.read(folder, path.stem) if (path.stem, name) not in played]


def record(blocks, source, folder):
    """Plays everything on RabbitMQ and writes the recordings; returns how many runs failed."""
    with source.broker() as broker:
        product = broker.product()
    if product != RABBITMQ:
        raise SystemExit(f"compat: recordings are made with {RABBITMQ}, and this is {product}")
    runs = {}
    for job, seen in play_all(jobs_for(blocks, ""), source, blocks, side_by_side=1):
        print(f"{'FAILED' if 'failed' in seen else 'recorded':10}{job.title}", flush=True)
        runs.setdefault(job.recording, {})[job.run.name] = seen
    recorded_with = {"broker": product, "pika": version("pika")}
    for block in blocks:
        recordings.write(folder, block.file_name, recorded_with, runs[block.file_name], block)
    recordings.write(folder, recordings.CROSS, recorded_with, runs[recordings.CROSS])
    failed = sum("failed" in seen for each in runs.values() for seen in each.values())
    print(f"compat documents: {len(blocks)} blocks recorded with {product}, {failed} runs failed")
    return failed
