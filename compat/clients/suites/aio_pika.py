"""aio-pika: asyncio, with connections that restore themselves."""

from clients.docker_stand_in import docker_for
from clients.pytest_suite import PytestSuite

ELSEWHERE = ("pool", "tools", "types", "amqps")


class AioPika(PytestSuite):
    """Everything but what needs TLS, and the files without a broker in them."""

    name = "aio-pika"
    version = "10.2.1"
    licence = "Apache-2.0"
    tier = 2
    deadline = 1200.0
    test_deadline = 60
    tests = ("tests", *(f"--ignore=tests/test_{name}.py" for name in ELSEWHERE), "-k", "not amqps")
    unstable = {
        "tests.test_memory_leak::*": "it counts objects that are left, and a busy machine leaves some",
        "tests.test_reconnect_channel_snapshot::*":
            "it opens channels while the client reconnects; 13 of 25 runs failed on RabbitMQ"}

    def address(self, broker):
        return {}

    def run(self, home, broker):
        with docker_for(broker) as docker:
            return super().run(home, broker, DOCKER_HOST=docker)
