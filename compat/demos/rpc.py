"""Remote calls by direct reply-to, as pika users write them: a server, a client, and no reply queue.

    python compat/demos/rpc.py [amqp://guest:guest@localhost:5672/%2F]

Prints every answer and fails if one is wrong. Needs nothing but pika.
"""

import sys
import threading
import uuid

import pika

QUEUE = "rpc_fibonacci"
REPLY_TO = "amq.rabbitmq.reply-to"
DEADLINE = 10.0


def connect(url):
    return pika.BlockingConnection(pika.URLParameters(url))


def fibonacci(n):
    before, current = 0, 1
    for _ in range(n):
        before, current = current, before + current
    return before


class Server(threading.Thread):
    """Answers questions until it is told to stop."""

    def __init__(self, url):
        super().__init__(name="server", daemon=True)
        self.connection = connect(url)
        self.channel = self.connection.channel()
        self.channel.queue_declare(queue=QUEUE, exclusive=True)
        self.channel.basic_qos(prefetch_count=1)
        self.channel.basic_consume(queue=QUEUE, on_message_callback=self.answer)

    def answer(self, channel, method, properties, body):
        channel.basic_publish(
            exchange="", routing_key=properties.reply_to,
            properties=pika.BasicProperties(correlation_id=properties.correlation_id),
            body=str(fibonacci(int(body))))
        channel.basic_ack(delivery_tag=method.delivery_tag)

    def run(self):
        self.channel.start_consuming()
        self.connection.close()

    def stop(self):
        self.connection.add_callback_threadsafe(self.channel.stop_consuming)
        self.join(DEADLINE)


class Client:
    """Asks questions; answers come to the channel that asked."""

    def __init__(self, url):
        self.connection = connect(url)
        self.channel = self.connection.channel()
        self.channel.basic_consume(queue=REPLY_TO, on_message_callback=self.heard, auto_ack=True)
        self.answers = {}

    def heard(self, _channel, _method, properties, body):
        self.answers[properties.correlation_id] = body.decode()

    def call(self, n):
        question = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="", routing_key=QUEUE, body=str(n),
            properties=pika.BasicProperties(reply_to=REPLY_TO, correlation_id=question))
        while question not in self.answers:
            before = len(self.answers)
            self.connection.process_data_events(time_limit=DEADLINE)
            assert len(self.answers) > before, f"no answer to fibonacci({n}) within {DEADLINE} s"
        return int(self.answers.pop(question))

    def close(self):
        self.connection.close()


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "amqp://guest:guest@localhost:5672/%2F"
    server = Server(url)
    server.start()
    client = Client(url)
    for n in [0, 1, 10, 30, 90]:
        answer = client.call(n)
        print(f"fibonacci({n}) = {answer}")
        assert answer == fibonacci(n), f"expected {fibonacci(n)}"
    client.close()
    server.stop()


if __name__ == "__main__":
    main()
