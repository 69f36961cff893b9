"""Frames that break the rules"""

from differential.suite import raw_only, scenario


@raw_only("pika sends no wrong frames")
@scenario
def unknown_frame_type(s):
    """A frame of an unknown type is refused"""
    connection = s.connect()
    connection.frame(9, 0, b"abc")
    connection.closed()


@raw_only("pika sends no wrong frames")
@scenario
def unopened_channel(s):
    """A method on a channel that is not open is refused"""
    s.connect().unopened(1).queue_declare("q")


@raw_only("pika sends no wrong frames")
@scenario
def body_without_method(s):
    """A body without its method is refused"""
    ch = s.channel()
    ch.body(b"abc")
    ch.closed()
