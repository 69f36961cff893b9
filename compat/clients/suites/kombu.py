"""kombu, the messaging library of Celery, over its py-amqp transport."""

from clients.pytest_suite import PytestSuite


class Kombu(PytestSuite):
    """Spends most of its time in sleeps: it waits for messages to expire, and for connections to be refused."""

    name = "kombu"
    version = "5.7.0"
    licence = "BSD-3-Clause"
    tier = 1
    deadline = 150.0
    tests = ("t/integration/test_py_amqp.py",)

    def address(self, broker):
        return {"RABBITMQ_HOST": broker.host, "RABBITMQ_5672_TCP": broker.port}
