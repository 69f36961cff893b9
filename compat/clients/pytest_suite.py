"""Suites that pytest runs, from a source distribution on PyPI."""

import tempfile
from pathlib import Path

from clients import process, reports
from clients.control import environment
from clients.install import COMPAT, PINS
from clients.suite import Suite

#: Where plugins of ours are, for `-p`.
PLUGINS = COMPAT / "clients" / "plugins"


def played(python, words, deadline, folder, env):
    """What came of a run of pytest in a folder."""
    with tempfile.TemporaryDirectory(prefix="compat-report-") as reported:
        report = Path(reported) / "junit.xml"
        pytest = [python, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}"]
        ended = process.run([*pytest, *words], deadline, cwd=folder, env=env)
        return reports.junit(reports.written(report, ended))


class PytestSuite(Suite):
    """Tests in a source distribution, run by pytest with the library beside them.

    The library is imported from the source, so what is tested is what was unpacked. Its dependencies, and what it is
    built with, come from `pins/NAME.txt`; reruns of failed tests, which some suites ask for, are not installed.
    """

    language = "Python"
    source = "PyPI"
    #: The name on PyPI, if the suite has another one.
    package = ""
    #: What pytest is to run, in the source folder.
    tests = ()
    #: Seconds for one test: one that hangs must not take the names of the others with it.
    test_deadline = 30

    def install(self, home):
        home.python_environment(PINS / f"{self.name}.txt")
        unpacked = home.pypi_source(self.package or self.name, self.version, "--no-build-isolation")
        unpacked.rename(self.folder(home))

    def folder(self, home):
        return home.folder / "source"

    def address(self, broker):
        """The environment variables by which the suite learns where the broker is."""
        raise NotImplementedError

    def run(self, home, broker, **variables):
        folder = self.folder(home)
        env = environment(broker, PYTHONPATH=f"{folder}:{PLUGINS}", **self.address(broker), **variables)
        return played(home.python, [f"--timeout={self.test_deadline}", *self.tests], self.deadline, folder, env)
