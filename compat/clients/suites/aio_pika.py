"""aio-pika: asyncio, with connections that restore themselves."""

from clients import pytests
from clients.docker_stand_in import docker_for
from clients.install import PINS
from clients.suite import Suite


class AioPika(Suite):
    name = "aio-pika"
    version = "10.2.1"
    licence = "Apache-2.0"
    language = "Python"
    source = "PyPI"
    tier = 2
    deadline = 1200.0

    def install(self, home):
        home.python_environment(PINS / "aio-pika.txt")
        home.pypi_source(self.name, self.version).rename(home.folder / "source")

    def run(self, home, broker):
        """Everything but what needs TLS, and what has no broker in it."""
        without_broker = [f"--ignore=tests/test_{name}.py" for name in ("pool", "tools", "types", "amqps")]
        with docker_for(broker) as docker:
            return pytests.run(self, home, broker, "--timeout", "60", "tests", *without_broker, "-k", "not amqps",
                               DOCKER_HOST=docker)
