"""Alarms"""

from differential.suite import needs, raw_only, scenario

# Both alarms that never end.
MEMORY = {"rabbitmq": "vm_memory_high_watermark.relative = 0.0", "leveret": "memory_high_watermark = 0"}


def blocked(channel):
    """Waits until the channel's connection is told that it is blocked."""
    channel.connection.until(0, "connection.blocked", lambda command: command.name == "connection.blocked")


def listen(channel):
    """Hears what has come by now; whatever it is, it is listed at the end."""
    channel.dialogue.pass_time(100)
    channel.connection.driver.pump(0)


@needs(**MEMORY)
@scenario
def told_when_it_publishes(s):
    """A connection that publishes while memory is short is told that it is blocked"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    blocked(ch)
    ch.connection.drop()


@needs(**MEMORY)
@raw_only("pika always wants to know")
@scenario
def not_told_without_the_capability(s):
    """A connection that does not want to know is blocked without a word"""
    connection = s.connect(capabilities={})
    ch = connection.channel(1)
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    ch.say("channel.flow", active=True)
    s.channel().quiet("q")
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
def transactions_and_confirms(s):
    """A blocked publisher is told neither that its message was confirmed nor that it was committed"""
    confirming = s.publisher()
    confirming.queue_declare("q")
    confirming.publish("", "q", "a")
    blocked(confirming)
    committing = s.channel()
    committing.tx_select()
    committing.publish("", "q", "b")
    committing.say("tx.commit")
    blocked(committing)
    listen(confirming)
    listen(committing)
    confirming.connection.drop()
    committing.connection.drop()


@needs(**MEMORY)
@scenario
def after_a_lost_connection(s):
    """What a blocked connection published before it was lost is not done"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    blocked(ch)
    ch.connection.drop()
    s.channel().quiet("q")


@needs(**MEMORY)
@scenario
def empty_message(s):
    """An empty message blocks, too"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q")
    blocked(ch)
    ch.connection.drop()


@needs(**MEMORY)
@scenario
def once(s):
    """A blocked connection is told once"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    ch.publish("", "q", "b")
    blocked(ch)
    s.channel().quiet("q")
    listen(ch)
    ch.connection.drop()


@needs(**MEMORY)
@scenario
def others_go_on(s):
    """Other connections go on, each until it publishes"""
    publisher = s.channel()
    publisher.queue_declare("q")
    publisher.publish("", "q", "a")
    blocked(publisher)
    other = s.channel()
    other.consume("q")
    other.quiet("q")
    other.publish("", "q", "b")
    blocked(other)
    publisher.connection.drop()
    other.connection.drop()


@needs(**MEMORY)
@scenario
def unread_until_it_ends(s):
    """Nothing of a blocked connection is done, neither what it published nor what it declares"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    blocked(ch)
    ch.say("queue.delete", queue="q")
    listen(ch)
    s.channel().quiet("q")
    ch.connection.drop()
