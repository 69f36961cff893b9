"""The brokers that `compare` and `backlog` measure: started on empty directories, stopped and removed.

Also what both say about the machine.
"""

import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

RABBITMQ_PORT = 5681
RABBITMQ_DIST_PORT = 25681
RABBITMQ_EPMD_PORT = 4681
LEVERET_PORT = 5682

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CONNECTION_START = b"\x00\x0a\x00\x0a"


class Broken(Exception):
    """Something cannot be measured; the text says why."""


class Broker:
    """A broker process of ours: started on an empty directory, paused and resumed, stopped and removed."""

    name = ""
    port = 0

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"compare-{self.name.lower()}-"))
        self.output = open(self.directory / "output.log", "wb")
        started = self.launch()
        try:
            self.version = self.wait_for_answer(patience=120)
            self.start_seconds = time.time() - started
            self.pid = self.server_pid()
        except BaseException:
            self.stop()
            raise

    def launch(self):
        """Starts the process and waits for nothing; returns when that was, in seconds since the epoch."""
        started = time.time()
        self.process = subprocess.Popen(
            self.command(), env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True)
        self.pid = self.process.pid
        return started

    def kill(self):
        """Ends the server by SIGKILL, in the middle of whatever it does; its directory stays."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def data_directory(self):
        return self.directory / "data"

    def command(self):
        raise NotImplementedError

    @classmethod
    def shown_command(cls):
        """How it is started, for people: with DATA for its data directory."""
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def server_pid(self):
        return self.process.pid

    def wait_for_answer(self, patience):
        """Connects until connection.start comes; returns the version it names."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Broken(f"{self.name} ended with {self.process.returncode}: {self.log_tail()}")
            answer = first_answer(self.port)
            if answer[7:11] == CONNECTION_START:
                return server_version(answer)
            time.sleep(0.0003)
        raise Broken(f"{self.name} does not answer on port {self.port}: {self.log_tail()}")

    def log_tail(self):
        return (self.directory / "output.log").read_bytes()[-2000:].decode(errors="replace")

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def stop(self):
        """Ends the process in good order, by force only when that fails, and removes its directory."""
        if self.process.poll() is None:
            self.resume()
            os.kill(self.pid, signal.SIGTERM)
            wait_until(lambda: self.process.poll() is not None, seconds=30)
        if self.process.poll() is None:
            # The session we started is a process group of its own, so this reaches nobody else.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.output.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class RabbitMq(Broker):
    """RabbitMQ as it comes, without plugins, as a node of its own with an epmd of its own."""

    name = "RabbitMQ"
    port = RABBITMQ_PORT
    node = "leveret-compare@localhost"

    @staticmethod
    def script():
        scripts = sorted(pathlib.Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
        if not scripts:
            raise Broken("RabbitMQ is not installed (apt-get install rabbitmq-server)")
        return str(scripts[-1])

    def command(self):
        (self.directory / "enabled_plugins").write_text("[].")
        (self.directory / "env.conf").write_text("")
        (self.directory / "rabbitmq.conf").write_text("")
        return [self.script()]

    @classmethod
    def shown_command(cls):
        return cls.script()

    def environment(self):
        directory = self.directory
        return dict(
            os.environ,
            HOME=str(directory),
            ERL_EPMD_PORT=str(RABBITMQ_EPMD_PORT),
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME=self.node,
            RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
            RABBITMQ_NODE_PORT=str(self.port),
            RABBITMQ_DIST_PORT=str(RABBITMQ_DIST_PORT),
            RABBITMQ_MNESIA_BASE=str(directory / "mnesia"),
            RABBITMQ_LOG_BASE=str(directory / "log"),
            RABBITMQ_CONF_ENV_FILE=str(directory / "env.conf"),
            RABBITMQ_CONFIG_FILE=str(directory / "rabbitmq.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(directory / "enabled_plugins"),
        )

    def data_directory(self):
        return self.directory / "mnesia"

    def server_pid(self):
        """The Erlang VM among the processes of the session we started."""
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and self.is_our_vm(entry):
                return int(entry.name)
        raise Broken("RabbitMQ answers, but its beam.smp is not to be found")

    def is_our_vm(self, entry):
        try:
            name = (entry / "comm").read_text().strip()
            return name == "beam.smp" and os.getsid(int(entry.name)) == self.process.pid
        except OSError:
            return False

    def stop(self):
        super().stop()
        # Refuses while a node is registered, so it cannot hurt anyone but our own.
        environment = dict(os.environ, ERL_EPMD_PORT=str(RABBITMQ_EPMD_PORT))
        subprocess.run(["epmd", "-kill"], env=environment, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Leveret(Broker):
    """Leveret as built from this tree."""

    name = "Leveret"
    port = LEVERET_PORT
    binary = ROOT / "target/release/leveret"

    def command(self):
        if not self.binary.exists():
            raise Broken(f"{self.binary} does not exist (cargo build --release)")
        return self.words(self.data_directory())

    @classmethod
    def words(cls, data_directory):
        return [str(cls.binary), "--listen", f"127.0.0.1:{cls.port}", "--data-dir", str(data_directory)]

    @classmethod
    def shown_command(cls):
        return " ".join(cls.words("DATA")).replace(f"{ROOT}/", "")

    def wait_for_answer(self, patience):
        """connection.start names the RabbitMQ version that clients should take it for, not its own."""
        super().wait_for_answer(patience)
        return output_of(str(self.binary), "--version").split()[-1]


def first_answer(port):
    """What a broker on `port` says to an AMQP protocol header; empty when nothing."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(PROTOCOL_HEADER)
            return connection.recv(65536)
    except OSError:
        return b""


def server_version(start_frame):
    found = re.search(rb"\x07versionS\x00\x00\x00(.)", start_frame, re.DOTALL)
    if not found:
        return "unknown"
    return start_frame[found.end():found.end() + found.group(1)[0]].decode()


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def allow_many_files():
    """Lets the brokers and the load generator, which inherit it, have as many sockets as the machine allows anybody."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def environment_facts(versions, load_average):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {
        "cores": os.cpu_count(),
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "memory_gib": round(int(memory.group(1)) / 2**20, 1),
        "kernel": platform.release(),
        "load_average": load_average,
        "file_system": output_of("stat", "-f", "-c", "%T", tempfile.gettempdir()),
        "rustc": output_of("rustc", "--version"),
        "commit": output_of("git", "describe", "--always", "--dirty", "--abbrev=12"),
        "versions": versions,
    }


def output_of(*command):
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return finished.stdout.strip() or "unknown"
