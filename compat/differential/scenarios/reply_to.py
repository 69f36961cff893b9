"""Direct reply-to"""

from differential.suite import scenario

REPLY_TO = "amq.rabbitmq.reply-to"


def _value(command, name):
    return next(value.decode() for field, value in command.properties if field == name)


def _requester(s):
    """Channel 1 of a connection that consumes replies, and the address its request carries."""
    ch = s.channel()
    ch.queue_declare("work", exclusive=True)
    ch.consume(REPLY_TO, "me", no_ack=True)
    return ch, _asks(ch)


def _asks(ch):
    ch.publish("", "work", "question", reply_to=REPLY_TO, correlation_id="7", content_type="text/plain")
    ch.fence()
    return _value(ch.get("work", no_ack=True), "reply_to")


@scenario
def request_and_answer(s):
    """An answer to a rewritten reply_to is delivered to the requester"""
    ch, address = _requester(s)
    responder = s.channel()
    responder.publish("", address, "answer", correlation_id="7", delivery_mode=2)
    responder.fence()
    ch.deliveries(1)


@scenario
def without_acknowledgement_only(s):
    """A reply consumer must use no_ack"""
    s.channel().consume(REPLY_TO, "me")


@scenario
def one_on_a_channel(s):
    """A channel has one reply consumer"""
    ch = s.channel()
    ch.consume(REPLY_TO, "me", no_ack=True)
    ch.consume(REPLY_TO, "other", no_ack=True)


@scenario
def generated_tag(s):
    """A reply consumer without a tag gets one"""
    s.channel().consume(REPLY_TO, "", no_ack=True)


@scenario
def no_consumer(s):
    """A request needs a reply consumer"""
    ch = s.channel()
    ch.publish("", "nowhere", reply_to=REPLY_TO)
    ch.fence()


@scenario
def consumer_of_another_channel(s):
    """A request needs a reply consumer on its own channel"""
    ch, _ = _requester(s)
    other = ch.connection.channel(2)
    other.publish("", "nowhere", reply_to=REPLY_TO)
    other.fence()


@scenario
def cancelled(s):
    """After a cancel there are neither requests nor answers"""
    ch, address = _requester(s)
    ch.cancel("me")
    responder = s.channel()
    responder.publish("", address, "late", mandatory=True)
    responder.returned()
    ch.publish("", "work", reply_to=REPLY_TO)
    ch.fence()


@scenario
def consumed_again(s):
    """A second reply consumer on the channel has another address"""
    ch, address = _requester(s)
    ch.cancel("me")
    ch.consume(REPLY_TO, "me", no_ack=True)
    again = _asks(ch)
    ch.publish("", address, "to the first")
    ch.publish("", again, "to the second")
    ch.deliveries(1)


@scenario
def declare_tells_who_waits(s):
    """A declare of an address, active or passive, tells whether the requester waits"""
    ch, address = _requester(s)
    responder = s.channel()
    responder.ask("queue.declare", queue=address)
    responder.count(address)
    ch.cancel("me")
    responder.count(address)


@scenario
def declare_of_the_bare_name(s):
    """The bare name can be declared by anybody"""
    ch = s.channel()
    ch.ask("queue.declare", queue=REPLY_TO)
    ch.count(REPLY_TO)


@scenario
def get(s):
    """The pseudo-queue cannot be polled"""
    s.channel().get(REPLY_TO)


@scenario
def delete(s):
    """The pseudo-queue counts as deleted"""
    s.channel().ask("queue.delete", queue=REPLY_TO)


@scenario
def bind(s):
    """The pseudo-queue cannot be bound"""
    s.channel().queue_bind(REPLY_TO, "amq.direct", "k")


@scenario
def confirmed(s):
    """An answer is confirmed"""
    ch, address = _requester(s)
    responder = s.channel()
    responder.confirm_select()
    responder.publish("", address, "answer")
    responder.confirm()
    ch.deliveries(1)


@scenario
def mandatory(s):
    """A mandatory answer to a requester that waits"""
    ch, address = _requester(s)
    responder = s.channel()
    responder.confirm_select()
    responder.publish("", address, "answer", mandatory=True)
    responder.confirm()
    ch.deliveries(1)


@scenario
def in_a_transaction(s):
    """An answer in a transaction that is rolled back"""
    ch, address = _requester(s)
    responder = s.channel()
    responder.tx_select()
    responder.publish("", address, "rolled back")
    responder.tx_rollback()
    responder.publish("", address, "committed")
    responder.tx_commit()
    ch.deliveries(1)
    ch.fence()


@scenario
def beside_a_consumer(s):
    """Answers and deliveries share a channel"""
    ch, address = _requester(s)
    ch.queue_declare("q", exclusive=True)
    ch.consume("q", "t", no_ack=True)
    ch.publish("", "q", "a")
    ch.deliveries(1)
    ch.publish("", address, "answer")
    ch.deliveries(1)
    ch.publish("", "q", "b")
    ch.deliveries(1)


@scenario
def ordinary_reply_to(s):
    """Another reply_to passes unchanged"""
    ch = s.channel()
    ch.queue_declare("q", exclusive=True)
    ch.publish("", "q", "question", reply_to="replies")
    ch.fence()
    ch.get("q", no_ack=True)


@scenario
def hidden_keys(s):
    """An answer does not show its BCC keys"""
    ch, address = _requester(s)
    responder = s.channel()
    responder.publish("", address, "answer", headers={"BCC": ["elsewhere"], "CC": ["there"]})
    responder.fence()
    ch.deliveries(1)
