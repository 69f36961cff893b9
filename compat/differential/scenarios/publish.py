"""Publishing"""

from datetime import datetime, timezone

from differential.suite import for_each, needs, raw_only, scenario
from differential.wire import Typed


@scenario
def mandatory_is_returned_before_its_confirm(s):
    """An unroutable mandatory message is returned before it is confirmed"""
    ch = s.publisher()
    ch.publish("", "nope", "hello", mandatory=True, content_type="text/plain", headers={"a": 1})
    ch.returned()
    ch.confirm()


@scenario
def not_mandatory(s):
    """An unroutable message that is not mandatory is dropped, and confirmed"""
    ch = s.publisher()
    ch.publish("", "nope", "hello")
    ch.confirm()


@scenario
def mandatory_to_a_full_queue(s):
    """A mandatory message that a full queue refuses is not returned"""
    ch = s.publisher()
    ch.queue_declare("q", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    ch.publish("", "q", "hello", mandatory=True)
    ch.confirms()


@for_each(**{"missing": "nope", "default, missing queue": ""})
def exchange(s, exchange):
    """Publishing to an exchange that leads nowhere: {row}"""
    ch = s.channel()
    ch.publish(exchange, "nope", "hello")
    ch.fence()


@scenario
def what_follows_an_error_is_dropped(s):
    """What is published after an error is dropped until the channel is open again"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.publish("nope", "q", "lost")
    ch.publish("", "q", "dropped")
    ch.closed()
    ch = ch.reopen()
    ch.publish("", "q", "arrives")
    ch.get("q")
    ch.get("q")


@raw_only("pika has no immediate flag")
@scenario
def immediate(s):
    """The immediate flag is not implemented"""
    ch = s.channel()
    ch.publish("", "q", "hello", immediate=True)
    ch.closed()


@for_each(text="abc", empty="", space=" 5", fraction="1.5", negative="-1", too_large="315360000001",
          space_after="5 ", plus="+5", hexadecimal="0x10", digits_and_text="10ms", very_large="9" * 40)
def invalid_expiration(s, expiration):
    """An expiration that is no number of milliseconds is refused: {row}"""
    ch = s.channel()
    ch.publish("", "q", "hello", expiration=expiration)
    ch.fence()


@for_each(leading_zeros="0060000", largest="315360000000", minute="60000")
def valid_expiration(s, expiration):
    """An expiration is delivered as it was sent: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello", expiration=expiration)
    ch.get("q")


@for_each(zero=0, three=3, largest=255)
def delivery_mode(s, mode):
    """A delivery mode other than 1 and 2: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello", delivery_mode=mode)
    ch.fence()
    if ch.is_open:
        ch.get("q")


@for_each(own="guest", anothers="bob", empty="")
def user_id(s, user):
    """A user-id must be one's own: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello", user_id=user)
    ch.fence()
    if ch.is_open:
        ch.get("q")


@for_each(**{
    "none": {}, "all": {
        "content_type": "text/plain", "content_encoding": "utf-8", "headers": {"a": 1}, "delivery_mode": 2,
        "priority": 5, "correlation_id": "c", "reply_to": "r", "expiration": "60000", "message_id": "m",
        "timestamp": 1700000000, "type": "t", "user_id": "guest", "app_id": "a", "cluster_id": "cl"},
    "priority 255": {"priority": 255}, "priority 0": {"priority": 0}, "empty headers": {"headers": {}},
    "largest timestamp": {"timestamp": 2**64 - 1}, "long correlation": {"correlation_id": "c" * 255},
    "empty texts": {"content_type": "", "message_id": "", "type": ""}, "reply to a queue": {"reply_to": "q"},
    "other letters": {"message_id": "письмо ✓", "headers": {"ключ": "значение"}},
})
def properties(s, properties):
    """Properties arrive as they were sent: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello", **properties)
    ch.get("q")


@raw_only("a property that is no UTF-8")
@scenario
def property_octets(s):
    """Properties may hold octets that are no text"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello", message_id=b"\xff\xfe\x00")
    ch.get("q")


HEADER_VALUES = {
    "boolean": True, "false": False, "octet": Typed("b", -1), "unsigned octet": Typed("B", 200),
    "short": Typed("s", -3), "unsigned short": Typed("u", 60000), "integer": -5,
    "unsigned integer": Typed("i", 4000000000),
    "long": 2**40, "long tagged L": Typed("L", 9), "negative tagged L": Typed("L", 2**64 - 1 - 2**64),
    "float": Typed("f", 1.5), "double": 2.5, "decimal": Typed("D", (2, 314)), "text": "str", "empty text": "",
    "octets": b"\x00\xff", "timestamp": datetime(2020, 1, 1, tzinfo=timezone.utc), "void": None, "array": [1, "a", [2]],
    "empty array": [], "table": {"n": {"m": 1}}, "empty table": {},
    "typed array": [Typed("s", 1), Typed("d", 1.5), None],
    "long text": "x" * 70000,
}


@for_each(**HEADER_VALUES)
def header(s, value):
    """A header of every type arrives as it was sent: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello", headers={"h": value})
    ch.get("q")


@raw_only("a key twice")
@scenario
def header_twice(s):
    """Keys that come twice, and their order, arrive as they were sent"""
    s.transcript.sort_tables = False
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "hello", headers=[("z", 1), ("a", 2), ("z", 3)])
    ch.get("q")


@for_each(empty=0, one=1, a_frame=131064, more_than_a_frame=131065, three_frames=300000)
def body_size(s, size):
    """Bodies of any size arrive: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", b"\xce" * size)
    ch.get("q")


@needs(rabbitmq="max_message_size = 1000", leveret="max_message_size = 1000")
@for_each(largest=1000, larger=1001)
def limited_size(s, size):
    """A body larger than the configured size is refused: {row}"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", b"x" * size)
    ch.fence()


@raw_only("pika takes seconds over it")
@scenario
def twenty_mebibytes(s):
    """A body of 20 MiB is not too large by default, though it would be in RabbitMQ 4"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.publish("", "q", b"x" * (20 * 1024 * 1024))
    ch.count("q")


@scenario
def small_frames(s):
    """Bodies come in frames no larger than what was agreed"""
    ch = s.connect(frame_max=4096).channel(1)
    ch.queue_declare("q")
    ch.publish("", "q", b"x" * 10000)
    ch.get("q")
    ch.consume("q")
    ch.publish("", "q", b"y" * 4088)
    ch.deliveries(1)
    ch.publish("", "q", b"z" * 4089)
    ch.deliveries(1)


@scenario
def order(s):
    """Messages stay in the order in which they were published"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.queue_bind("q", "amq.direct", "k")
    for number in range(10):
        ch.publish("amq.direct" if number % 2 else "", "k" if number % 2 else "q", str(number))
    ch.consume("q", no_ack=True)
    ch.deliveries(10)


@scenario
def reply_to_without_a_consumer(s):
    """Direct reply-to needs a reply consumer on the same channel"""
    ch = s.channel()
    ch.publish("", "q", "hello", reply_to="amq.rabbitmq.reply-to")
    ch.fence()
