"""A publisher and a consumer that work at the same time, each in its thread."""

from concurrent.futures import ThreadPoolExecutor

from scenarios.scene import Inbox, equal, publish

MESSAGES = 1000


def a_publisher_and_a_consumer_in_threads(scene):
    """threads: a consumer gets all that a publisher sends meanwhile, in order and once."""
    sender, receiver = scene.channel(), scene.channel()
    queue = scene.queue(sender, "threads")
    bodies = [f"message {number}".encode() for number in range(MESSAGES)]

    def consume():
        receiver.basic_qos(prefetch_count=50)
        inbox = Inbox(receiver, queue)
        for count in range(1, MESSAGES + 1):
            inbox.wait_for(count)
            inbox.ack()
        return inbox.bodies()

    with ThreadPoolExecutor(2) as pool:
        consumer = pool.submit(consume)
        pool.submit(publish, sender, queue, *bodies).result()
        equal(consumer.result(), bodies, "what was consumed")
    scene.hang_up()
    equal(scene.ready(queue), (0, 0), "messages and consumers")
