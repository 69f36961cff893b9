"""Publisher confirms"""

from differential.suite import for_each, scenario


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
def selected_again(s):
    """Selecting confirms again changes nothing"""
    ch = s.publisher()
    ch.publish("", "nope", "one")
    ch.confirm()
    ch.confirm_select()
    ch.publish("", "nope", "two")
    ch.confirm()


@scenario
def selected_without_waiting(s):
    """Selecting confirms without waiting answers nothing"""
    ch = s.channel()
    ch.confirm_select(nowait=True)
    ch.publish("", "nope", "one")
    ch.confirm()


@scenario
def after_tx(s):
    """A transactional channel cannot switch to confirms"""
    ch = s.channel()
    ch.tx_select()
    ch.confirm_select()


@scenario
def before_tx(s):
    """A confirming channel cannot switch to transactions"""
    ch = s.channel()
    ch.confirm_select()
    ch.tx_select()


@for_each(transient=1, persistent=2)
def many(s, mode):
    """Many publishes are all confirmed: {row}"""
    ch = s.publisher()
    ch.queue_declare("q", durable=True)
    for number in range(50):
        ch.publish("", "q", str(number), delivery_mode=mode)
    ch.confirms()
    ch.count("q")


@scenario
def to_several_queues(s):
    """A message to several queues is confirmed once"""
    ch = s.publisher()
    for queue in ("q", "r"):
        ch.queue_declare(queue, durable=True)
        ch.queue_bind(queue, "amq.fanout")
    ch.publish("amq.fanout", "", "hello", delivery_mode=2)
    ch.confirm()
    ch.count("q")
    ch.count("r")


@scenario
def refused_by_a_full_queue(s):
    """A message that a full queue refuses is nacked"""
    ch = s.publisher()
    ch.queue_declare("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    ch.publish("", "q", "one")
    ch.confirm()
    ch.publish("", "q", "two")
    ch.confirm()
    ch.count("q")
    ch.get("q", no_ack=True)
    ch.publish("", "q", "three")
    ch.confirm()


@scenario
def refused_by_one_of_two(s):
    """A message that one of two queues refuses is nacked, and stays in the other"""
    ch = s.publisher()
    ch.queue_declare("q", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    ch.queue_declare("r")
    for queue in "qr":
        ch.queue_bind(queue, "amq.fanout")
    ch.publish("amq.fanout", "", "hello")
    ch.publish("amq.direct", "", "unroutable")
    ch.confirms()
    ch.count("q")
    ch.count("r")


@scenario
def dropped_head_is_confirmed(s):
    """What is dropped from the head of a full queue stays confirmed"""
    ch = s.publisher()
    ch.queue_declare("q", arguments={"x-max-length": 1})
    for body in "abc":
        ch.publish("", "q", body)
    ch.confirms()
    ch.get("q")


@scenario
def consumed_at_once(s):
    """A message that is consumed at once is confirmed"""
    ch = s.publisher()
    ch.queue_declare("q", durable=True)
    consumer = s.channel()
    consumer.consume("q", no_ack=True)
    ch.publish("", "q", "hello", delivery_mode=2)
    ch.confirm()
    consumer.deliveries(1)


@scenario
def numbering_begins_anew(s):
    """A channel that is opened again counts from 1"""
    ch = s.publisher()
    ch.publish("", "nope", "one")
    ch.confirm()
    ch.close()
    ch = ch.reopen()
    ch.publish("", "nope", "not confirmed")
    ch.confirm_select()
    ch.publish("", "nope", "one")
    ch.confirm()


@scenario
def error_takes_confirms_along(s):
    """After an error on the channel nothing is confirmed any more"""
    ch = s.publisher()
    ch.publish("nope", "k", "one")
    ch.publish("", "nope", "two")
    ch.closed()


@for_each(returned=True, dropped=None)
def of_unroutable_messages(s, mandatory):
    """Messages that no queue gets are confirmed one by one, however many come at once: {row}"""
    ch = s.publisher()
    for number in range(5):
        ch.publish("", "nope", f"{number}", mandatory=mandatory)
    for _ in range(5):
        if mandatory:
            ch.returned()
        ch.confirm()
