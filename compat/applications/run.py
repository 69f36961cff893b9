"""Plays applications on a broker, each on a fresh one, and compares what they print with what they should."""

import difflib
import time
import traceback

from applications.application import ApplicationFailed
from applications.catalogue import APPLICATIONS
from clients.control import control_of
from clients.install import Home
from clients.suite import SuiteFailed
from harness import results
from harness.broker import BrokerFailed

KIND = "applications"


def chosen(match=""):
    """The applications whose name has `match` in it."""
    return [application for application in APPLICATIONS if match in application.name]


def play(application, source):
    """The broker's name, the seconds it took, and what is wrong with it if anything is."""
    try:
        home = Home(KIND, application.name).installed(application, application.pin_files())
        with source.broker() as broker, control_of(broker) as broker.control:
            name = broker.name
            if application.restarts and not broker.can_restart:
                return name, 0.0, "it restarts its broker, and this one is not ours to restart"
            begun = time.monotonic()
            printed = application.play(home, broker)
            seconds = time.monotonic() - begun
    except (ApplicationFailed, SuiteFailed, BrokerFailed) as failure:
        return "", 0.0, str(failure)
    except Exception:  # a runner's own mistake is told like a failure, and stops no other application
        return "", 0.0, traceback.format_exc()
    return name, seconds, _difference(application.expected, printed)


def _difference(expected, printed):
    lines = difflib.unified_diff(expected.splitlines(), printed.splitlines(), "expected", "printed", lineterm="")
    return "\n".join(lines)


def play_all(applications, source, save=False):
    """Prints a line for each application; returns how many went wrong."""
    wrong = 0
    for application in applications:
        broker, seconds, problem = play(application, source)
        wrong += bool(problem)
        print(f"APPLICATION {application.name}: " + ("FAILED" if problem else f"ok, {seconds:.1f} s"), flush=True)
        for line in problem.splitlines():
            print(f"      {line}", flush=True)
        if save and not problem:
            _keep(application, broker, seconds)
    print(f"compat applications: {len(applications) - wrong} as expected, {wrong} not", flush=True)
    return wrong


def _keep(application, broker, seconds):
    """Keeps the time beside that on the other broker."""
    kept = results.read(KIND).get(application.name, {})
    results.keep(KIND, application.name, {**kept, broker: round(seconds, 1)})
