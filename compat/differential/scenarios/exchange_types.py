"""The exchange types of plugins"""

from differential.suite import for_each, scenario
from differential.wire import Typed

HASH = "x-consistent-hash"
HISTORY = "x-recent-history"
LENGTH = "x-recent-history-length"


def bound(s, type, key="1", arguments=None):
    """A channel, with an exchange and a queue that is bound to it."""
    ch = s.channel()
    ch.exchange_declare("x", type, arguments=arguments or {})
    ch.queue_declare("q")
    ch.queue_bind("q", "x", key)
    return ch


def arrives(s, ch, queue="q", count=1):
    """Gets messages, when they are there: neither binding nor publishing waits for the queue."""
    ch.fence()
    s.until_count(queue, messages=count)
    for _ in range(count):
        ch.get(queue)


@for_each(hash=HASH, modulus="x-modulus-hash", random="x-random", history=HISTORY)
def only_queue(s, type):
    """The only queue of an {row} exchange gets every message, whatever its key"""
    ch = bound(s, type)
    ch.publish("x", "a", "one")
    ch.publish("x", "", "two")
    ch.publish("x", "c", "three", headers={"CC": ["d", "e"]})
    arrives(s, ch, count=3)


@for_each(hash=HASH, modulus="x-modulus-hash", random="x-random", history=HISTORY)
def nothing_bound(s, type):
    """A mandatory message to an {row} exchange without bindings comes back"""
    ch = s.channel()
    ch.exchange_declare("x", type)
    ch.publish("x", "k", "back", mandatory=True)
    ch.returned()


@for_each(one="1", plus="+1", zeros="01", many="1000", zero="0", negative="-1", minus_zero="-0",
          words="abc", nothing="", fraction="1.5", space=" 1", sign="+", hexadecimal="0x5",
          quoted='a"b\\', control="a\x01b")
def weight(s, key):
    """The binding key of a consistent hash is a weight: {row}"""
    ch = s.channel()
    ch.exchange_declare("x", HASH)
    ch.queue_declare("q")
    ch.queue_bind("q", "x", key)


@scenario
def weight_of_an_exchange(s):
    """A weight is asked of exchanges too"""
    ch = s.channel()
    ch.exchange_declare("x", HASH)
    ch.exchange_bind("amq.fanout", "x", "abc")


@scenario
def weight_before_owner(s):
    """A bad weight is told before whose the queue is"""
    s.channel().queue_declare("q", exclusive=True)
    ch = s.connect().channel(1)
    ch.exchange_declare("x", HASH)
    ch.queue_bind("q", "x", "abc")


@scenario
def unbind_no_weight(s):
    """Unbinding with a key that is no weight succeeds"""
    ch = bound(s, HASH)
    ch.queue_unbind("q", "x", "abc")


@scenario
def unbound_hash(s):
    """What is unbound from a consistent hash gets nothing"""
    ch = bound(s, HASH)
    ch.queue_unbind("q", "x", "1")
    ch.publish("x", "k", "back", mandatory=True)
    ch.returned()


@for_each(header={"hash-header": "h"}, empty_header={"hash-header": ""},
          message_id={"hash-property": "message_id"}, correlation_id={"hash-property": "correlation_id"},
          timestamp={"hash-property": "timestamp"}, other_property={"hash-property": "app_id"},
          empty_property={"hash-property": ""}, number={"hash-header": 5},
          both={"hash-header": "h", "hash-property": "message_id"},
          both_and_bad={"hash-header": "h", "hash-property": "bad"})
def hash_arguments(s, arguments):
    """What a consistent hash hashes: {row}"""
    s.channel().exchange_declare("x", HASH, arguments=arguments)


@scenario
def hash_arguments_differ(s):
    """A consistent hash may be declared again with other arguments"""
    ch = s.channel()
    ch.exchange_declare("x", HASH, arguments={"hash-header": "a"})
    ch.exchange_declare("x", HASH, arguments={"hash-property": "nonsense"})


@for_each(header={"hash-header": "h"}, message_id={"hash-property": "message_id"},
          timestamp={"hash-property": "timestamp"})
def nothing_to_hash(s, arguments):
    """A message without what is hashed is routed all the same: {row}"""
    ch = bound(s, HASH, arguments=arguments)
    ch.publish("x", "k", "bare")
    ch.publish("x", "k", "other header", headers={"other": 1})
    arrives(s, ch, count=2)


@for_each(one=1, many=2**40, zero=0, negative=-1, words="abc", digits="5", boolean=True, void=None,
          table={"a": 1}, array=[1], unsigned=Typed("i", 5), octet=Typed("b", 5),
          unsigned_octet=Typed("B", 5), short=Typed("s", 5), long=Typed("L", 5), double=2.0)
