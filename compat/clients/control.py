"""What a test may ask of whoever started its broker, over a Unix socket: a line out, a line back.

`restart` stops the broker in an orderly way and starts it again on the same data and port, `kill` does it with
SIGKILL; `down` and `up` are a restart in two steps. `alarm on` and `alarm off` raise and end the memory alarm, between
`memory little` and `memory usual`, which may restart the broker; see `alarms.py`. The answer is `ok` when it is done
(AMQP answers again), or `error: ` and the reason. The socket's path is in the environment as COMPAT_CONTROL; a broker
that was not started here has none.
"""

import os
import socketserver
import tempfile
import threading
from contextlib import closing, contextmanager
from pathlib import Path

from clients.alarms import Alarms

VARIABLE = "COMPAT_CONTROL"


@contextmanager
def control_of(broker):
    """Serves requests about `broker`; gives the path of the socket, or None."""
    if not broker.can_restart:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="compat-control-") as folder:
        path = str(Path(folder) / "socket")
        with closing(Alarms(broker)) as alarms, _Server(path, broker, alarms) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield path
            finally:
                server.shutdown()
                thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path, broker, alarms):
        self.broker = broker
        self.alarms = alarms
        self.turn = threading.Lock()
        super().__init__(path, _Request)


class _Request(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(f"{self._answer(line.decode().strip())}\n".encode())

    def _answer(self, verb):
        broker, alarms = self.server.broker, self.server.alarms
        verbs = {"restart": lambda: (broker.shut_down(), broker.start()), "kill": broker.kill_and_restart,
                 "down": broker.shut_down, "up": broker.start, "memory little": alarms.little_memory,
                 "memory usual": alarms.usual_memory, "alarm on": alarms.on, "alarm off": alarms.off}
        if verb not in verbs:
            return f"error: expected one of {', '.join(verbs)}"
        try:
            with self.server.turn:
                verbs[verb]()
        except Exception as failure:  # told to the one who asked
            return f"error: {type(failure).__name__}: {failure}".replace("\n", " ")
        return "ok"


def environment(broker, **more):
    """The environment of a suite's or an application's process."""
    # Some clients take the path `/` for a virtual host without a name.
    url = f"amqp://guest:guest@{broker.host}:{broker.port}/%2F"
    control = {VARIABLE: broker.control} if broker.control else {}
    return {**os.environ, "AMQP_URL": url, **control, **{name: str(value) for name, value in more.items()}}
