"""The rows of the table: what is measured, on what kind of broker, and the goals beside it.

A row measures one broker for one round. Rows that are `fresh` get a broker of their own each time; the others take
turns on two brokers that live as long as the table takes.
"""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from brokers import ROOT, Broken, Leveret
from comparison import backlogs
from comparison.figures import MIB_PER_MB, Figure, at_most, times
from comparison.generator import PATIENCE_SECONDS, joined

IDLE_CONNECTIONS = 1000
DECLARED_QUEUES = 10_000
MANY_BINDINGS = 10_000


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long and how often is measured."""

    rounds: int
    scaling_rounds: int
    seconds: float
    scaling_seconds: float
    backlog: int
    largest_backlog: int


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: `measure(generator, broker, plan)` is one run of it."""

    name: str
    what: str
    figures: tuple
    measure: Callable
    fresh: bool = False
    # Whether it says anything about a broker other than Leveret.
    both: bool = True


def workload(name):
    def measure(generator, broker, plan):
        return generator.workload(broker, name, "--seconds", plan.seconds)
    return measure


def with_half_rate(name):
    """A run as fast as it goes, then one at half of what that received, for the latency it leaves."""
    def measure(generator, broker, plan):
        whole = generator.workload(broker, name, "--seconds", plan.seconds)
        rate = max(1, int(whole["figures"]["received_per_second"] / 2))
        half = generator.workload(broker, name, "--seconds", plan.seconds, "--rate", rate)
        return joined({"": whole, "half_": half})
    return measure


def topic_bindings(generator, broker, plan):
    """W8, and Leveret once more with ten times the bindings; RabbitMQ's are among the scaling figures."""
    run = generator.workload(broker, "W8", "--seconds", plan.seconds)
    if broker.name != Leveret.name:
        return run
    many = generator.workload(broker, "W8", "--seconds", plan.seconds, "--bindings", MANY_BINDINGS)
    run = joined({"": run, "many_": many})
    figures = run["figures"]
    figures["many_bindings_slowdown"] = figures["received_per_second"] / figures["many_received_per_second"]
    return run


def idle_connections(generator, broker, _plan):
    return generator.step(broker, "connections", "--connections", IDLE_CONNECTIONS)


def declared_queues(generator, broker, _plan):
    return generator.step(broker, "declares", "--queues", DECLARED_QUEUES)


def pika_rates(generator, broker, plan):
    """What `pika_rate.py` prints; it makes its own virtual environment."""
    words = ["benches/pika_rate.py", "--port", str(broker.port), "--seconds", str(plan.seconds / 2)]
    generator.remember(*words, broker=broker)
    try:
        finished = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True,
                                  timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Broken(f"not finished after {PATIENCE_SECONDS} s") from error
    if finished.returncode not in (0, 1):
        raise Broken(" ".join(finished.stderr.split()))
    return {"figures": json.loads(finished.stdout), "clean": finished.returncode == 0}


def at_rest(_generator, broker, _plan):
    """Just started and left alone for some seconds: RabbitMQ does this and that after its start."""
    time.sleep(2)
    return {"figures": {"resident_mib": broker.resident_mib(), "start_ms": broker.start_seconds * 1000},
            "clean": True}


def binary_size(_generator, broker, _plan):
    """The executable without symbols and debug lines, as a package would ship it, and as cargo leaves it."""
    if not shutil.which("strip"):
        raise Broken("there is no strip to take the symbols off (apt-get install binutils)")
    with tempfile.TemporaryDirectory(prefix="compare-") as directory:
        stripped = pathlib.Path(directory) / "leveret"
        subprocess.run(["strip", "-o", stripped, broker.binary], check=True)
        sizes = {"stripped_mb": stripped.stat().st_size / 1e6, "built_mb": broker.binary.stat().st_size / 1e6}
    return {"figures": sizes, "clean": True}


def received(goal, what="received, messages/s"):
    return Figure("received_per_second", what, times(goal))


def cpu(goal=None):
    return Figure("server_cpu_seconds_per_million", "server CPU, s/M", goal and at_most(goal))


PEAK = Figure("server_peak_rss_mib", "peak RSS, MiB")
AT_HALF_RATE = (
    Figure("half_received_per_second", "received at half that rate, messages/s"),
    Figure("half_delivery_p50_ms", "delivery p50 at half that rate, ms"),
    Figure("half_delivery_p99_ms", "delivery p99 at half that rate, ms", at_most(2)),
)


def confirms(goal=None):
    return (Figure("confirm_p50_ms", "confirm p50, ms", goal and at_most(goal)),
            Figure("confirm_p99_ms", "confirm p99, ms"))


