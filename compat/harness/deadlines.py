"""Waiting for things that must happen, never longer than a deadline."""

import threading
import time

POLL_INTERVAL = 0.05


class Overdue(AssertionError):
    """What was awaited did not happen in time."""


def poll(check, deadline):
    """Asks `check` until it gives something true; after `deadline` seconds gives its last answer."""
    end = time.monotonic() + deadline
    while True:
        answer = check()
        if answer or time.monotonic() >= end:
            return answer
        time.sleep(POLL_INTERVAL)


def eventually(what, check, deadline=10.0):
    """Like `poll`, but an answer that never becomes true is an error that says `what` was awaited."""
    answer = poll(check, deadline)
    if not answer:
        raise Overdue(f"{what}: not within {deadline:g} s")
    return answer


def settled(observe, quiet=0.4, deadline=10.0):
    """Observes until the observation has stayed the same for `quiet` seconds."""
    end = time.monotonic() + deadline
    seen, since = observe(), time.monotonic()
    while time.monotonic() - since < quiet and time.monotonic() < end:
        time.sleep(POLL_INTERVAL)
        now = observe()
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


def within(seconds, what, work):
    """Does `work` on a thread of its own, so that a broker that never answers cannot hang the run.

    The thread is left behind when time is up; it ends when the broker it talks to is stopped.
    """
    outcome = {}

    def attempt():
        try:
            outcome["result"] = work()
        except BaseException as error:  # handed to the waiting thread below
            outcome["error"] = error

    worker = threading.Thread(target=attempt, daemon=True, name=what)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        raise Overdue(f"{what}: still busy after {seconds:g} s")
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]
