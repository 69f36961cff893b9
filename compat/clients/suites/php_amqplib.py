"""php-amqplib, the client that is PHP throughout, with Debian's PHP."""

from clients import debian, process, reports
from clients.control import environment
from clients.pytest_suite import PLUGINS
from clients.suite import Suite

SHA256 = "d7b858c32a6347b30db9807d17889f636d6497168fb83076a149b662c38b9203"
SETTINGS = "error_reporting=E_ALL&~E_DEPRECATED&~E_USER_DEPRECATED"


class PhpAmqplib(Suite):
    """Its functional tests, but those for TLS and with a proxy. Needs php-cli, phpunit and php-phpseclib3."""

    name = "php-amqplib"
    version = "3.7.3"
    licence = "LGPL-2.1"
    language = "PHP"
    source = "Debian"
    tier = 2
    deadline = 300.0
    left_out = {"*SSLConnectionTest*": "needs a broker with a certificate of theirs",
                "*plain_auth_passwordless*": "makes its user over RabbitMQ's HTTP API"}

    def install(self, home):
        home.command("phpunit", "--version")
        debian.upstream_source(home, "php-amqplib", SHA256, "trixie").rename(home.folder / "source")

    def run(self, home, broker):
        report = home.folder / f"report-{broker.port}.xml"
        ended = process.run(
            ["phpunit", "--no-configuration", "--no-interaction", "--bootstrap", PLUGINS / "php_amqplib.php",
             "-d", SETTINGS, "--exclude-group", "proxy", "--log-junit", report, "tests/Functional"],
            self.deadline, cwd=home.folder / "source",
            env=environment(broker, TEST_RABBITMQ_HOST=broker.host, TEST_RABBITMQ_PORT=broker.port))
        return reports.junit(reports.written(report, ended))
