"""oslo.messaging: what OpenStack's services call each other with, over kombu and eventlet."""

from clients import process, reports
from clients.control import environment
from clients.install import PINS
from clients.suite import Suite

TESTS = "oslo_messaging/tests/functional"


class OsloMessaging(Suite):
    name = "oslo-messaging"
    version = "18.3.1"
    licence = "Apache-2.0"
    language = "Python"
    source = "PyPI"
    tier = 2
    deadline = 400.0

    def install(self, home):
        home.python_environment(PINS / "oslo-messaging.txt")
        home.pypi_source("oslo.messaging", self.version).rename(home.folder / "source")

    def run(self, home, broker):
        """Its functional tests but test_rabbitmq.py, which starts three RabbitMQ nodes of its own."""
        report = home.folder / "report.xml"
        report.unlink(missing_ok=True)
        source = home.folder / "source"
        url = f"rabbit://guest:guest@{broker.host}:{broker.port}/"
        ended = process.run(
            [home.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "60", "--junitxml", report,
             f"{TESTS}/test_functional.py", f"{TESTS}/notify"], self.deadline, cwd=source,
            env=environment(broker, RPC_TRANSPORT_URL=url, NOTIFY_TRANSPORT_URL=url, TRANSPORT_DRIVER="rabbit"))
        return reports.junit_of(report, ended)
