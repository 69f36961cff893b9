"""A worker that takes messages, prints them, never acknowledges, and waits to be killed."""

import sys

import pika

port, queue, prefetch = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))
channel = connection.channel()
channel.basic_qos(prefetch_count=prefetch)
channel.basic_consume(queue, lambda _channel, _method, _properties, body: print(body.decode()))
channel.start_consuming()
