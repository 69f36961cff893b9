"""The load generator, `leveret bench`, run on one broker at a time."""

import json
import re
import shlex
import subprocess

from brokers import LEVERET_PORT, RABBITMQ_PORT, ROOT, Broken

# What the capitals in remembered commands stand for.
CAPITALS = (f"PORT, PID and DATA are the broker's port ({RABBITMQ_PORT} RabbitMQ, {LEVERET_PORT} Leveret), process and"
            " data directory, DIR is the directory around that, RATE half of what the run before received.")
BINARY = ROOT / "target/release/leveret"
# Longer than anything a run does; a broker that hangs must not hang the comparison.
PATIENCE_SECONDS = 900


class Generator:
    """Always the generator of this tree, whichever build of Leveret is measured."""

    def __init__(self):
        if not BINARY.exists():
            raise Broken(f"{BINARY} does not exist (cargo build --release)")
        self.used = {}

    def start(self, broker, *arguments, pid=True):
        """Starts a run and returns its process; `finish` waits for it."""
        words = ["bench", "--amqp", f"127.0.0.1:{broker.port}", "--json", *map(str, arguments)]
        if pid:
            words += ["--pid", str(broker.pid)]
        self.remember("target/release/leveret", *words, broker=broker)
        return subprocess.Popen([str(BINARY), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def remember(self, *words, broker):
        """Keeps a command as people may repeat it, with capitals for what differs from broker to broker."""
        stands_for = {str(broker.data_directory()): "DATA", str(broker.directory): "DIR", f":{broker.port}": ":PORT"}
        text = shlex.join(words)
        for value, name in stands_for.items():
            text = text.replace(value, name)
        text = re.sub(r"--(pid|rate|port) \d+", lambda option: f"--{option[1]} {option[1].upper()}", text)
        self.used[text] = None

    def take_used(self):
        """The commands since the last call, each once."""
        used, self.used = list(self.used), {}
        return used

    @staticmethod
    def finish(running):
        try:
            output, errors = running.communicate(timeout=PATIENCE_SECONDS)
        except BaseException as error:
            # Ours by its handle; it would go on for as long as the broker does nothing.
            running.kill()
            running.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Broken(f"not finished after {PATIENCE_SECONDS} s") from error
            raise
        if running.returncode not in (0, 1):
            raise Broken(" ".join(errors.split()))
        return {**json.loads(output), "clean": running.returncode == 0}

    def workload(self, broker, name, *arguments):
        """One run of a workload; every number it prints is a figure."""
        printed = self.finish(self.start(broker, "--workload", name, *arguments))
        return {"figures": {key: value for key, value in printed.items() if is_number(value)},
                "clean": printed["clean"]}

    def step(self, broker, name, *arguments):
        """One step, with the broker's disk looked at as well."""
        return self.finish(self.start(broker, "--step", name, "--data-dir", broker.data_directory(), *arguments))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def joined(runs_by_prefix):
    """Several runs as one, the figures of each under a prefix.

    >>> joined({"": {"figures": {"a": 1}, "clean": True}, "half_": {"figures": {"a": 2}, "clean": False}})
    {'figures': {'a': 1, 'half_a': 2}, 'clean': False}
    """
    figures = {prefix + key: value for prefix, run in runs_by_prefix.items() for key, value in run["figures"].items()}
    return {"figures": figures, "clean": all(run["clean"] for run in runs_by_prefix.values())}
