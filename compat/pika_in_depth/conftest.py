"""Fixtures, a deadline for every test, and what a version of pika cannot express."""

import itertools
import signal
import threading

import pika
import pytest

import broker
import dialect
from loops import ADAPTERS, Client

DEADLINE = 120
_numbers = itertools.count(1)
_not_expressible = []


def pytest_configure(config):
    config.addinivalue_line("markers", "since(version, what): earlier versions of pika lack `what`")


def pytest_collection_modifyitems(config, items):
    """Takes out what this version cannot express, and keeps it to be listed."""
    for item in items:
        for mark in item.iter_markers("since"):
            if dialect.VERSION < tuple(int(part) for part in mark.args[0].split(".")):
                _not_expressible.append((item, mark))
    left_out = {item for item, _ in _not_expressible}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


def pytest_terminal_summary(terminalreporter):
    for item, mark in _not_expressible:
        terminalreporter.write_line(
            f"pika {pika.__version__} cannot express {item.location[0]}::{item.name}: "
            f"{mark.args[1]} came with {mark.args[0]}")


@pytest.fixture(autouse=True)
def deadline():
    """Nothing waits for ever, whatever the broker does."""
    def overdue(*_):
        raise AssertionError(f"not done within {DEADLINE} s")
    before = signal.signal(signal.SIGALRM, overdue)
    signal.alarm(DEADLINE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def connection():
    with_us = broker.connect()
    yield with_us
    if with_us.is_open:
        with_us.close()


@pytest.fixture
def channel(connection):
    return connection.channel()


@pytest.fixture
def other():
    """A channel on a second connection."""
    with_us = broker.connect()
    yield with_us.channel()
    if with_us.is_open:
        with_us.close()


@pytest.fixture
def name():
    """A name for a queue or an exchange that nobody else has; what has it at the end is deleted."""
    chosen = f"in-depth.{next(_numbers)}"
    yield chosen
    with_us = broker.connect()
    with_us.channel().queue_delete(chosen)
    with_us.channel().exchange_delete(chosen)
    with_us.close()


@pytest.fixture
def queue(channel, name):
    """A new queue."""
    channel.queue_declare(name)
    return name


@pytest.fixture(params=sorted(ADAPTERS))
def client(request):
    """Plays a story on SelectConnection and on AsyncioConnection."""
    return Client(request.param)


@pytest.fixture
def in_background():
    """Runs a function on a thread that is joined at the end, where its failure is the test's."""
    threads, failures = [], []

    def start(work, *arguments):
        def attempt():
            try:
                work(*arguments)
            except BaseException as failure:  # raised below, in the test's own thread
                failures.append(failure)
        threads.append(threading.Thread(target=attempt, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive(), "a thread of the test did not end"
    for failure in failures:
        raise failure