def percentiles(of, p50=None, p99=None):
    """The latencies of an open loop, from the moment a message was meant to be sent."""
    goals = {"p50": p50 and at_most(p50), "p99": p99 and at_most(p99)}
    return tuple(Figure(f"{of}_{name}_ms", f"{of} {title}, ms", goals.get(name))
                 for name, title in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max")))


ROWS = (
    Row("W1", "16 B, transient, auto-ack, 1 producer, 1 consumer",
        (received(25), cpu(0.25), PEAK, *AT_HALF_RATE), with_half_rate("W1")),
    Row("W2", "1 KiB, transient, auto-ack", (received(7.5), cpu(1.1), PEAK, *AT_HALF_RATE), with_half_rate("W2")),
    Row("W3", "100 KiB, transient, auto-ack", (received(1.35), cpu(48), PEAK), workload("W3")),
    Row("W4", "1 KiB, persistent, confirm window 1000, prefetch 1000, ack every 100",
        (received(18), cpu(2.0), *confirms(2.5), PEAK, *AT_HALF_RATE), with_half_rate("W4")),
    Row("W5", "W4 with confirm window 1", (received(1.8), cpu(90), *confirms()), workload("W5")),
    Row("W6", "W4 with 2 producers, 2 consumers, 2 queues", (received(14), cpu(), *confirms()), workload("W6")),
    Row("W7", "fan-out 1 -> 10 queues, 100 B, auto-ack", (received(30), cpu()), workload("W7")),
    Row("W8", "topic exchange, 1,000 bindings, 100 B", (
        received(40), cpu(),
        Figure("many_received_per_second", f"received with {MANY_BINDINGS:,} bindings, messages/s"),
        Figure("many_bindings_slowdown", f"times slower with {MANY_BINDINGS:,} bindings", at_most(1.2)),
    ), topic_bindings),
    Row("W9", "backlog of 1,000,000 x 1 KiB, persistent: fill, kill -9, start, drain", backlogs.FIGURES,
        lambda generator, broker, plan: backlogs.measure(generator, broker, plan.backlog), fresh=True),
    Row("W10 connections", f"{IDLE_CONNECTIONS:,} idle connections", (
        Figure("rss_per_connection_bytes", "RSS a connection, bytes", at_most(20 * 1024)),
        Figure("open_seconds", "opening them, s"),
    ), idle_connections, fresh=True),
    Row("W10 queues", f"{DECLARED_QUEUES:,} durable queues", (
        Figure("declare_seconds", "declaring them, s", at_most(2)),
        Figure("rss_per_queue_bytes", "RSS a queue, bytes", at_most(2048)),
    ), declared_queues, fresh=True),
    Row("W11T", "latency at 5,000/s, 100 B, transient, auto-ack", percentiles("delivery", 0.08, 1.0), workload("W11T")),
    Row("W11P", "latency at 2,000/s, 1 KiB, persistent, confirms, acks one by one", (
        *percentiles("confirm", 0.35),
        Figure("delivery_p50_ms", "delivery p50, ms"),
        Figure("delivery_p99_ms", "delivery p99, ms"),
    ), workload("W11P")),
    Row("W12", "churn: connect, channel, declare, publish, get, close", (
        received(10, "cycles/s"),
        Figure("cycle_p50_ms", "a cycle, p50, ms"),
        Figure("cycle_p99_ms", "a cycle, p99, ms"),
    ), workload("W12")),
    Row("W13", "pika BlockingConnection, 1 KiB", (
        Figure("publish_per_second", "publish, messages/s", times(1)),
        Figure("confirmed_per_second", "persistent, each confirmed, messages/s", times(1)),
    ), pika_rates),
    Row("W14", "W4 on a queue declared as quorum queue", (received(18), cpu(2.0), *confirms(2.5)), workload("W14")),
    Row("W15", "W11T on one pair of connections while another does W2", (
        *percentiles("delivery"),
        Figure("beside_received_per_second", "received by the pair that does W2, messages/s"),
    ), workload("W15")),
    Row("idle", "a broker that was just started on an empty directory", (
        Figure("resident_mib", "RSS, MiB (12 MB = 11.4 MiB)", at_most(12 * MIB_PER_MB)),
        Figure("start_ms", "exec to first AMQP answer, ms", at_most(20)),
    ), at_rest, fresh=True),
    Row("binary", "the executable", (
        Figure("stripped_mb", "without symbols and debug lines (strip), MB", at_most(15)),
        Figure("built_mb", "as cargo build --release leaves it, MB"),
    ), binary_size, both=False),
)
