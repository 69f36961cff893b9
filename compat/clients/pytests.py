"""Running a suite that is pytest's, with what most of them need."""

from clients import process, reports
from clients.control import environment
from clients.install import COMPAT

PLUGINS = COMPAT / "clients" / "plugins"


def run(suite, home, broker, *words, **variables):
    """Runs `python -m pytest WORDS` in the suite's `source`; gives what came of each test.

    Plugins of ours, in `plugins/`, can be named with -p.
    """
    report = home.folder / "report.xml"
    report.unlink(missing_ok=True)
    paths = f"{home.venv / 'bin'}:{environment(broker)['PATH']}"
    ended = process.run(
        [home.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", report, *words],
        suite.deadline, cwd=home.folder / "source",
        env=environment(broker, AMQP_PORT=broker.port, PYTHONPATH=PLUGINS, PATH=paths, **variables))
    return reports.junit_of(report, ended)
