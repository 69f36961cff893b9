"""aiormq, the asyncio client below aio-pika."""

from clients import pytests
from clients.install import PINS
from clients.suite import Suite

SLOW_MACHINE = "it wants one of two outcomes of a race, and gets the other when the machine is busy"


class Aiormq(Suite):
    name = "aiormq"
    version = "7.2.4"
    licence = "Apache-2.0"
    language = "Python"
    source = "PyPI"
    tier = 2
    deadline = 560.0
    unstable = {"*test_closing_waiter_cancellation*": SLOW_MACHINE,
                "*test_connection_close_during_publish_drain*": SLOW_MACHINE}

    def install(self, home):
        home.python_environment(PINS / "aiormq.txt")
        home.pypi_source(self.name, self.version).rename(home.folder / "source")

    def run(self, home, broker):
        """Everything but what needs TLS: no broker here has a certificate of theirs."""
        tls = ("test_ssl_verification_fails_without_trusted_ca", "test_ssl_context")
        return pytests.run(self, home, broker, "-p", "broker_of_aiormq", "--timeout", "60", "tests", "-k", "not amqps",
                           *(f"--deselect=tests/test_connection.py::{test}" for test in tls))
