"""Where a run gets its broker from: a new process for each, or one that all share in turn."""

import threading
from contextlib import contextmanager


class FreshBrokers:
    """A new broker for every run, so that runs can go side by side."""

    def __init__(self, make):
        self._make = make

    @contextmanager
    def broker(self):
        with self._make() as broker:
            yield broker


class SharedBroker:
    """One broker, one run at a time; whoever uses it removes what it made."""

    def __init__(self, broker):
        self._broker = broker
        self._turn = threading.Lock()

    @contextmanager
    def broker(self):
        with self._turn:
            yield self._broker
