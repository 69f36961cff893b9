"""AMQPStorm's functional tests, but for those about RabbitMQ's HTTP API and TLS.

After each test they delete its queues and exchanges over that API. So a stand-in answers these deletions, and nothing
else, by deleting over AMQP, alike for every broker.
"""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

from clients.pytest_suite import PytestSuite
from clients.stand_in import serving
from clients.substitution import PORT, substitute

TESTS = "amqpstorm/tests/functional"
ELSEWHERE = ("management", "ssl", "test_web_based.py")


class AmqpStorm(PytestSuite):
    name = "amqpstorm"
    version = "3.1.4"
    licence = "MIT"
    tier = 2
    deadline = 300.0
    test_deadline = 60
    tests = (TESTS, *(f"--ignore={TESTS}/{part}" for part in ELSEWHERE))

    def install(self, home):
        super().install(home)
        substitute(self.folder(home) / TESTS / "utility.py", "Connection(HOST, USERNAME, PASSWORD, **kwargs)",
                   f"Connection(HOST, USERNAME, PASSWORD, int(__import__('os').environ['{PORT}']), **kwargs)")

    def address(self, broker):
        return {"AMQP_HOST": broker.host, PORT: broker.port, "AMQP_USERNAME": "guest", "AMQP_PASSWORD": "guest",
                "AMQP_URI": f"amqp://guest:guest@{broker.host}:{broker.port}/%2F"}

    def run(self, home, broker):
        with deletions(broker) as http:
            return super().run(home, broker, AMQP_HTTP_URL=http)


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

    with serving(Deletion) as port:
        yield f"http://127.0.0.1:{port}"
