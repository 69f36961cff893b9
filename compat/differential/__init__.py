"""Scenarios that are played on Leveret and compared, frame by frame, with what RabbitMQ 3.10.8 sent."""
