"""What is there after the broker was killed and started again on the same data."""

from scenarios.scene import drain, equal, publish


def restarts(scenario):
    """Marks a scenario that needs a broker which the harness can restart."""
    scenario.restarts = True
    return scenario


@restarts
def persistent_messages_survive_a_kill(scene):
    """durability: confirmed persistent messages in a durable queue survive kill -9; nothing else does."""
    channel = scene.channel()
    durable = scene.queue(channel, "durable", durable=True)
    transient = scene.queue(channel, "transient")
    channel.confirm_delivery()
    publish(channel, durable, b"one", b"two", persistent=True)
    publish(channel, durable, b"forgettable")
    publish(channel, transient, b"lost with its queue", persistent=True)
    publish(channel, durable, b"three", persistent=True)

    scene.broker.kill_and_restart()

    equal(scene.ready(durable), (3, 0), "the durable queue")
    equal(scene.ready(transient), None, "the transient queue")
    equal(drain(scene.channel(), durable)[0], [b"one", b"two", b"three"], "messages")


@restarts
def committed_messages_survive_a_kill(scene):
    """durability: committed persistent messages survive kill -9, in order."""
    channel = scene.channel()
    queue = scene.queue(channel, "durable.tx", durable=True)
    channel.tx_select()
    publish(channel, queue, b"one", b"two", persistent=True)
    channel.tx_commit()
    publish(channel, queue, b"never committed", persistent=True)

    scene.broker.kill_and_restart()

    equal(drain(scene.channel(), queue)[0], [b"one", b"two"], "messages")
