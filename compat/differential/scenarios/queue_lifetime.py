"""Queues that expire"""

from differential.scenarios.single_active_consumer import publish
from differential.suite import for_each, scenario

# Asking whether a queue is there keeps it from expiring; so that these wait and then ask once.
SHORT, LONG_AFTER = 100, 400
LONG, SOON_AFTER = 800, 300


def expiring(s, milliseconds, **flags):
    """A channel in confirm mode, and a queue that expires."""
    ch = s.publisher()
    ch.queue_declare("q", arguments={"x-expires": milliseconds}, **flags)
    return ch


@for_each(**{"plain": {}, "durable": {"durable": True}, "exclusive": {"exclusive": True},
             "never consumed and auto-delete": {"auto_delete": True}})
def unused(s, flags):
    """A queue that nobody used for so long is deleted: {row}"""
    ch = expiring(s, SHORT, **flags)
    s.pass_time(LONG_AFTER)
    ch.count("q")


@scenario
def with_messages(s):
    """A queue with messages expires, and they are no dead letters"""
    ch = s.publisher()
    ch.queue_declare("dead")
    ch.queue_declare("q", arguments={"x-expires": SHORT, "x-dead-letter-exchange": "",
                                     "x-dead-letter-routing-key": "dead"})
    publish(ch, "a", "b")
    s.pass_time(LONG_AFTER)
    ch.count("dead")
    ch.count("q")


@scenario
def publishing_is_no_use(s):
    """Publishing to a queue does not keep it from expiring"""
    ch = expiring(s, LONG)
    for _ in range(4):
        s.pass_time(SOON_AFTER)
        publish(ch, "a")
    ch.count("q")


@scenario
def while_it_has_a_consumer(s):
    """A queue with a consumer does not expire before it is cancelled"""
    ch = expiring(s, SHORT)
    ch.consume("q")
    s.pass_time(LONG_AFTER)
    ch.count("q")
    ch.cancel()
    s.pass_time(LONG_AFTER)
    ch.count("q")


@scenario
def declared_again(s):
    """Declaring a queue again keeps it from expiring"""
    ch = expiring(s, LONG)
    for _ in range(4):
        s.pass_time(SOON_AFTER)
        ch.queue_declare("q", arguments={"x-expires": LONG})


@scenario
def counted(s):
    """A passive declare keeps a queue from expiring"""
    ch = expiring(s, LONG)
    for _ in range(4):
        s.pass_time(SOON_AFTER)
        ch.count("q")


@scenario
def got_from(s):
    """basic.get keeps a queue from expiring, even if there is nothing"""
    ch = expiring(s, LONG)
    for _ in range(4):
        s.pass_time(SOON_AFTER)
        ch.get("q")
    ch.count("q")


@scenario
def with_unacknowledged(s):
    """A queue expires although a message of it is unacknowledged, and acknowledging it is no error"""
    ch = expiring(s, SHORT)
    publish(ch, "a")
    ch.get("q")
    s.pass_time(LONG_AFTER)
    ch.connection.channel(2).count("q")
    ch.ack(1)
    ch.fence()


@scenario
def again_with_another_time(s):
    """Declaring again with another x-expires is refused"""
    ch = expiring(s, 60000)
    ch.queue_declare("q", arguments={"x-expires": 60001})
