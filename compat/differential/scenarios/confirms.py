"""Publisher confirms"""

from differential.suite import scenario


@scenario
def numbered_from_one(s):
    """Confirms are numbered from 1 on, each on its channel"""
    ch = s.channel()
    ch.queue_declare("q")
    ch.publish("", "q", "before")
    ch.confirm_select()
    ch.publish("", "q", "one")
    ch.confirm()
    ch.publish("", "nope", "unroutable")
    ch.confirm()
    second = ch.connection.channel(2)
    second.confirm_select()
    second.publish("", "q", "one")
    second.confirm()


@scenario
def after_tx(s):
    """A transactional channel cannot switch to confirms"""
    ch = s.channel()
    ch.tx_select()
    ch.confirm_select()


@scenario
def refused_by_a_full_queue(s):
    """A message that a full queue refuses is nacked"""
    ch = s.channel()
    ch.confirm_select()
    ch.queue_declare("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    ch.publish("", "q", "one")
    ch.confirm()
    ch.publish("", "q", "two")
    ch.confirm()
    ch.count("q")
