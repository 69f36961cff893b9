"""W9: a backlog goes in, the broker is killed and started, the backlog comes out. Needs a broker of its own."""

import time

from brokers import Broken
from comparison.figures import MIB_PER_MB, Figure, at_least, at_most
from comparison.generator import joined

START_PATIENCE_SECONDS = 300
MOST_RESIDENT_MIB = 100 * MIB_PER_MB

# Goals are for a million messages of 1 KiB.
FIGURES = (
    Figure("fill_per_second", "fill, messages/s", at_least(300_000)),
    Figure("fill_cpu_seconds_per_million", "server CPU while filling, s/M"),
    Figure("fill_confirm_p50_ms", "confirm p50, ms"),
    Figure("fill_rss_peak_mib", "peak RSS while filling, MiB (100 MB = 95.4 MiB)", at_most(MOST_RESIDENT_MIB)),
    Figure("fill_file_bytes_per_payload", "written to files per byte of body, filling"),
    Figure("fill_device_bytes_per_payload", "... to the device, by everybody"),
    Figure("fill_disk_mib", "disk when full, MiB"),
    Figure("answer_seconds", "exec to open connection after kill -9, s", at_most(0.2)),
    Figure("first_delivery_seconds", "exec to first delivery, s"),
    Figure("drain_per_second", "drain, messages/s", at_least(700_000)),
    Figure("drain_cpu_seconds_per_million", "server CPU while draining, s/M"),
    Figure("drain_rss_peak_mib", "peak RSS while draining, MiB", at_most(MOST_RESIDENT_MIB)),
)


def measure(generator, broker, messages):
    """Fill, kill, start, drain. The drain begins before the broker does, so that it sees the first answer."""
    count = ("--messages", messages)
    fill = generator.step(broker, "fill", *count)
    broker.kill()
    pid_file = broker.directory / "pid"
    pid_file.unlink(missing_ok=True)
    draining = generator.start(broker, "--step", "drain", "--await", "--pid-file", pid_file,
                               "--data-dir", broker.data_directory(), *count, pid=False)
    try:
        started = broker.launch()
        pid_file.write_text(str(wait_for_pid(broker)))
    except BaseException:
        # Ours by its handle; it would wait for the broker for minutes.
        draining.kill()
        draining.communicate()
        raise
    drain = generator.finish(draining)
    run = joined({"fill_": without(fill, "published_"), "drain_": without(drain, "received_")})
    figures = run["figures"]
    figures["answer_seconds"] = figures.pop("drain_answered_at_s") - started
    figures["first_delivery_seconds"] = figures.pop("drain_first_delivery_at_s") - started
    return {**run, "verdict": {"fill": fill["verdict"], "drain": drain["verdict"]}}


def without(run, prefix):
    """The same run, its figures' names without `prefix`."""
    return {**run, "figures": {key.removeprefix(prefix): value for key, value in run["figures"].items()}}


def wait_for_pid(broker):
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    while True:
        try:
            broker.pid = broker.server_pid()
            return broker.pid
        except Broken:
            if time.monotonic() > deadline or broker.process.poll() is not None:
                raise
            time.sleep(0.005)
