"""Celery's integration tests, with a worker, and results over the broker too."""

from clients import pytests
from clients.install import PINS
from clients.suite import Suite

TESTS = "t/integration"
#: Those that talk to nothing but a broker.
FILES = ("tasks", "canvas", "inspect", "worker", "beat", "serialization")


class Celery(Suite):
    name = "celery"
    version = "5.7.0"
    licence = "BSD-3-Clause"
    language = "Python"
    source = "PyPI"
    tier = 2
    deadline = 900.0

    def install(self, home):
        home.python_environment(PINS / "celery.txt")
        home.pypi_source(self.name, self.version).rename(home.folder / "source")

    def run(self, home, broker):
        """Without its reruns of what failed, and no test longer than 30 s (it gives itself up to 300)."""
        url = f"amqp://guest:guest@{broker.host}:{broker.port}//"
        return pytests.run(self, home, broker, "-p", "bounded", "-p", "no:rerunfailures",
                           *(f"{TESTS}/test_{file}.py" for file in FILES),
                           TEST_BROKER=url, TEST_BACKEND="rpc", TEST_DEADLINE=30)
