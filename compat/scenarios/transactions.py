"""AMQP transactions: publishes and acknowledgements take effect together, at the commit."""

from scenarios.scene import drain, equal, publish


def published_messages_appear_at_the_commit(scene):
    """tx: published messages appear at the commit, and those rolled back never."""
    channel = scene.channel()
    queue = scene.queue(channel, "tx")
    channel.tx_select()

    publish(channel, queue, b"taken back")
    channel.tx_rollback()
    publish(channel, queue, b"one", b"two")
    equal(scene.ready(queue), (0, 0), "before the commit")
    channel.tx_commit()

    equal(scene.ready(queue), (2, 0), "after the commit")
    equal(drain(scene.channel(), queue)[0], [b"one", b"two"], "the queue")


def a_rollback_forgets_messages_and_acknowledgements(scene):
    """tx: after a rollback a message is still unacknowledged, and returns when the channel closes."""
    channel = scene.channel()
    queue = scene.queue(channel, "tx.rollback")
    publish(channel, queue, b"one")
    worker = scene.channel()
    worker.tx_select()
    method, _, _ = worker.basic_get(queue)
    publish(worker, queue, b"result")
    worker.basic_ack(method.delivery_tag)
    worker.tx_rollback()
    worker.close()

    equal(drain(channel, queue), ([b"one"], [True]), "the queue")


def an_acknowledgement_counts_from_the_commit(scene):
    """tx: a result published and its cause acknowledged take effect with one commit."""
    channel = scene.channel()
    causes, results = scene.queue(channel, "tx.causes"), scene.queue(channel, "tx.results")
    publish(channel, causes, b"cause")
    worker = scene.channel()
    worker.tx_select()
    method, _, _ = worker.basic_get(causes)
    publish(worker, results, b"result")
    worker.basic_ack(method.delivery_tag)
    worker.tx_commit()
    worker.close()

    equal(drain(channel, causes), ([], []), "causes")
    equal(drain(channel, results), ([b"result"], [False]), "results")
