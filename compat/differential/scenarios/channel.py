"""Channels"""

from differential.suite import for_each, raw_only, scenario


@for_each(one=1, seven=7, largest=65535)
def any_number(s, number):
    """A channel can have any number: {row}"""
    ch = s.connect().channel(number)
    ch.fence()
    ch.close()


@raw_only("pika opens a channel once")
@scenario
def opened_twice(s):
    """A channel that is open cannot be opened"""
    s.channel().ask("channel.open")


@scenario
def closed_and_reopened(s):
    """A closed channel can be opened again"""
    ch = s.channel()
    ch.close()
    ch = ch.reopen()
    ch.fence()


@raw_only("pika does not speak on closed channels")
@scenario
def used_after_close(s):
    """A closed channel cannot be used"""
    ch = s.channel()
    ch.close()
    ch.ask("queue.declare", queue="q")


@for_each(ordinary=200, error=404)
def close_code(s, code):
    """Any code closes a channel: {row}"""
    s.channel().close(reply_code=code, reply_text="because")


@raw_only("pika counts itself")
@scenario
def too_many(s):
    """More channels than agreed are refused"""
    connection = s.connect(channel_max=2)
    connection.channel(1)
    connection.channel(2)
    connection.channel(3)


@raw_only("pika counts itself")
@scenario
def limit_is_a_number_of_channels(s):
    """The limit is on the number of open channels, not on their numbers"""
    connection = s.connect(channel_max=2)
    connection.channel(10)
    connection.channel(65535)
    connection.channel(3)


@scenario
def flow(s):
    """channel.flow with active is answered"""
    s.channel().flow(True)


@scenario
def flow_off(s):
    """channel.flow without active is not implemented"""
    s.channel().flow(False)


@raw_only("pika has no access.request")
@scenario
def access_request(s):
    """access.request gives ticket 1"""
    ch = s.channel()
    ch.ask("access.request", realm="/data", active=True, write=True, read=True)


@raw_only("pika answers a close at once")
@scenario
def ignored_while_closing(s):
    """After channel.close everything is ignored until close-ok"""
    connection = s.connect()
    connection.driver.answers_close = False
    ch = connection.channel(1)
    ch.queue_declare("q", passive=True)
    ch.say("queue.declare", queue="q")
    ch.publish("", "q", "ignored")
    ch.say("channel.close-ok")
    ch = ch.reopen()
    ch.queue_declare("q", passive=True)


@raw_only("pika answers a close at once")
@scenario
def closes_cross(s):
    """When both sides close, both are answered"""
    connection = s.connect()
    connection.driver.answers_close = False
    ch = connection.channel(1)
    ch.queue_declare("nope", passive=True)
    ch.say("channel.close", reply_code=200)
    ch.until("channel.close-ok", lambda command: command.name == "channel.close-ok")
    ch.say("channel.close-ok")
    ch.reopen().fence()


@raw_only("pika answers a close at once")
@scenario
def opened_while_closing(s):
    """A channel that is closing cannot be opened"""
    connection = s.connect()
    connection.driver.answers_close = False
    ch = connection.channel(1)
    ch.queue_declare("nope", passive=True)
    ch.say("channel.open")
    ch.closed()


@raw_only("pika waits for answers")
@scenario
def pipelined(s):
    """Methods need not wait for answers"""
    ch = s.channel()
    for name, fields in (("queue.declare", {"queue": "q"}),
                         ("queue.bind", {"queue": "q", "exchange": "amq.direct", "routing_key": "k"}),
                         ("basic.qos", {"prefetch_count": 1}), ("queue.purge", {"queue": "q"}),
                         ("queue.delete", {"queue": "q"})):
        ch.say(name, **fields)
    ch.until("queue.delete-ok", lambda command: command.name == "queue.delete-ok")


@raw_only("pika waits for answers")
@scenario
def pipelined_after_an_error(s):
    """What follows an error is not done"""
    ch = s.channel()
    ch.say("queue.declare", queue="nope", passive=True)
    ch.say("queue.declare", queue="q")
    ch.closed()
    ch.reopen().count("q")


@scenario
def error_spares_the_others(s):
    """An error on one channel does not touch another"""
    connection = s.connect()
    one, two = connection.channel(1), connection.channel(2)
    one.queue_declare("nope", passive=True)
    two.fence()
    one.reopen().fence()


@scenario
def close_gives_back(s):
    """A channel's end cancels its consumers and gives back its messages"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.publish("", "q", "hello")
    ch.confirms()
    consumer = ch.connection.channel(2)
    consumer.consume("q")
    consumer.deliveries(1)
    consumer.close()
    s.until_count("q", messages=1, consumers=0)
    ch.get("q")


@scenario
def error_gives_back(s):
    """A channel's error cancels its consumers and gives back its messages"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.publish("", "q", "hello")
    ch.confirms()
    consumer = ch.connection.channel(2)
    consumer.consume("q")
    consumer.deliveries(1)
    consumer.ack(5)
    consumer.closed()
    s.until_count("q", messages=1, consumers=0)
    ch.get("q")
