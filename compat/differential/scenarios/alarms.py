"""Alarms"""

from differential.suite import needs, raw_only, scenario

# Alarms that never end.
MEMORY = {"rabbitmq": "vm_memory_high_watermark.relative = 0.0", "leveret": "memory_high_watermark = 0"}
DISK = {"rabbitmq": "disk_free_limit.absolute = 1125899906842624",
        "leveret": "disk_free_limit = 1125899906842624"}
# Nothing may be routed where a scenario is not about what happens to it.
NOWHERE = "nowhere"


def blocked(channel):
    """Waits until the channel's connection is told that it is blocked."""
    channel.connection.until(0, "connection.blocked", lambda command: command.name == "connection.blocked")


def listen(channel):
    """Hears what has come by now; whatever it is, it is listed at the end."""
    # pika sends only while it listens.
    channel.connection.driver.pump(0)
    channel.dialogue.pass_time(100)
    channel.connection.driver.pump(0)


@needs(**MEMORY)
@scenario
def told_when_it_publishes(s):
    """A connection that publishes while memory is short is told that it is blocked"""
    ch = s.channel()
    ch.publish("", NOWHERE, "a")
    blocked(ch)
    ch.connection.drop()


@needs(**MEMORY)
@scenario
def empty_message(s):
    """An empty message blocks, too"""
    ch = s.channel()
    ch.publish("", NOWHERE)
    blocked(ch)
    ch.connection.drop()


@needs(**MEMORY)
@raw_only("pika always wants to know")
@scenario
def not_told_without_the_capability(s):
    """A connection that does not want to know is blocked without a word"""
    connection = s.connect(capabilities={})
    ch = connection.channel(1)
    ch.publish("", NOWHERE, "a")
    listen(ch)
    ch.say("channel.flow", active=True)
    listen(ch)
    connection.drop()


@needs(**MEMORY)
@scenario
def not_told_before_it_publishes(s):
    """A connection that does not publish is not blocked, and may declare, bind, get and consume"""
    ch = s.channel()
    ch.exchange_declare("x", "fanout")
    ch.queue_declare("q")
    ch.queue_bind("q", "x")
    ch.get("q")
    ch.consume("q")
    ch.cancel()
    ch.queue_delete("q")


@needs(**MEMORY)
@scenario
def once(s):
    """A blocked connection is told once"""
    ch = s.channel()
    ch.publish("", NOWHERE, "a")
    blocked(ch)
    ch.publish("", NOWHERE, "b")
    listen(ch)
    ch.connection.drop()


@needs(**MEMORY)
@scenario
def others_go_on(s):
    """Other connections go on, each until it publishes"""
    publisher = s.channel()
    publisher.publish("", NOWHERE, "a")
    blocked(publisher)
    other = s.channel()
    other.queue_declare("q")
    other.consume("q")
    other.quiet("q")
    other.publish("", NOWHERE, "b")
    blocked(other)
    publisher.connection.drop()
    other.connection.drop()


@needs(**MEMORY)
@scenario
def all_channels(s):
    """All channels of a connection are blocked when one of them publishes"""
    first = s.channel()
    second = first.connection.channel(2)
    first.publish("", NOWHERE, "a")
    blocked(first)
    second.say("channel.flow", active=True)
    listen(second)
    first.connection.drop()


@needs(**MEMORY)
@scenario
def unread_until_it_ends(s):
    """Nothing more of a blocked connection is done"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", NOWHERE, "a")
    blocked(ch)
    ch.say("queue.delete", queue="q")
    listen(ch)
    s.channel().count("q")
    ch.connection.drop()


@needs(**MEMORY)
@scenario
def commit(s):
    """A blocked publisher cannot commit"""
    ch = s.channel()
    ch.tx_select()
    ch.publish("", NOWHERE, "a")
    blocked(ch)
    ch.say("tx.commit")
    listen(ch)
    ch.connection.drop()


@needs(**MEMORY)
@scenario
def published_when_it_was_blocked(s):
    """What becomes of the message for which a connection is blocked, and of its confirm"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    blocked(ch)
    listen(ch)
    s.channel().count("q")
    ch.connection.drop()


@needs(**DISK)
@scenario
def low_on_disk(s):
    """A connection that publishes while the disk is full is told so"""
    ch = s.channel()
    ch.publish("", NOWHERE, "a")
    blocked(ch)
    ch.connection.drop()


@needs(**DISK)
@scenario
def not_publishing_on_a_full_disk(s):
    """While the disk is full, a connection that does not publish may declare, get and purge"""
    ch = s.channel()
    ch.queue_declare("q", durable=True)
    ch.get("q")
    ch.queue_purge("q")
    ch.queue_delete("q")
