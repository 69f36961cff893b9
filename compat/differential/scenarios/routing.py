"""Routing: direct, fanout, default, alternate exchanges, CC and BCC"""

from differential.suite import for_each, scenario
from differential.wire import Typed


@scenario
def direct(s):
    """A direct exchange compares the whole key"""
    ch = s.publisher()
    for queue, key in (("q", "k"), ("r", "K"), ("all", "k"), ("empty", "")):
        ch.queue_declare(queue)
        ch.queue_bind(queue, "amq.direct", key)
    ch.publish("amq.direct", "k", "hello")
    ch.publish("amq.direct", "k.x", "nowhere", mandatory=True)
    ch.returned()
    for queue in ("q", "r", "all", "empty"):
        ch.count(queue)
    ch.publish("amq.direct", "", "no key")
    ch.count("empty")


@scenario
def fanout(s):
    """A fanout exchange looks at no key"""
    ch = s.channel()
    for queue, key in (("q", "k"), ("r", "")):
        ch.queue_declare(queue)
        ch.queue_bind(queue, "amq.fanout", key)
    ch.queue_bind("q", "amq.fanout", "again")
    ch.publish("amq.fanout", "anything", "hello")
    ch.get("q")
    ch.get("r")


@scenario
def default(s):
    """The default exchange knows every queue by its name"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello", mandatory=True)
    ch.publish("", "Q", "nowhere", mandatory=True)
    ch.returned()
    ch.get("q")


@scenario
def alternate(s):
    """What an exchange cannot route goes to its alternate exchange"""
    ch = s.channel()
    ch.exchange_declare("lost", "fanout")
    ch.exchange_declare("x", "direct", arguments={"alternate-exchange": "lost"})
    for queue, exchange in (("q", "x"), ("unrouted", "lost")):
        ch.queue_declare(queue)
        ch.queue_bind(queue, exchange, "k")
    ch.confirm_select()
    ch.publish("x", "k", "routed", mandatory=True)
    ch.confirm()
    ch.publish("x", "other", "not routed", mandatory=True)
    ch.confirm()
    ch.get("q")
    ch.get("unrouted")


@for_each(**{"missing": "nope", "without bindings": "lost"})
def alternate_leads_nowhere(s, name):
    """An alternate exchange that leads nowhere leaves a message unroutable: {row}"""
    ch = s.channel()
    ch.exchange_declare("lost", "fanout")
    ch.exchange_declare("x", "direct", arguments={"alternate-exchange": name})
    ch.publish("x", "k", "hello", mandatory=True)
    ch.returned()


@scenario
def alternate_of_the_alternate(s):
    """Alternate exchanges are tried one after the other, in a circle once"""
    ch = s.channel()
    ch.exchange_declare("x", arguments={"alternate-exchange": "y"})
    ch.exchange_declare("y", arguments={"alternate-exchange": "z"})
    ch.exchange_declare("z", arguments={"alternate-exchange": "x"})
    ch.publish("x", "k", "nowhere", mandatory=True)
    ch.returned()
    ch.queue_declare("q")
    ch.queue_bind("q", "z", "k")
    ch.publish("x", "k", "hello", mandatory=True)
    ch.get("q")


@scenario
def alternate_of_an_exchange_behind(s):
    """An exchange behind another uses its own alternate exchange"""
    ch = s.publisher()
    ch.exchange_declare("lost", "fanout")
    ch.exchange_declare("y", "direct", arguments={"alternate-exchange": "lost"})
    ch.exchange_declare("x", "fanout")
    ch.exchange_bind("y", "x")
    for queue, exchange in (("q", "x"), ("unrouted", "lost")):
        ch.queue_declare(queue)
        ch.queue_bind(queue, exchange)
    ch.publish("x", "k", "hello")
    ch.count("q")
    ch.count("unrouted")


@scenario
def alternate_is_internal(s):
    """An internal exchange can be an alternate exchange"""
    ch = s.channel()
    ch.exchange_declare("lost", "fanout", internal=True)
    ch.exchange_declare("x", arguments={"alternate-exchange": "lost"})
    ch.queue_declare("q")
    ch.queue_bind("q", "lost")
    ch.publish("x", "k", "hello")
    ch.get("q")


@for_each(**{"CC": {"CC": ["b", "c"]}, "BCC": {"BCC": ["b", "c"]}, "both": {"CC": ["b"], "BCC": ["c"]},
             "CC with itself": {"CC": ["a", "b"]}, "empty": {"CC": []},
             "items of other types": {"CC": ["b", 1, None]}, "lower case": {"cc": ["b"]},
             "octets": {"CC": [b"b"]}})
def carbon_copies(s, headers):
    """CC and BCC are more routing keys: {row}"""
    ch = s.channel()
    for queue in "abc":
        ch.queue_declare(queue)
        ch.queue_bind(queue, "amq.direct", queue)
    ch.publish("amq.direct", "a", "hello", headers=headers)
    for queue in "abc":
        ch.get(queue)


@for_each(**{"CC a text": {"CC": "b"}, "BCC a text": {"BCC": "b"}, "CC a table": {"CC": {}},
             "CC an integer": {"CC": 1}, "CC void": {"CC": None}, "CC a long": {"CC": Typed("l", 1)},
             "both": {"CC": 1, "BCC": 1}})
def carbon_copies_that_are_no_arrays(s, headers):
    """CC and BCC that are no arrays are refused: {row}"""
    ch = s.channel()
    ch.publish("", "q", "hello", headers=headers)
    ch.closed()


@scenario
def carbon_copies_returned(s):
    """A message that comes back has its CC, but not its BCC"""
    ch = s.channel()
    ch.publish("", "nope", "hello", mandatory=True, headers={"CC": ["b"], "BCC": ["c"], "n": 1})
    ch.returned()


@scenario
def carbon_copies_once(s):
    """A queue that two of the keys reach gets the message once"""
    ch = s.publisher()
    ch.queue_declare("q")
    for key in "abc":
        ch.queue_bind("q", "amq.topic", key)
    ch.publish("amq.topic", "a", "once", headers={"CC": ["b", "c", "q"]})
    ch.count("q")
    ch.get("q")


@scenario
def copies_to_queues_by_name(s):
    """CC on the default exchange names more queues"""
    ch = s.channel()
    for queue in "abc":
        ch.queue_declare(queue)
    ch.publish("", "a", "hello", headers={"CC": ["b", "nope"], "BCC": ["c"]})
    for queue in "abc":
        ch.get(queue)


@for_each(**{"only the copy is routed": "b", "nothing is routed": "nope"})
def mandatory_copies(s, copy):
    """A mandatory message is returned if no key leads anywhere: {row}"""
    ch = s.publisher()
    ch.queue_declare("b")
    ch.publish("", "a", "hello", mandatory=True, headers={"CC": [copy]})
    ch.confirms()
    ch.count("b")


@scenario
def copies_and_the_alternate(s):
    """An alternate exchange is not asked if a copy is routed"""
    ch = s.publisher()
    ch.exchange_declare("lost", "fanout")
    ch.exchange_declare("x", arguments={"alternate-exchange": "lost"})
    for queue, exchange in (("q", "x"), ("unrouted", "lost")):
        ch.queue_declare(queue)
        ch.queue_bind(queue, exchange, "k")
    ch.publish("x", "other", "by its copy", headers={"CC": ["k"]})
    ch.publish("x", "other", "not at all", headers={"CC": ["another"]})
    ch.count("q")
    ch.get("unrouted")


@for_each(**{"x-match any": {"x-match": "any", "h": 1, "i": 2}, "fanout": {}})
def copies_do_not_matter(s, arguments):
    """CC changes nothing where keys do not count: {row}"""
    ch = s.publisher()
    ch.exchange_declare("x", "headers" if arguments else "fanout")
    ch.queue_declare("q")
    ch.queue_bind("q", "x", "k", arguments=arguments)
    ch.publish("x", "a", "once", headers={"CC": ["k", "l"], "h": 1})
    ch.count("q")


@scenario
def long_returned(s):
    """A long message comes back whole, in frames as large as agreed"""
    ch = s.connect(frame_max=4096).channel(1)
    ch.publish("", "nope", b"x" * 9000, mandatory=True, message_id="m")
    ch.returned()


@scenario
def several_returned(s):
    """Several messages come back in their order"""
    ch = s.publisher()
    for number in range(3):
        ch.publish("", "nope", str(number), mandatory=True)
        ch.publish("amq.fanout", "k", f"to amq.fanout {number}", mandatory=number == 1)
    for _ in range(4):
        ch.returned()
