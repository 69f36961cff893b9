"""What a suite is: somebody else's tests, how to get them, how to run them, what came of each."""

from dataclasses import dataclass
from fnmatch import fnmatch

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class SuiteFailed(Exception):
    """A suite could not be installed, or ended without saying what came of its tests."""


@dataclass(frozen=True)
class Outcome:
    """What came of one test."""

    verdict: str
    detail: str = ""

    def __post_init__(self):
        if self.verdict not in (PASSED, FAILED, SKIPPED):
            raise ValueError(f"no verdict: {self.verdict}")


class Suite:
    """A client library's own tests, of one version.

    `install` puts everything below `home.folder`, pinned; it is called again only if it, the version or the pins
    change. `run` gives what came of each test by its name, which must be the same in every run. A suite sees nothing
    of the broker but its address, guest's password, and the control socket.
    """

    name = ""
    version = ""
    licence = ""
    language = ""
    source = ""
    #: 1 is a part of `cargo test`, 2 of `compat/run --all`.
    tier = 2
    #: Seconds for one run; whatever has not been reported by then has failed.
    deadline = 300.0
    #: Patterns of tests that say nothing about a broker, with the reason.
    left_out = {}
    #: Patterns of tests that must fail or be skipped here although RabbitMQ passes them, with the reason.
    explained = {}
    #: Patterns of tests that RabbitMQ itself does not always pass, with the reason.
    unstable = {}

    def install(self, home):
        raise NotImplementedError

    def run(self, home, broker):
        raise NotImplementedError

    def title(self):
        return self.name if self.name.endswith(self.version) else f"{self.name} {self.version}"

    def unstable_reason(self, test):
        return reason_for(test, self.unstable)


def reason_for(test, patterns):
    """Why `test` is in a table of patterns; None if it is not."""
    return next((reason for pattern, reason in patterns.items() if fnmatch(test, pattern)), None)
