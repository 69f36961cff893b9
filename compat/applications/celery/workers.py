"""Starting workers as one does in a shell, and hearing what they tell."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from tasks import FOLDER, app

DEADLINE = 30


def eventually(what, ask):
    """Asks until there is an answer, and gives it."""
    deadline = time.monotonic() + DEADLINE
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what}"
        time.sleep(0.05)
    return answer


@contextmanager
def worker(name, *options, backend=None):
    """`celery -A tasks worker ...`, from when it says that it is ready until it has stopped."""
    chosen = ["--result-backend", backend] if backend else []
    command = [sys.executable, "-m", "celery", "-A", "tasks", *chosen, "worker", "-n", name, "-l", "INFO", *options]
    told = FOLDER / f"{name}.log"
    with open(told, "wb") as log:
        process = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=log, stderr=log)
    try:
        eventually(f"{name} is ready", lambda: f"{name} ready." in told.read_text())
        yield process
    except Exception:
        print(told.read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextmanager
def events():
    """The types of the events that come meanwhile, as `celery events` hears them."""
    seen, listening = [], threading.Event()
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
        receiver.on_consume_ready = lambda *_, **__: listening.set()
        thread = threading.Thread(target=receiver.capture, kwargs={"limit": None, "wakeup": False})
        thread.start()
        try:
            assert listening.wait(DEADLINE), "nobody listens to events"
            yield seen
        finally:
            receiver.should_stop = True
            thread.join(DEADLINE)
