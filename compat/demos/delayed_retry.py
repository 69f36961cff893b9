"""Delayed retry by the broker: a rejected message comes back after a pause that grows, or does not.

    python delayed_retry.py [amqp://guest:guest@localhost:5672/%2F]

Only queue arguments; no second queue, no dead letters, no plugin. The broker counts in x-delivery-count. RabbitMQ
has the first three arguments since 4.3, for quorum queues; the backoff, the multiplier and the jitter are Leveret's.
"""

import sys
import time

import pika

URL = sys.argv[1] if len(sys.argv) > 1 else "amqp://guest:guest@localhost:5672/%2F"
# The broker counts whole milliseconds. Late is a matter of how busy the machine is.
EARLY_MS, LATE_MS = 3, 2000


def pauses(channel, attempts, **retry):
    """Rejects a message so often, and measures in milliseconds how long it stays away each time."""
    arguments = {f"x-delayed-retry-{key}": value for key, value in retry.items()}
    channel.queue_delete("demo.delayed")
    channel.queue_declare("demo.delayed", durable=True, arguments={"x-delayed-retry-type": "failed", **arguments})
    channel.basic_publish("", "demo.delayed", b"transfer 100", pika.BasicProperties(delivery_mode=2))
    measured, rejected_at = [], None
    for method, properties, _ in channel.consume("demo.delayed", inactivity_timeout=30):
        assert method is not None, "nothing came back within thirty seconds"
        if rejected_at is not None:
            measured.append((time.monotonic() - rejected_at) * 1000)
        returns = (properties.headers or {}).get("x-delivery-count", 0)
        assert returns == len(measured), f"x-delivery-count is {returns} after {len(measured)} returns"
        if returns == attempts:
            channel.basic_ack(method.delivery_tag)
            break
        rejected_at = time.monotonic()
        channel.basic_reject(method.delivery_tag, requeue=True)
    channel.cancel()
    channel.queue_delete("demo.delayed")
    return measured


def show(title, measured, shortest, jitter=0):
    """Prints what was measured, and fails if a pause was too short or much too long."""
    print(f"{title}: " + ", ".join(f"{pause:.0f} ms" for pause in measured))
    assert len(measured) == len(shortest), measured
    for pause, least in zip(measured, shortest):
        assert least - EARLY_MS <= pause <= least + jitter + LATE_MS, f"{title}: {pause:.0f} ms, not {least} ms"


connection = pika.BlockingConnection(pika.URLParameters(URL))
channel = connection.channel()

show("linear, up to 250 ms", pauses(channel, 4, min=100, max=250), [100, 200, 250, 250])
show("fixed, 200 ms", pauses(channel, 3, min=200, backoff="fixed"), [200] * 3)
show("exponential from 100 ms, times 2",
     pauses(channel, 4, min=100, backoff="exponential", multiplier=2), [100, 200, 400, 800])
jittery = pauses(channel, 8, min=100, backoff="fixed", jitter=400)
show("fixed, 100 ms, with up to 400 ms of jitter", jittery, [100] * 8, jitter=400)
assert max(jittery) - min(jittery) > 20, f"no jitter to be seen: {jittery}"

connection.close()
