"""pika in depth: our own tests of what programs rely on, on a version of pika each."""

import sys
from pathlib import Path

from clients.control import environment
from clients.pytest_suite import played
from clients.suite import Suite

TESTS = Path(__file__).resolve().parents[2] / "pika_in_depth"
#: The newest patch of each minor, newest minor first.
NEWEST, *OLDER = "1.4.4", "1.3.2", "1.2.1", "1.1.0", "1.0.1", "0.13.1"


class PikaInDepth(Suite):
    """The tests of `compat/pika_in_depth` on one version of pika.

    What a version cannot express is not collected; `pika_in_depth/README.md` lists it.
    """

    licence = "BSD-3-Clause"
    language = "Python"
    source = "PyPI"
    deadline = 240.0

    def __init__(self, version):
        self.name = f"pika-{version}"
        self.version = version
        self.tier = 1 if version == NEWEST else 2

    def install(self, home):
        home.pip("install", "--no-compile", "--no-deps", "--target", home.folder / "lib", f"pika=={self.version}",
                 "pytest==9.1.1", "iniconfig==2.3.1", "packaging==26.3", "pluggy==1.7.0", "Pygments==2.21.0")

    def run(self, home, broker):
        env = environment(broker, PYTHONPATH=home.folder / "lib", PYTHONDONTWRITEBYTECODE=1)
        return played(sys.executable, ["--tb=short", "."], self.deadline, TESTS, env)


SUITES = [PikaInDepth(version) for version in (NEWEST, *OLDER)]
