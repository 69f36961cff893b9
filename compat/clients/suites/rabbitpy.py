"""rabbitpy, a thread-safe client."""

from clients.pytest_suite import PytestSuite


class Rabbitpy(PytestSuite):
    """Its integration tests; the others have no broker, but mocks."""

    name = "rabbitpy"
    version = "3.0.2"
    licence = "BSD-3-Clause"
    tier = 1
    deadline = 90.0
    tests = ("tests/test_integration.py", "tests/integration")

    def address(self, broker):
        return {"RABBITMQ_URL": f"amqp://guest:guest@{broker.host}:{broker.port}/%2f"}
