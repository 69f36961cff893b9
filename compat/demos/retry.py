"""Retry with a delay: work -> reject -> a queue with a time to live -> work, and give up after three times.

    python retry.py [amqp://guest:guest@localhost:5672/%2F]

An ordinary pika program, as on RabbitMQ. The broker counts the rounds in the header x-death.
"""

import sys
import time

import pika

URL = sys.argv[1] if len(sys.argv) > 1 else "amqp://guest:guest@localhost:5672/%2F"
DELAY_MS = 200
ATTEMPTS = 3

connection = pika.BlockingConnection(pika.URLParameters(URL))
channel = connection.channel()
for queue in ("demo.work", "demo.retry", "demo.failed"):
    channel.queue_delete(queue)
channel.queue_declare("demo.work", durable=True, arguments={
    "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "demo.retry"})
channel.queue_declare("demo.retry", durable=True, arguments={
    "x-message-ttl": DELAY_MS, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "demo.work"})
channel.queue_declare("demo.failed", durable=True)

persistent = pika.BasicProperties(delivery_mode=2)
channel.basic_publish("", "demo.work", b"transfer 100", persistent)
begun = time.monotonic()
seen = []


def rejections(properties):
    """How often this message was rejected from demo.work."""
    deaths = (properties.headers or {}).get("x-death", [])
    return sum(death["count"] for death in deaths
               if (death["queue"], death["reason"]) == ("demo.work", "rejected"))


for method, properties, body in channel.consume("demo.work", inactivity_timeout=10):
    assert method is not None, "nothing came back within ten seconds"
    attempt = rejections(properties) + 1
    elapsed_ms = (time.monotonic() - begun) * 1000
    seen.append(elapsed_ms)
    print(f"attempt {attempt} after {elapsed_ms:.0f} ms: {body.decode()}")
    if attempt < ATTEMPTS:
        channel.basic_reject(method.delivery_tag, requeue=False)
        continue
    channel.basic_publish("", "demo.failed", body, persistent)
    channel.basic_ack(method.delivery_tag)
    break
channel.cancel()

pauses = [later - earlier for earlier, later in zip(seen, seen[1:])]
assert len(seen) == ATTEMPTS, seen
assert all(pause >= DELAY_MS for pause in pauses), f"came back too early: {pauses}"
method, properties, body = channel.basic_get("demo.failed", auto_ack=True)
print(f"given up after {ATTEMPTS} attempts: {body.decode()}; pauses "
      + ", ".join(f"{pause:.0f} ms" for pause in pauses))
for queue in ("demo.work", "demo.retry", "demo.failed"):
    channel.queue_delete(queue)
connection.close()
