"""Firehose"""

from differential.suite import needs, scenario

TRACED = {"vhosts": ["traced"], "traced": ["traced"]}


def _watched(s):
    """Somebody who gets copies, and a channel of somebody else."""
    watcher = s.connect(vhost="traced").channel(1)
    watcher.queue_declare("watch")
    watcher.queue_bind("watch", "amq.rabbitmq.trace", "#")
    return watcher, s.connect(vhost="traced").channel(3)


def _copies(s, watcher, count):
    s.until_count("watch", messages=count, vhost="traced")
    for _ in range(count):
        watcher.get("watch", no_ack=True)


@needs(**TRACED)
@scenario
def publish(s):
    """A publish is copied with its properties and the queues it went to"""
    watcher, ch = _watched(s)
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.topic", "a.*")
    ch.publish("amq.topic", "a.b", "hello", content_type="text/plain", headers={"a": 1, "b": "x"},
               delivery_mode=2, priority=3, correlation_id="7", reply_to="r", expiration="60000",
               message_id="m", timestamp=12345, type="t", user_id="guest", app_id="app")
    ch.fence()
    _copies(s, watcher, 1)


@needs(**TRACED)
@scenario
def unroutable(s):
    """A publish that goes nowhere is copied, too"""
    watcher, ch = _watched(s)
    ch.publish("amq.fanout", "nowhere", "hello")
    ch.fence()
    _copies(s, watcher, 1)


@needs(**TRACED)
@scenario
def get(s):
    """A get is copied each time"""
    watcher, ch = _watched(s)
    ch.queue_declare("q")
    ch.publish("", "q", "hello")
    ch.fence()
    _copies(s, watcher, 1)
    got = ch.get("q")
    ch.nack(got.delivery_tag, requeue=True)
    ch.fence()
    ch.get("q", no_ack=True)
    _copies(s, watcher, 2)


@needs(**TRACED)
@scenario
def delivery(s):
    """A delivery is copied"""
    watcher, ch = _watched(s)
    ch.queue_declare("q")
    ch.consume("q", "t", no_ack=True)
    ch.publish("", "q", "hello")
    ch.deliveries(1)
    s.until_count("watch", messages=2, vhost="traced")
    with s.any_order():
        for _ in range(2):
            watcher.get("watch", no_ack=True)


@needs(**TRACED)
@scenario
def hidden_keys(s):
    """CC and BCC keys are shown, the BCC header is not"""
    watcher, ch = _watched(s)
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.direct", "bcc")
    ch.publish("amq.direct", "k", "hello", headers={"CC": ["cc"], "BCC": ["bcc"]})
    ch.fence()
    _copies(s, watcher, 1)


@needs(**TRACED)
@scenario
def transaction(s):
    """A publish is copied though its transaction is rolled back"""
    watcher, ch = _watched(s)
    ch.tx_select()
    ch.publish("amq.direct", "k", "hello")
    ch.tx_rollback()
    _copies(s, watcher, 1)
