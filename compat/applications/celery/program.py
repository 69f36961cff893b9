"""Uses the tasks: calls, retries, times, chords, priorities, remote control, and workers that grow and die."""

import os
import tempfile
from datetime import datetime, timedelta, timezone

folder = tempfile.TemporaryDirectory(prefix="celery-")
os.environ["APPLICATION_FOLDER"] = folder.name

from celery import Celery, chain, chord, group  # noqa: E402
from tasks import FOLDER, add, app, clock, fetch, fragile, note, resize, total, upload, wait_for  # noqa: E402
from workers import DEADLINE, eventually, events, worker  # noqa: E402


def check(what, answer, expected):
    assert answer == expected, f"{what}: {answer}, expected {expected}"
    print(f"{what}: {answer}")


def result(task):
    return task.get(timeout=DEADLINE, interval=0.02)


def autoscale(name):
    """Four tasks that wait make the pool grow from one process to four."""
    def processes():
        return len(app.control.inspect([name], timeout=DEADLINE).stats()[name]["pool"]["processes"])

    check("processes at rest", processes(), 1)
    waiting = [wait_for.delay("go on") for _ in range(4)]
    eventually("the pool grows", lambda: processes() == 4)
    check("processes at work", processes(), 4)
    (FOLDER / "go on").touch()
    assert [result(task) for task in waiting] == [None] * 4


def tasks():
    check("add", result(add.delay(2, 3)), 5)
    check("chain", result(chain(add.s(1, 2), add.s(10), add.s(100)).delay()), 113)
    check("group", result(group(add.s(n, n) for n in range(5)).delay()), [0, 2, 4, 6, 8])
    check("chord", result(chord(add.s(n, n) for n in range(10))(total.s())), 90)
    check("routed to", result(resize.delay()), "images")
    check("retried by hand", result(fetch.delay()), 2)
    check("retried by itself", result(upload.delay()), 2)


def times():
    soon = datetime.now(timezone.utc) + timedelta(seconds=1)
    late = result(clock.apply_async(eta=soon)) - soon.timestamp()
    assert 0 <= late < 10, f"run {late:.3f} s after its time"
    print("ETA: not before its time")
    expired = add.apply_async((1, 1), countdown=0.5, expires=0.1)
    eventually("it expires", lambda: expired.state == "REVOKED")
    check("expired", expired.state, "REVOKED")


def remote_control(name):
    def answer(replies):
        return {worker: said for reply in replies for worker, said in reply.items()}[name]

    here, control = [name], app.control
    check("ping", answer(control.ping(here, timeout=DEADLINE)), {"ok": "pong"})
    check("queues", sorted(queue["name"] for queue in control.inspect(here, timeout=DEADLINE).active_queues()[name]),
          ["celery", "images", "ordered"])
    check("rate limit", answer(control.rate_limit("tasks.add", "600/m", reply=True, destination=here,
                                              timeout=DEADLINE)), {"ok": "new rate limit set successfully"})
    limits = {"task_name": "tasks.add", "hard": 60}
    check("broadcast", answer(control.broadcast("time_limit", limits, reply=True, limit=1, timeout=DEADLINE)),
          {"ok": "time limits set successfully"})
    check("one queue more", answer(control.add_consumer("late", destination=here, reply=True, timeout=DEADLINE)),
          {"ok": "add consumer late"})
    check("from there", result(add.apply_async((4, 4), queue="late")), 8)


def priorities():
    """With no worker there yet, they wait; then the most urgent comes first."""
    notes = [note.apply_async((word,), priority=urgency) for word, urgency in
             [("rarely", 1), ("now", 9), ("soon", 5), ("never", 0)]]
    with worker("alone@here", "-Q", "ordered", "-P", "solo"):
        for task in notes:
            result(task)
    check("by priority", (FOLDER / "notes").read_text().split(), ["now", "soon", "rarely", "never"])


def killed_worker():
    """A task that its worker had not finished is run by the next worker."""
    task = fragile.delay()
    with worker("victim@here", "-Q", "ordered", "-P", "threads") as victim:
        eventually("it was begun", (FOLDER / "hangs").exists)
        victim.kill()
    with worker("successor@here", "-Q", "ordered", "-P", "threads"):
        check("after a kill", result(task), "redelivered")


def rpc_results():
    """Results as messages, to a queue of whoever asked."""
    asker = Celery("asker", broker=app.conf.broker_url, backend="rpc://")
    with worker("messenger@here", "-P", "threads", backend="rpc://"):
        asked = [asker.send_task("tasks.add", (n, 1)) for n in range(20)]
        check("rpc", [task.get(timeout=DEADLINE) for task in asked], list(range(1, 21)))


def main():
    with worker("one@here", "--autoscale=4,1", "-E"):
        autoscale("one@here")
        with events() as seen:
            tasks()
            eventually("all is told", lambda: seen.count("task-succeeded") >= 15 and seen.count("task-retried") >= 4)
        check("events", sorted({event for event in seen if event.startswith("task-")}),
              ["task-received", "task-retried", "task-started", "task-succeeded"])
        times()
        remote_control("one@here")
    priorities()
    killed_worker()
    rpc_results()


if __name__ == "__main__":
    main()
