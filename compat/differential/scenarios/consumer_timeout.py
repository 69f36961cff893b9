"""Consumer timeout"""

from differential.suite import needs, scenario

SHORT = {"rabbitmq": "consumer_timeout = 400",
         "leveret": "consumer_timeout_ms = 400"}


@needs(**SHORT)
@scenario
def delivery(s):
    """A delivery that is not acknowledged in time closes the channel and goes back"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "t")
    ch.publish("", "q", "a")
    ch.deliveries(1)
    ch.closed()
    s.until_count("q", messages=1)
    s.channel().get("q", no_ack=True)


@needs(**SHORT)
@scenario
def get(s):
    """A message that was polled has the same time"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "a")
    ch.fence()
    ch.get("q")
    ch.closed()


@needs(**SHORT)
@scenario
def without_acknowledgement(s):
    """What needs no acknowledgement is never late"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.consume("q", "t", no_ack=True)
    ch.publish("", "q", "a")
    ch.deliveries(1)
    s.pass_time(1200)
    ch.fence()
