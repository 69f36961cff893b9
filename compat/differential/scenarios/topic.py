"""Topic exchanges"""

from differential.suite import for_each, scenario

KEYS = ["", "a", "b", "a.b", "a.", ".", "a..b", "*", "#", "a.x.b", "a.x.y.b", ".a", "A", "a.b.c", "x.a.y",
        "a.a", "a.#", "b.a"]
PATTERNS = {"empty": "", "hash": "#", "star": "*", "hash hash": "#.#", "star star": "*.*", "star hash": "*.#",
            "hash star": "#.*", "a": "a", "a hash": "a.#", "a star": "a.*", "hash b": "#.b", "star b": "*.b",
            "hash a hash": "#.a.#", "a hash b": "a.#.b", "a star b": "a.*.b", "a empty b": "a..b", "a b": "a.b",
            "a empty": "a.", "empty empty": ".", "hash hash hash": "#.#.#", "star star star": "*.*.*",
            "a hash hash": "a.#.#", "star a hash": "*.a.#", "hash a": "#.a", "a star hash": "a.*.#",
            "hash star b": "#.*.b", "a hash star": "a.#.*", "star a star": "*.a.*", "text with star": "a*",
            "text with hash": "a.#b"}


@for_each(**PATTERNS)
def pattern(s, pattern):
    """Which routing keys match the words {row}"""
    ch = s.publisher()
    ch.exchange_declare("x", "topic")
    ch.queue_declare("q")
    ch.queue_bind("q", "x", pattern)
    for key in KEYS:
        ch.publish("x", key)
    count = ch.count("q").message_count
    ch.consume("q", no_ack=True)
    ch.deliveries(count)


@scenario
def once_through_many_bindings(s):
    """A message comes once, however many bindings match"""
    ch = s.publisher()
    ch.exchange_declare("x", "topic")
    ch.queue_declare("q")
    for key in ("a.b", "a.*", "#", "*.b", "#.b"):
        ch.queue_bind("q", "x", key)
    ch.publish("x", "a.b", "once")
    ch.count("q")
    for key in ("a.b", "a.*", "#", "*.b"):
        ch.queue_unbind("q", "x", key)
    ch.publish("x", "a.b", "by the last binding")
    ch.count("q")
    ch.queue_unbind("q", "x", "#.b")
    ch.publish("x", "a.b", "nowhere", mandatory=True)
    ch.returned()


@scenario
def same_words_with_other_arguments(s):
    """The same words with other arguments are another binding"""
    ch = s.publisher()
    ch.exchange_declare("x", "topic")
    ch.queue_declare("q")
    ch.queue_bind("q", "x", "a.*", arguments={"n": 1})
    ch.queue_bind("q", "x", "a.*", arguments={"n": 2})
    ch.queue_unbind("q", "x", "a.*", arguments={"n": 1})
    ch.publish("x", "a.b", "once")
    ch.count("q")
    ch.queue_unbind("q", "x", "a.*", arguments={"n": 2})
    ch.publish("x", "a.b", "nowhere", mandatory=True)
    ch.returned()


@scenario
def each_queue_its_words(s):
    """Each of several queues gets what its words match"""
    ch = s.publisher()
    words = {"errors": "*.error", "orders": "order.#", "all": "#", "none": "order.*.*"}
    for queue, pattern in words.items():
        ch.queue_declare(queue)
        ch.queue_bind(queue, "amq.topic", pattern)
    for key in ("order.error", "order.paid", "order", "mail.error", "mail"):
        ch.publish("amq.topic", key, key)
    for queue in words:
        ch.count(queue)


@scenario
def exchanges_bound_by_words(s):
    """Words between exchanges match the same way"""
    ch = s.channel()
    ch.exchange_declare("logs", "topic")
    ch.exchange_declare("errors", "fanout")
    ch.exchange_bind("errors", "logs", "*.error")
    ch.queue_declare("q")
    ch.queue_bind("q", "errors")
    ch.publish("logs", "disk.error", "yes")
    ch.publish("logs", "disk.warning", "no")
    ch.get("q", no_ack=True)
    ch.get("q", no_ack=True)
