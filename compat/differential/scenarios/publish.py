"""Publishing"""

from differential.suite import for_each, raw_only, scenario


@scenario
def mandatory_is_returned_before_its_confirm(s):
    """An unroutable mandatory message is returned before it is confirmed"""
    ch = s.channel()
    ch.confirm_select()
    ch.publish("", "nope", "hello", mandatory=True, content_type="text/plain", headers={"a": 1})
    ch.returned()
    ch.confirm()


@scenario
def missing_exchange(s):
    """Publishing to a missing exchange closes the channel"""
    ch = s.channel()
    ch.publish("nope", "k", "hello")
    ch.closed()


@raw_only("pika has no immediate flag")
@scenario
def immediate(s):
    """The immediate flag is not implemented"""
    ch = s.channel()
    ch.publish("", "q", "hello", immediate=True)
    ch.closed()


@for_each(text="abc", empty="", space=" 5", fraction="1.5", negative="-1", too_large="315360000001")
def invalid_expiration(s, expiration):
    """An expiration that is no number of milliseconds is refused: {row}"""
    ch = s.channel()
    ch.publish("", "q", "hello", expiration=expiration)
    ch.closed()