def history_length(s, value):
    """The length of a recent history is a positive integer: {row}"""
    s.channel().exchange_declare("x", HISTORY, arguments={LENGTH: value})


@scenario
def history(s):
    """A queue that is bound later gets the last messages in order"""
    ch = bound(s, HISTORY, arguments={LENGTH: 2})
    for n in range(4):
        ch.publish("x", f"key {n}", f"body {n}", delivery_mode=2, headers={"n": n})
    ch.queue_declare("late")
    ch.fence()
    s.until_count("q", messages=4)
    ch.queue_bind("late", "x", "whatever")
    arrives(s, ch, "late", count=2)


@scenario
def history_default(s):
    """Twenty messages are remembered unless told otherwise"""
    ch = bound(s, HISTORY)
    for n in range(25):
        ch.publish("x", "k", str(n))
    ch.queue_declare("late")
    ch.fence()
    s.until_count("q", messages=25)
    ch.queue_bind("late", "x")
    ch.fence()
    s.until_count("late", messages=20)
    ch.get("late")


@scenario
def history_again(s):
    """Every new binding of a queue brings the history again, and an old one does not"""
    ch = bound(s, HISTORY, key="1")
    ch.publish("x", "k", "m")
    ch.fence()
    s.until_count("q", messages=1)
    ch.queue_bind("q", "x", "2")
    ch.fence()
    s.until_count("q", messages=2)
    ch.queue_bind("q", "x", "1")
    ch.count("q")


@for_each(true=True, false=False, words="true", number=1)
def no_store(s, value):
    """Only the header x-recent-history-no-store true keeps a message out of the history: {row}"""
    ch = bound(s, HISTORY)
    ch.publish("x", "k", "secret", headers={"x-recent-history-no-store": value})
    arrives(s, ch)
    ch.queue_declare("late")
    ch.queue_bind("late", "x")
    ch.publish("x", "k", "live")
    ch.fence()
    s.until_count("late", messages=1 if value is True else 2)
    ch.get("late")


@scenario
def history_unrouted(s):
    """A message that nobody was bound for is remembered"""
    ch = s.channel()
    ch.exchange_declare("x", HISTORY)
    ch.publish("x", "k", "early", mandatory=True)
    ch.returned()
    ch.queue_declare("late")
    ch.queue_bind("late", "x")
    arrives(s, ch, "late")


@scenario
def history_through(s):
    """What comes from another exchange, or as from an alternate, is remembered"""
    ch = s.channel()
    ch.exchange_declare("x", HISTORY)
    ch.exchange_declare("front", "fanout")
    ch.exchange_bind("x", "front", "")
    ch.exchange_declare("main", "direct", arguments={"alternate-exchange": "x"})
    ch.publish("front", "a", "one")
    ch.publish("main", "b", "two")
    ch.fence()
    ch.queue_declare("late")
    ch.queue_bind("late", "x")
    arrives(s, ch, "late", count=2)


@scenario
def history_to_exchange(s):
    """An exchange that is bound later routes what is remembered"""
    ch = s.channel()
    ch.exchange_declare("x", HISTORY)
    ch.exchange_declare("behind", "fanout")
    ch.queue_declare("q")
    ch.queue_bind("q", "behind", "")
    ch.publish("x", "k", "one")
    ch.fence()
    ch.exchange_bind("behind", "x", "")
    arrives(s, ch, count=1)


@scenario
def history_to_exchange_order(s):
    """An exchange that is bound later gets several messages in an order"""
    ch = s.channel()
    ch.exchange_declare("x", HISTORY)
    ch.exchange_declare("behind", "fanout")
    ch.queue_declare("q")
    ch.queue_bind("q", "behind", "")
    ch.publish("x", "k", "one")
    ch.publish("x", "k", "two")
    ch.fence()
    ch.exchange_bind("behind", "x", "")
    arrives(s, ch, count=2)


@scenario
def history_to_nowhere(s):
    """An exchange that is bound later may lead nowhere"""
    ch = s.channel()
    ch.exchange_declare("x", HISTORY)
    ch.exchange_declare("behind", "direct")
    ch.publish("x", "k", "one")
    ch.fence()
    ch.exchange_bind("behind", "x", "")


@scenario
def history_of_a_transaction(s):
    """A publish that is rolled back, in the history"""
    ch = s.channel()
    ch.exchange_declare("x", HISTORY)
    ch.tx_select()
    ch.publish("x", "k", "undone")
    ch.tx_rollback()
    ch.queue_declare("late")
    ch.queue_bind("late", "x")
    ch.publish("x", "k", "committed")
    ch.tx_commit()
    ch.get("late")


@scenario
def local_random(s):
    """A local random exchange can be declared"""
    s.channel().exchange_declare("x", "x-local-random")
