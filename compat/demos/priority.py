"""A queue with priorities: what is urgent leaves first, equals in order.

    python priority.py [amqp://guest:guest@localhost:5672/%2F]
"""

import sys

import pika

URL = sys.argv[1] if len(sys.argv) > 1 else "amqp://guest:guest@localhost:5672/%2F"

connection = pika.BlockingConnection(pika.URLParameters(URL))
channel = connection.channel()
channel.queue_delete("demo.priority")
channel.queue_declare("demo.priority", arguments={"x-max-priority": 10})
for number, priority in enumerate([None, 1, 9, 5, 9, 1, 200, 5]):
    properties = pika.BasicProperties(priority=priority)
    channel.basic_publish("", "demo.priority", f"{number}: priority {priority}".encode(), properties)

bodies = []
for method, _, body in channel.consume("demo.priority", auto_ack=True, inactivity_timeout=10):
    assert method is not None, "a message is missing"
    bodies.append(body.decode())
    print(body.decode())
    if len(bodies) == 8:
        break
channel.cancel()

assert [int(body.split(":")[0]) for body in bodies] == [6, 2, 4, 3, 7, 1, 5, 0], bodies
channel.queue_delete("demo.priority")
connection.close()
