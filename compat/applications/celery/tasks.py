"""The tasks. A worker is started with `celery -A tasks worker`."""

import os
import time
from pathlib import Path

from celery import Celery
from kombu import Queue

FOLDER = Path(os.environ["APPLICATION_FOLDER"])

# Results are kept in files: chords need a backend that more than one process can read, which rpc:// is not.
app = Celery("tasks", broker=os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/"),
             backend=f"file://{FOLDER}")
app.conf.update(
    task_queues=[Queue("celery"), Queue("images"), Queue("ordered", max_priority=10)],
    task_default_queue="celery",
    task_routes={"tasks.resize": {"queue": "images"}, "tasks.note": {"queue": "ordered"}},
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
    # A task is sent when the broker has confirmed it, and tried again for a minute if the broker is away.
    broker_transport_options={"confirm_publish": True},
    task_publish_retry_policy={"max_retries": 300, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2},
)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def fetch(self):
    """Asks to be run again, later, until it succeeds."""
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task(bind=True, autoretry_for=(ConnectionError,), default_retry_delay=0.2, max_retries=5)
def upload(self):
    """Fails twice; Celery runs it again without being asked."""
    if self.request.retries < 2:
        raise ConnectionError("the server is away")
    return self.request.retries


@app.task
def clock():
    return time.time()


@app.task(bind=True)
def resize(self):
    return self.request.delivery_info["routing_key"]


@app.task
def wait_for(name):
    """Keeps a process of the pool busy until there is a file of this name."""
    deadline = time.monotonic() + 30
    while not (FOLDER / name).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        time.sleep(0.02)


@app.task(acks_late=True)
def square(number):
    """Done again if the broker goes away meanwhile."""
    time.sleep(0.005)
    return number * number


@app.task(acks_late=True)
def note(word):
    """Leaves a trace of the order in which tasks were run."""
    with open(FOLDER / "notes", "a") as notes:
        notes.write(f"{word}\n")


@app.task(bind=True, acks_late=True, queue="ordered")
def fragile(self):
    """Hangs when it is run for the first time; its worker is killed meanwhile, and the task comes again."""
    if not self.request.delivery_info["redelivered"]:
        (FOLDER / "hangs").touch()
        time.sleep(60)
    return "redelivered"
