"""Uses the tasks: calls, retries, times, chords, priorities, remote control, and workers that grow and die."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

folder = tempfile.TemporaryDirectory(prefix="celery-")
os.environ["APPLICATION_FOLDER"] = folder.name

from celery import Celery, chain, chord, group  # noqa: E402
from tasks import FOLDER, add, app, clock, fetch, fragile, note, resize, total, upload, wait_for  # noqa: E402

DEADLINE = 30


def eventually(what, ask):
    """Asks until there is an answer, and gives it."""
    deadline = time.monotonic() + DEADLINE
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what}"
        time.sleep(0.05)
    return answer


def result(task):
    return task.get(timeout=DEADLINE, interval=0.02)


@contextmanager
def worker(name, *options, backend=None):
    """`celery -A tasks worker ...`, from when it answers until it has stopped."""
    chosen = ["--result-backend", backend] if backend else []
    command = [sys.executable, "-m", "celery", "-A", "tasks", *chosen, "worker", "-n", name, "-l", "WARNING", *options]
    with open(FOLDER / f"{name}.log", "wb") as log:
        process = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=log, stderr=log, start_new_session=True)
    try:
        eventually(f"{name} answers", lambda: app.control.ping([name], timeout=0.5))
        yield process
        process.terminate()
        process.wait(DEADLINE)
    except AssertionError:
        print((FOLDER / f"{name}.log").read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tasks():
    print("add:", result(add.delay(2, 3)))
    print("chain:", result(chain(add.s(1, 2), add.s(10), add.s(100)).delay()))
    print("group:", result(group(add.s(n, n) for n in range(10)).delay()))
    print("chord:", result(chord(add.s(n, n) for n in range(10))(total.s())))
    print("routed to:", result(resize.delay()))
    print("retried by hand:", result(fetch.delay()))
    print("retried by itself:", result(upload.delay()))


def times():
    soon = datetime.now(timezone.utc) + timedelta(seconds=1)
    ran = result(clock.apply_async(eta=soon))
    assert 0 <= ran - soon.timestamp() < 5, ran - soon.timestamp()
    print("ETA: not before its time")
    expired = add.apply_async((1, 1), countdown=0.5, expires=0.1)
    eventually("it expires", lambda: expired.state == "REVOKED")
    print("expired:", expired.state)


def remote_control(name):
    inspect = app.control.inspect([name])
    print("queues:", sorted(queue["name"] for queue in inspect.active_queues()[name]))
    print("registered:", len(inspect.registered()[name]), "tasks")
    print("rate limit:", app.control.rate_limit("tasks.add", "600/m", reply=True, destination=[name])[0][name])
    print("broadcast:", app.control.broadcast("time_limit", {"task_name": "tasks.add", "hard": 60}, reply=True)[0][name])
    print("add queue:", app.control.add_consumer("late", destination=[name], reply=True)[0][name])
    print("late:", result(add.apply_async((4, 4), queue="late")))


def autoscale(name):
    """Four tasks that wait make the pool grow from one process to four."""
    def processes():
        return len(app.control.inspect([name]).stats()[name]["pool"]["processes"])

    assert processes() == 1
    waiting = [wait_for.delay("go on") for _ in range(4)]
    eventually("the pool grows", lambda: processes() == 4)
    print("autoscale: 1 to 4 processes")
    (FOLDER / "go on").touch()
    assert [result(task) for task in waiting] == [None] * 4


def priorities():
    """With no worker there yet, they wait; then the most urgent comes first."""
    notes = [note.apply_async((word,), priority=urgency) for word, urgency in
             [("rarely", 1), ("now", 9), ("soon", 5), ("never", 0)]]
    with worker("alone@here", "-Q", "ordered", "-P", "solo"):
        for task in notes:
            result(task)
    print("by priority:", (FOLDER / "notes").read_text().split())


def killed_worker():
    """A task that its worker had not finished is run by the next worker."""
    task = fragile.delay()
    with worker("victim@here", "-Q", "ordered", "-c", "1") as victim:
        eventually("it was begun", (FOLDER / "hangs").exists)
        os.killpg(victim.pid, signal.SIGKILL)
    with worker("successor@here", "-Q", "ordered", "-P", "threads"):
        print("after a kill:", result(task))


def rpc_results():
    """Results as messages, to a queue of whoever asked."""
    asker = Celery("asker", broker=app.conf.broker_url, backend="rpc://")
    with worker("messenger@here", "-P", "threads", backend="rpc://"):
        asked = [asker.send_task("tasks.add", (n, 1)) for n in range(20)]
        print("rpc:", sum(task.get(timeout=DEADLINE) for task in asked))


@contextmanager
def events():
    """What the workers tell about, as `celery events` sees it."""
    seen = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
        listening = threading.Event()
        receiver.on_consume_ready = lambda *_, **__: listening.set()
        thread = threading.Thread(target=receiver.capture, kwargs={"limit": None, "wakeup": False})
        thread.start()
        assert listening.wait(DEADLINE)
        yield seen
        receiver.should_stop = True
        thread.join(DEADLINE)


def main():
    with worker("one@here", "--autoscale=4,1", "-E"):
        autoscale("one@here")
        with events() as seen:
            tasks()
            eventually("all is told", lambda: seen.count("task-succeeded") >= 20 and seen.count("task-retried") >= 4)
        print("events:", sorted({event for event in seen if event.startswith("task-")}))
        times()
        remote_control("one@here")
    priorities()
    killed_worker()
    rpc_results()


if __name__ == "__main__":
    main()
