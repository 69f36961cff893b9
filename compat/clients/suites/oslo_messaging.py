"""oslo.messaging: what OpenStack's services call each other with, over kombu and eventlet."""

from clients.pytest_suite import PytestSuite

TESTS = "oslo_messaging/tests/functional"


class OsloMessaging(PytestSuite):
    """Its functional tests but test_rabbitmq.py, which starts three RabbitMQ nodes of its own."""

    name = "oslo-messaging"
    package = "oslo.messaging"
    version = "18.3.1"
    licence = "Apache-2.0"
    tier = 2
    deadline = 400.0
    test_deadline = 60
    tests = (f"{TESTS}/test_functional.py", f"{TESTS}/notify")

    def address(self, broker):
        url = f"rabbit://guest:guest@{broker.host}:{broker.port}/"
        return {"RPC_TRANSPORT_URL": url, "NOTIFY_TRANSPORT_URL": url, "TRANSPORT_DRIVER": "rabbit"}
