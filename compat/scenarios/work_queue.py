"""Work queues: acknowledgements, fair dispatch, and what comes back to the queue."""

import subprocess
import sys

from harness.deadlines import eventually
from scenarios.scene import Inbox, drain, equal, publish


def two_workers_share_fairly(scene):
    """work queue: with prefetch 1 a busy worker gets nothing more, and the idle one does the rest."""
    sender, busy_channel, idle_channel = (scene.channel() for _ in range(3))
    queue = scene.queue(sender, "work", durable=True)
    busy_channel.basic_qos(prefetch_count=1)
    idle_channel.basic_qos(prefetch_count=1)
    busy, idle = Inbox(busy_channel, queue), Inbox(idle_channel, queue)

    publish(sender, queue, b"one", b"two", b"three", b"four", persistent=True)
    busy.wait_for(1)
    for done in range(1, 4):
        idle.wait_for(done)
        idle.ack()

    busy_channel.connection.process_data_events(time_limit=0)
    equal(len(busy.deliveries), 1, "messages with the busy worker")
    equal(sorted(busy.bodies() + idle.bodies()), sorted([b"one", b"two", b"three", b"four"]), "all work")
    equal(idle.bodies(), [b for b in (b"one", b"two", b"three", b"four") if b not in busy.bodies()],
          "order of the idle worker's messages")
    busy.ack()
    scene.hang_up()
    equal(scene.ready(queue), (0, 0), "messages and consumers")


def an_unacknowledged_message_is_not_handed_out_twice(scene):
    """work queue: a message with one worker is not given to another, and an ack removes it."""
    channel = scene.channel()
    queue = scene.queue(channel, "work.once")
    publish(channel, queue, b"one")
    inbox = Inbox(channel, queue)
    inbox.wait_for(1)

    equal(scene.channel().basic_get(queue), (None, None, None), "for another worker")
    inbox.ack()
    scene.hang_up()
    equal(scene.ready(queue), (0, 0), "messages and consumers")


def unacknowledged_messages_return_when_the_client_dies(scene):
    """work queue: when a worker is killed, its messages return in order and redelivered."""
    channel = scene.channel()
    queue = scene.queue(channel, "work.lost")
    publish(channel, queue, b"one", b"two", b"three")
    command = [sys.executable, "-u", "-m", "scenarios.forgetful_worker", str(scene.broker.port), queue, "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        try:
            taken = [worker.stdout.readline().strip() for _ in range(2)]
        finally:
            worker.kill()

    equal(taken, ["one", "two"], "what the worker had")
    eventually("the messages are back", lambda: scene.ready(queue) == (3, 0))
    equal(drain(channel, queue), ([b"one", b"two", b"three"], [True, True, False]), "the queue")


def unacknowledged_messages_return_when_the_channel_closes(scene):
    """work queue: when a channel closes, its messages return in order and redelivered."""
    channel, worker = scene.channel(), scene.channel()
    queue = scene.queue(channel, "work.closed")
    publish(channel, queue, b"one", b"two", b"three")
    inbox = Inbox(worker, queue)
    inbox.wait_for(3)
    worker.basic_ack(inbox.deliveries[1][0].delivery_tag)
    worker.connection.close()

    eventually("the messages are back", lambda: scene.ready(queue) == (2, 0))
    equal(drain(channel, queue), ([b"one", b"three"], [True, True]), "the queue")


def a_requeued_message_keeps_its_place(scene):
    """work queue: a message rejected with requeue comes first again, redelivered."""
    channel, worker = scene.channel(), scene.channel()
    queue = scene.queue(channel, "work.requeue")
    worker.basic_qos(prefetch_count=1)
    publish(channel, queue, b"one", b"two", b"three")
    inbox = Inbox(worker, queue)

    inbox.wait_for(1)
    inbox.reject(requeue=True)
    for done in range(2, 5):
        inbox.wait_for(done)
        inbox.ack()

    equal(inbox.bodies(), [b"one", b"one", b"two", b"three"], "deliveries")
    equal(inbox.redelivered(), [False, True, False, False], "redelivered")


def a_message_rejected_for_good_is_gone(scene):
    """work queue: a message rejected without requeue is gone."""
    channel, worker = scene.channel(), scene.channel()
    queue = scene.queue(channel, "work.reject")
    worker.basic_qos(prefetch_count=1)
    publish(channel, queue, b"one", b"two")
    inbox = Inbox(worker, queue)

    inbox.wait_for(1)
    inbox.reject(requeue=False)
    equal(inbox.wait_for(2), [b"one", b"two"], "deliveries")
    inbox.ack()
    scene.hang_up()
    equal(scene.ready(queue), (0, 0), "messages and consumers")
