"""php-amqp, the extension for PHP over rabbitmq-c, with Debian's PHP."""

import re

from clients import debian, process, reports
from clients.control import environment
from clients.reasons import UNKNOWN_EXCHANGE_TYPE
from clients.suite import Suite

SHA256 = "dc5212b4785f59955118a219bbfbcedb7aa6ab2a91e8038a0ad1898f331c2f08"


class PhpAmqp(Suite):
    """Needs php-cli and php-amqp; the runner of tests comes from php8.2-dev, which need not be installed."""

    name = "php-amqp"
    version = "1.11.0"
    licence = "PHP-3.01"
    language = "PHP"
    source = "Debian"
    tier = 2
    deadline = 300.0
    explained = {"tests/amqpexchange_invalid_type.phpt*": UNKNOWN_EXCHANGE_TYPE}

    def install(self, home):
        home.command("php", "--ri", "amqp")
        debian.upstream_source(home, "php-amqp", SHA256).rename(home.folder / "source")
        root = home.debian_packages("php8.2-dev")
        next(root.glob("usr/lib/php/*/build/run-tests.php")).rename(home.folder / "run-tests.php")

    def run(self, home, broker):
        """The default port is an ini setting, so the tests find the broker as they are."""
        report = home.folder / f"report-{broker.port}.xml"
        ended = process.run(
            ["php", home.folder / "run-tests.php", "-q", "-n", "-d", "extension=amqp.so",
             "-d", f"amqp.port={broker.port}", "--set-timeout", "30", "tests"],
            self.deadline, cwd=home.folder / "source",
            env=environment(broker, NO_INTERACTION=1, TEST_PHP_EXECUTABLE="/usr/bin/php", TEST_PHP_JUNIT=report))
        return {re.sub(r" \(.*", "", test.removeprefix("php.tests::")): outcome
                for test, outcome in reports.junit(reports.written(report, ended)).items()}
