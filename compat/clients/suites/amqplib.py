"""amqplib, the client of Node programs; 0.10.9 is the last version on npm that has its tests with it."""

import tempfile
from pathlib import Path

from clients import process, reports
from clients.control import environment
from clients.install import PINS
from clients.substitution import PORT, substitute
from clients.suite import Suite


class Amqplib(Suite):
    """All its tests, as its Makefile runs them; about a quarter speak to a broker, the others to codecs and mocks."""

    name = "amqplib"
    version = "0.10.9"
    licence = "MIT"
    language = "JavaScript"
    source = "npm"
    tier = 1
    deadline = 90.0

    def install(self, home):
        modules = home.npm(PINS / "amqplib.package.json", PINS / "amqplib.package-lock.json")
        # Three tests of test/connect.js speak to the default port.
        substitute(modules / "amqplib" / "lib" / "connect.js", "? 5672 :", f"? +process.env.{PORT} :", times=2)

    def run(self, home, broker):
        folder = home.folder / "node_modules" / "amqplib"
        with tempfile.TemporaryDirectory(prefix="compat-report-") as reported:
            report = Path(reported) / "mocha.json"
            words = ["node", "../mocha/bin/mocha", "--check-leaks", "-u", "tdd", "--exit",
                     "--reporter", "json", "--reporter-option", f"output={report}", "test/"]
            env = environment(broker, URL=f"amqp://{broker.host}:{broker.port}", **{PORT: broker.port})
            ended = process.run(words, self.deadline, cwd=folder, env=env)
            return reports.mocha(reports.written(report, ended))
