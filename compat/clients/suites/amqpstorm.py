"""AMQPStorm's functional tests, but for those about RabbitMQ's HTTP API and TLS.

After each test they delete its queues and exchanges over that API. So a stand-in answers these deletions, and nothing
else, by deleting over AMQP, alike for every broker.
"""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from clients import process, reports
from clients.control import environment
from clients.install import PINS
from clients.suite import Suite

TESTS = "amqpstorm/tests/functional"
FIXED_PORT = "Connection(HOST, USERNAME, PASSWORD, **kwargs)"
GIVEN_PORT = "Connection(HOST, USERNAME, PASSWORD, port=int(__import__('os').environ['AMQP_PORT']), **kwargs)"


class AmqpStorm(Suite):
    name = "amqpstorm"
    version = "3.1.4"
    licence = "MIT"
    language = "Python"
    source = "PyPI"
    tier = 2
    deadline = 300.0

    def install(self, home):
        home.python_environment(PINS / "amqpstorm.txt")
        source = home.pypi_source("amqpstorm", self.version).rename(home.folder / "source")
        utility = source / TESTS / "utility.py"
        text = utility.read_text(encoding="utf-8")
        if FIXED_PORT not in text:
            raise ValueError(f"{utility} does not have {FIXED_PORT}")
        utility.write_text(text.replace(FIXED_PORT, GIVEN_PORT), encoding="utf-8")

    def run(self, home, broker):
        report = home.folder / "report.xml"
        report.unlink(missing_ok=True)
        with deletions(broker) as http:
            ended = process.run(
                [home.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "60",
                 "--junitxml", report, TESTS, *(f"--ignore={TESTS}/{part}" for part in (
                     "management", "ssl", "test_web_based.py"))],
                self.deadline, cwd=home.folder / "source",
                env=environment(broker, AMQP_HOST=broker.host, AMQP_PORT=broker.port, AMQP_USERNAME="guest",
                                AMQP_PASSWORD="guest", AMQP_HTTP_URL=http,
                                AMQP_URI=f"amqp://guest:guest@{broker.host}:{broker.port}/%2F"))
        return reports.junit_of(report, ended)


@contextmanager
def deletions(broker):
    """Serves DELETE /api/queues/VHOST/NAME and /api/exchanges/VHOST/NAME; gives the service's URL."""

    class Deletion(BaseHTTPRequestHandler):
        def do_DELETE(self):
            kind, _, name = self.path.removeprefix("/api/").split("/")
            with broker.connect() as connection:
                channel = connection.channel()
                delete = {"queues": channel.queue_delete, "exchanges": channel.exchange_delete}[kind]
                delete(unquote(name))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """What fails is seen in the test."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Deletion) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
