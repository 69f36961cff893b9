"""A memory alarm on demand.

RabbitMQ is told to raise it (`rabbitmqctl set_vm_memory_high_watermark`). Leveret is told when it is started how much
memory it may use: `little` restarts it so that one percent is too much, and then somebody takes that (`hog.py`).
"""

import os
import selectors
import subprocess
import sys

from harness.broker import RabbitMq

DEADLINE = 30.0
#: One percent of the machine's memory, and whatever is published stays there.
LITTLE_MEMORY = {"LEVERET_MEMORY_HIGH_WATERMARK": "1", "LEVERET_TRANSIENT_BYTES": str(1 << 40)}
#: RabbitMQ's own default.
USUAL_WATERMARK = "0.4"


class Alarms:
    """The memory alarm of one broker that was started here."""

    def __init__(self, broker):
        self.broker = broker
        self._hog = None

    def little_memory(self):
        self._restart_with(LITTLE_MEMORY)

    def usual_memory(self):
        self._restart_with({})

    def _restart_with(self, settings):
        """RabbitMQ needs no restart."""
        if not isinstance(self.broker, RabbitMq):
            self.broker.settings = settings
            self.broker.shut_down()
            self.broker.start()

    def on(self):
        """Publishers are blocked when this returns."""
        if isinstance(self.broker, RabbitMq):
            self.broker.rabbitmqctl("set_vm_memory_high_watermark", "0")
        elif self.broker.settings != LITTLE_MEMORY:
            raise RuntimeError("ask for `memory little` first")
        else:
            self._take_memory()

    def off(self):
        """Ends what raises the alarm; the broker sees it in its own time."""
        if isinstance(self.broker, RabbitMq):
            self.broker.rabbitmqctl("set_vm_memory_high_watermark", USUAL_WATERMARK)
        self.close()

    def close(self):
        if self._hog:
            self._hog.kill()
            self._hog.wait()
            self._hog = None

    def _take_memory(self):
        words = [sys.executable, "-m", "clients.hog", self.broker.host, str(self.broker.port)]
        self._hog = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                     env=dict(os.environ))
        with selectors.DefaultSelector() as selector:
            selector.register(self._hog.stdout, selectors.EVENT_READ)
            if not selector.select(DEADLINE) or self._hog.stdout.readline() != "blocked\n":
                self.close()
                raise RuntimeError(f"no alarm within {DEADLINE:g} s")
