"""Streams"""

from differential.suite import scenario

STREAM = {"x-queue-type": "stream"}


@scenario
def declare(s):
    """A stream can be declared"""
    s.channel().queue_declare("q", durable=True, arguments=STREAM)


@scenario
def not_durable(s):
    """A stream is durable"""
    s.channel().queue_declare("q", arguments=STREAM)


@scenario
def server_named(s):
    """A stream must have a name"""
    s.channel().queue_declare("", durable=True, arguments=STREAM)
