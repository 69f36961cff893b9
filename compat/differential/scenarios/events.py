"""Event exchange"""

from differential.suite import needs, scenario

ON = {"leveret": 'event_exchange = "/"'}


def _watched(s, *keys):
    """Somebody who gets events with these keys, and a channel of somebody else."""
    ch = s.channel()
    watcher = s.channel()
    watcher.queue_declare("watch")
    for key in keys:
        watcher.queue_bind("watch", "amq.rabbitmq.event", key)
    return watcher, ch


def _events(s, watcher, count):
    s.until_count("watch", messages=count)
    for _ in range(count):
        watcher.get("watch", no_ack=True)


@needs(**ON)
@scenario
def queue(s):
    """A queue is created and deleted"""
    watcher, ch = _watched(s, "queue.*")
    ch.queue_declare("q", durable=True, arguments={"x-max-length": 5})
    ch.queue_delete("q")
    _events(s, watcher, 2)


@needs(**ON)
@scenario
def exclusive_queue(s):
    """An exclusive queue names its owner"""
    watcher, ch = _watched(s, "queue.created")
    ch.queue_declare("q", exclusive=True, auto_delete=True)
    _events(s, watcher, 1)


@needs(**ON)
@scenario
def exchange(s):
    """An exchange is created and deleted"""
    watcher, ch = _watched(s, "exchange.*")
    ch.exchange_declare("x", "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"})
    ch.exchange_delete("x")
    _events(s, watcher, 2)


@needs(**ON)
@scenario
def binding(s):
    """Bindings of a queue and of an exchange"""
    watcher, ch = _watched(s, "binding.*")
    _events(s, watcher, 1)
    ch.exchange_declare("x", "topic")
    ch.queue_declare("q")
    ch.queue_bind("q", "x", "k.*", arguments={"a": 1})
    ch.exchange_bind("amq.fanout", "x", "e2e")
    ch.queue_unbind("q", "x", "k.*", arguments={"a": 1})
    ch.exchange_unbind("amq.fanout", "x", "e2e")
    _events(s, watcher, 4)


@needs(**ON)
@scenario
def bindings_of_a_deleted_queue(s):
    """A deleted queue loses its bindings first"""
    watcher, ch = _watched(s, "binding.deleted", "queue.deleted")
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.direct", "k")
    ch.queue_delete("q")
    _events(s, watcher, 2)


@needs(**ON)
@scenario
def consumer(s):
    """A consumer is created and cancelled"""
    watcher, ch = _watched(s, "consumer.*")
    ch.queue_declare("q")
    ch.qos(5)
    ch.consume("q", "t", arguments={"x-priority": 5})
    ch.cancel("t")
    _events(s, watcher, 2)
