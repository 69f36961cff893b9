"""Suites of Rust crates: compiled once, with the versions of their own lock files."""

import re

from clients import process, reports
from clients.control import environment
from clients.suite import Suite, SuiteFailed

COMPILE_JOBS = "-j2"
_BINARY = re.compile(r"^ +Running (?:unittests )?(\S+) \(.*\)\n", re.MULTILINE)
PORT = 'std::env::var("AMQP_PORT").unwrap().parse().unwrap()'


class Crate(Suite):
    """A crate's tests, but those in its documentation."""

    language = "Rust"
    source = "crates.io"
    tier = 2
    deadline = 400.0
    licence = "MIT"

    def install(self, home):
        self.adapt(home.crate(self.name, self.version))
        home.command("cargo", "test", "--locked", COMPILE_JOBS, "--tests", "--no-run", cwd=home.folder / "source",
                     CARGO_TARGET_DIR=str(home.folder / "built"))

    def adapt(self, source):
        """Tells the suite where the broker is, if it cannot be told when it runs."""

    def run(self, home, broker):
        url = f"amqp://guest:guest@{broker.host}:{broker.port}/%2f"
        ended = process.run(
            ["cargo", "test", "--locked", "--offline", "--tests", "--no-fail-fast"], self.deadline,
            cwd=home.folder / "source",
            env=environment(broker, CARGO_TARGET_DIR=home.folder / "built", AMQP_ADDR=url, AMQP_PORT=broker.port))
        return outcomes_by_file(ended.output)


def outcomes_by_file(text):
    """What came of each test, its name behind that of the file that its binary was made from."""
    _, *parts = _BINARY.split(text)
    outcomes = {}
    for file, printed in zip(parts[::2], parts[1::2]):
        outcomes.update(reports.cargo(printed, prefix=f"{file}::"))
    if not outcomes:
        raise SuiteFailed(f"cargo ran no test:\n{text[-3000:]}")
    return outcomes


class Lapin(Crate):
    name = "lapin"
    version = "4.12.3"
    unstable = {"tests/ack_after_close.rs::*acks_*": "the broker's close must cut into thousands of "
                                                     "acknowledgements, and sometimes comes after them"}


class Amqprs(Crate):
    """It has port 5672 and a user of its own as literals: they become AMQP_PORT and guest, and nothing else changes."""

    name = "amqprs"
    version = "2.1.5"
    LITERALS = {
        '"localhost", 5672, "user", "bitnami"': f'"localhost", {PORT}, "guest", "guest"',
        '"localhost:5672"': '&format!("localhost:{}", std::env::var("AMQP_PORT").unwrap())',
        'assert_eq!(args.get_port(), 5672)': f'assert_eq!(args.get_port(), {PORT})',
        "port: DEFAULT_AMQP_PORT": f"port: {PORT}",
        '("user", "bitnami")': '("guest", "guest")',
        'with_user_id("user")': 'with_user_id("guest")',
    }

    def adapt(self, source):
        for path in [*source.glob("src/**/*.rs"), *source.glob("tests/**/*.rs")]:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(map(self._adapted, lines)), encoding="utf-8")

    def _adapted(self, line):
        if line.lstrip().startswith("//"):
            return line
        for literal, ours in self.LITERALS.items():
            line = line.replace(literal, ours)
        return line
