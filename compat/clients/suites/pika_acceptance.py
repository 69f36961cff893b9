"""pika's own acceptance tests.

PyPI's source distributions of pika have no tests, in any version. Debian's source package has upstream's whole archive;
the one that can be had is that of Debian 13.
"""

from clients import process
from clients.control import environment
from clients.debian import upstream_source
from clients.install import PINS
from clients.pytest_suite import PytestSuite
from clients.reasons import UNKNOWN_EXCHANGE_TYPE
from clients.substitution import PORT, substitute
from clients.suite import FAILED, PASSED, Outcome

TOLD = f'int(__import__("os").environ["{PORT}"])'
#: Those of upstream's examples that end by themselves, and what they print; the others wait for Ctrl-C.
EXAMPLES = {"producer.py": "send ticker", "publish.py": "Sending text message",
            "direct_reply_to.py": "RPC Client got reply: b'Polo'"}
EXAMPLE_DEADLINE = 30.0
#: The examples connect to pika's default port.
ON_PORT = (f"import pika, runpy, sys; pika.connection.Parameters.DEFAULT_PORT = {TOLD}; "
           "runpy.run_path(sys.argv[1], run_name='__main__')")


class PikaAcceptance(PytestSuite):
    """BlockingConnection, and SelectConnection, asyncio, tornado and gevent in turn; and upstream's examples."""

    name = "pika-acceptance"
    version = "1.3.2"
    licence = "BSD-3-Clause"
    source = "Debian"
    deadline = 540.0
    sha256 = "5eb71b9a0047c77d99378e525a2041fc50aae4a177b060f9825b3e2fdcc96fc4"
    explained = {"*TestInvalidExchangeTypeRaisesConnectionClosed::test": UNKNOWN_EXCHANGE_TYPE}
    #: Beside these: Twisted's, which need nose, which no Python of today runs; two files without a broker.
    tests = ("tests/acceptance/blocking_adapter_test.py", "tests/acceptance/async_adapter_tests.py")

    def install(self, home):
        home.python_environment(PINS / f"{self.name}.txt")
        upstream_source(home, "python-pika", self.sha256, release="trixie").rename(self.folder(home))
        folder = self.folder(home) / "tests"
        substitute(folder / "acceptance" / "blocking_adapter_test.py", "{'port': 5672}", f"{{'port': {TOLD}}}")
        substitute(folder / "base" / "async_test_base.py", "port=5672", f"port={TOLD}")

    def address(self, broker):
        return {PORT: broker.port}

    def run(self, home, broker):
        outcomes = super().run(home, broker)
        outcomes.update({f"examples::{name}": self.example(home, broker, name) for name in EXAMPLES})
        return outcomes

    def example(self, home, broker, name):
        folder = self.folder(home)
        env = environment(broker, PYTHONPATH=folder, **self.address(broker))
        words = [home.python, "-c", ON_PORT, folder / "examples" / name]
        ended = process.run(words, EXAMPLE_DEADLINE, cwd=folder, env=env)
        went_well = ended.status == 0 and EXAMPLES[name] in ended.output
        return Outcome(PASSED if went_well else FAILED, ended.output)
