"""The broker under test: one that is started here, or one that already runs.

Every kind answers to the same few words: `port`, `connect()`, `can_restart`,
`kill_and_restart()` and `stop()`, and is a context manager that stops what it started.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pika

from harness.deadlines import Overdue, eventually

HOST = "127.0.0.1"
START_DEADLINE = 30.0
START_ATTEMPTS = 3
STOP_DEADLINE = 20.0
# Below the ports that the kernel gives to outgoing connections; amqplib's tests want 23450 closed, and listen on 31991.
PORTS = [port for port in range(20_000, 32_000) if port not in (23_450, 31_991)]

_ports_given = set()
_ports_lock = threading.Lock()


class BrokerFailed(Exception):
    """The broker could not be started, or ended by itself."""


def free_port():
    """A port that nothing listens on, never the same twice in one run."""
    with _ports_lock:
        for port in random.sample(PORTS, 1000):
            if port not in _ports_given and _can_listen(port):
                _ports_given.add(port)
                return port
    raise BrokerFailed("no free port")


def _can_listen(port):
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Broker:
    """What scenarios and documents see of a broker."""

    name = "broker"
    can_restart = False
    #: Path of the socket by which a suite may ask for a restart; see `clients.control`.
    control = None

    def __init__(self, port, host=HOST):
        self.host = host
        self.port = port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def connect(self, **overrides):
        """Opens a connection of our own, as guest, in the default virtual host."""
        parameters = {"host": self.host, "port": self.port, "socket_timeout": 5,
                      "stack_timeout": 10, "blocked_connection_timeout": 10, **overrides}
        return pika.BlockingConnection(pika.ConnectionParameters(**parameters))

    def answers(self):
        """Does a whole AMQP handshake succeed?"""
        try:
            self.connect().close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True

    def is_rabbitmq(self):
        """Says that it runs on Erlang, which nobody else does."""
        connection = self.connect()
        platform = connection._impl.server_properties.get("platform", b"")
        connection.close()
        return "Erlang" in (platform.decode() if isinstance(platform, bytes) else platform)

    def product(self):
        """Name and version from the broker's own greeting."""
        connection = self.connect()
        properties = connection._impl.server_properties
        connection.close()
        words = [properties.get("product", b"?"), properties.get("version", b"?")]
        return " ".join(w.decode() if isinstance(w, bytes) else str(w) for w in words)

    def last_output(self):
        """What the broker printed last, if we can know."""
        return ""

    def stop(self):
        """Nothing to stop: somebody else started it."""


class RunningBroker(Broker):
    """`--amqp HOST:PORT`: a broker that is up already and that we leave up."""

    name = "running broker"


class StartedBroker(Broker):
    """A broker process of our own, with a data directory that goes when it is stopped."""

    can_restart = True

    def __init__(self):
        super().__init__(free_port())
        self.home = Path(tempfile.mkdtemp(prefix="compat-broker-"))
        self.process = None
        try:
            self._start_somewhere()
        except BaseException:
            self.stop()
            raise

    def _start_somewhere(self):
        """Starts; takes another port if the process ends at once, as somebody may have been faster."""
        for attempts_left in reversed(range(START_ATTEMPTS)):
            try:
                return self.start()
            except BrokerFailed:
                if not attempts_left or self.process.poll() is None:
                    raise
                self.port = free_port()

    def command(self):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def start(self):
        """Starts the process and waits until AMQP answers."""
        with open(self.home / "output", "ab") as output:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, cwd=self.home, start_new_session=True)
        try:
            eventually("AMQP answers", self._answers_or_died, START_DEADLINE)
        except Overdue as overdue:
            raise BrokerFailed(f"{self.name} on port {self.port}: {overdue}\n{self.last_output()}") from None

    def _answers_or_died(self):
        status = self.process.poll()
        if status is not None:
            raise BrokerFailed(f"{self.name} ended with status {status}:\n{self.last_output()}")
        return self.answers()

    def last_output(self, lines=20):
        """The end of what the broker printed, for error messages."""
        text = (self.home / "output").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def kill(self):
        """SIGKILL for the process and its whole group."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def kill_and_restart(self):
        """Pulls the plug and starts again on the same data."""
        self.kill()
        self.start()

    def shut_down(self):
        """Asks the process to end, and waits for it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self.kill()

    def stop(self):
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Leveret(StartedBroker):
    """`--broker leveret`: the binary under test."""

    name = "leveret"

    def __init__(self, binary, extra_arguments=()):
        self.binary = Path(binary).resolve()
        self.extra_arguments = list(extra_arguments)
        if not self.binary.is_file():
            raise BrokerFailed(f"no broker binary at {self.binary}; build it first (cargo build)")
        super().__init__()

    def command(self):
        return [str(self.binary), "--listen", f"{HOST}:{self.port}",
                "--data-dir", str(self.home / "data"), *self.extra_arguments]


class RabbitMq(StartedBroker):
    """`--broker rabbitmq`: a node of its own from the installed package, beside any other node."""

    name = "rabbitmq"
    LIBRARY = Path("/usr/lib/rabbitmq/lib")

    def __init__(self):
        self.server = self._find_server()
        self.epmd = None
        self.epmd_port = free_port()
        self.distribution_port = free_port()
        super().__init__()

    def _find_server(self):
        found = sorted(self.LIBRARY.glob("rabbitmq_server-*/sbin/rabbitmq-server"))
        if not found or not shutil.which("epmd"):
            raise BrokerFailed("no RabbitMQ here; apt-get install rabbitmq-server")
        return found[-1]

    def command(self):
        return [str(self.server)]

    def environment(self):
        return {
            "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_NODENAME": f"compat-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def start(self):
        (self.home / "plugins").write_text(f"[{','.join(self.enabled_plugins())}].\n")
        if self.epmd is None:
            self.epmd = subprocess.Popen(["epmd", "-port", str(self.epmd_port)],
                                         env=self.environment(), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Erlang would start an epmd that outlives us if ours were not there yet.
        eventually("epmd listens", self._epmd_listens)
        super().start()

    def enabled_plugins(self):
        """Names of plugins; a plain node has none."""
        return []

    def _epmd_listens(self):
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.epmd_port)) == 0

    def stop(self):
        self.shut_down()
        if self.epmd:
            self.epmd.kill()
            self.epmd.wait()
        super().stop()
