"""A worker and its clients while the broker is restarted: every task that was sent is done."""

import os
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

folder = tempfile.TemporaryDirectory(prefix="celery-")
os.environ["APPLICATION_FOLDER"] = folder.name

from tasks import FOLDER, app, clock, square  # noqa: E402
from workers import DEADLINE, worker  # noqa: E402

TASKS = 300


def restart_the_broker():
    """Asks whoever started the broker to stop it and start it again."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(os.environ["COMPAT_CONTROL"])
        control.sendall(b"restart\n")
        assert (answer := control.makefile().readline()) == "ok\n", answer


def main():
    with worker("steady@here", "-c", "2"), ThreadPoolExecutor() as beside:
        begun = time.time()
        later = clock.apply_async(countdown=3)
        sent = [square.delay(number) for number in range(TASKS // 2)]
        restarted = beside.submit(restart_the_broker)
        sent += [square.delay(number) for number in range(TASKS // 2, TASKS)]
        restarted.result()
        assert [task.get(timeout=DEADLINE, interval=0.02) for task in sent] == [n * n for n in range(TASKS)]
        print(f"{TASKS} tasks, sent and done while the broker was restarted")
        assert later.get(timeout=DEADLINE) - begun >= 3
        print("a task that waited for its time: done, and not before it")
        assert "Connection to broker lost" in (FOLDER / "steady@here.log").read_text()
        assert app.control.ping(["steady@here"], timeout=DEADLINE) == [{"steady@here": {"ok": "pong"}}]
        print("the worker: has connected again, and answers")


if __name__ == "__main__":
    main()
