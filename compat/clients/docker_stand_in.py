"""The few words of Docker's HTTP API with which aio-pika's tests start, restart and kill their broker.

Whatever container they create is the broker under test, less the one queue that a test leaves behind and that would
disturb the next, which expects a new broker. `kill` and `rabbitmqctl stop_app` reach it over the control
socket; a broker that was not started here has none, and the tests that ask for these fail.
"""

import json
import socket
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from clients.stand_in import serving

NOTHING_LISTENS = 1
LEFT_BEHIND = "recovery-worker"
VERBS = {"stop_app": "down", "start_app": "up"}


@contextmanager
def docker_for(broker):
    """Serves the API; gives what belongs in DOCKER_HOST."""

    class Request(_Request):
        pass

    Request.broker = broker
    with serving(Request) as port:
        yield f"tcp://127.0.0.1:{port}"


def ask(broker, verb):
    """Asks whoever started the broker for `verb`."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(broker.control)
        control.sendall(f"{verb}\n".encode())
        answer = control.makefile().readline().strip()
    if answer != "ok":
        raise RuntimeError(f"{verb}: {answer}")


class _Request(BaseHTTPRequestHandler):
    broker = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._say(self._post(self.path.partition("?")[0].split("/")[1:], json.loads(body) if body else {}))

    def do_GET(self):
        if self.path.startswith("/exec/"):
            return self._say({"Running": False, "ExitCode": 0})
        ports = {"5672/tcp": self.broker.port, "5671/tcp": NOTHING_LISTENS}
        return self._say({"NetworkSettings": {"Ports": {
            name: [{"HostPort": str(port)}] for name, port in ports.items()}}})

    def do_DELETE(self):
        self._say({})

    def _post(self, words, body):
        """`/containers/create`, `/containers/ID/exec` with a command (done at once), `/containers/ID/kill`."""
        if words[-1] == "exec":
            ask(self.broker, VERBS[body["Cmd"][1]])
        elif words[-1] == "kill":
            ask(self.broker, "kill")
        elif words[-1] == "create":
            with self.broker.connect() as connection:
                connection.channel().queue_delete(LEFT_BEHIND)
        return {"Id": "broker"}

    def _say(self, answer):
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """What fails is seen in the test."""
