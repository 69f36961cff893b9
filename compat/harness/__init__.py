"""Runs the same pika programs against RabbitMQ and against Leveret, and compares."""
