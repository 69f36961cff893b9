"""Declaring queues"""

from differential.suite import for_each, raw_only, scenario


@for_each(**{"durable": {"durable": True}, "exclusive": {"exclusive": True}, "auto-delete": {"auto_delete": True},
             "transient": {}, "everything": {"durable": True, "exclusive": True, "auto_delete": True}})
def new_queue(s, flags):
    """A new queue has no messages and no consumers: {row}"""
    ch = s.channel()
    ch.queue_declare("q", **flags)
    ch.queue_declare("q", **flags)


@scenario
def server_named(s):
    """A queue without a name gets one from the server"""
    ch = s.channel()
    ch.queue_declare("", exclusive=True)
    ch.queue_declare("", exclusive=True)


@scenario
def server_named_cannot_be_declared_again(s):
    """A generated name can be declared again passively only"""
    ch = s.channel()
    name = ch.queue_declare("", exclusive=True).queue
    ch.queue_declare(name, passive=True)
    ch.queue_declare(name, exclusive=True)


@for_each(missing="nope", empty="")
def passive_missing(s, queue):
    """A passive declare of a missing queue is refused: {row}"""
    ch = s.channel()
    ch.queue_declare(queue, passive=True)


@scenario
def reserved_name(s):
    """A name that begins with amq. is refused"""
    s.channel().queue_declare("amq.mine")


@for_each(**{"spaces": "a queue", "other letters": "очередь ✓", "punctuation": "a/b:c?d=e&f",
             "long": "q" * 255,
             "a quote": "it's"})
def names(s, queue):
    """Names may hold anything: {row}"""
    ch = s.channel()
    ch.queue_declare(queue)
    ch.publish("", queue, "hello")
    ch.queue_declare(queue, durable=True)


@raw_only("pika waits for an answer with the name it sent")
@scenario
def line_breaks(s):
    """Line breaks are taken out of names, but not of routing keys"""
    ch = s.publisher()
    ch.queue_declare("a\r\nb")
    ch.publish("", "a\r\nb", "nowhere")
    ch.publish("", "ab", "hello")
    ch.count("ab")
    ch.queue_declare("a\r\nb", durable=True)


@scenario
def counts(s):
    """A declare counts ready messages and consumers"""
    ch = s.publisher()
    ch.queue_declare("q")
    for body in "abc":
        ch.publish("", "q", body)
    ch.qos(1)
    ch.consume("q")
    ch.deliveries(1)
    ch.count("q")
    ch.ack(1)
    ch.deliveries(1)
    ch.count("q")
    ch.publish("nope", "x")
    ch.closed()
    s.until_count("q", messages=2, consumers=0)
    ch = ch.reopen()
    ch.get("q")


@scenario
def without_waiting(s):
    """Without waiting nothing is answered"""
    ch = s.channel()
    ch.queue_declare("q", nowait=True)
    ch.count("q")


@raw_only("pika names no queue by leaving its name out")
@scenario
def last_declared(s):
    """An empty name means the queue declared last on the channel"""
    ch = s.publisher()
    ch.queue_declare("q")
    ch.queue_bind("", "amq.direct")
    ch.publish("amq.direct", "q", "by the queue's own name as key")
    ch.count("q")
    ch.get("")
    ch.ack(0, multiple=True)
    ch.consume("", "t")
    ch.cancel("t")
    ch.queue_purge("")
    ch.queue_unbind("", "amq.direct", "q")
    ch.queue_delete("")
    ch.queue_delete("q")


@for_each(**{"get": "basic.get", "consume": "basic.consume", "purge": "queue.purge", "delete": "queue.delete"})
def none_declared(s, method):
    """An empty name without a queue declared before is refused: {row}"""
    fields = {"consumer_tag": "t"} if method == "basic.consume" else {}
    s.channel().ask(method, queue="", **fields)


@scenario
def none_declared_to_bind(s):
    """Binding an empty name without a queue declared before is refused"""
    s.channel().queue_bind("", "amq.direct", "k")
