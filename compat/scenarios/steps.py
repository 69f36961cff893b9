"""A business transaction as JSON steps in a queue, done one after the other."""

import json

from scenarios.scene import Inbox, equal, publish_json

STEPS = ({"action": "create_user", "data": {"username": "test"}},
         {"action": "update_user", "data": {"username": "test", "name": "Tëst"}},
         {"action": "delete_user", "data": {"username": "test"}})


def worker_with_steps(scene, name):
    """A queue that holds the steps, and a worker that takes one at a time."""
    sender, worker = scene.channel(), scene.channel()
    queue = scene.queue(sender, name)
    publish_json(sender, queue, *STEPS)
    worker.basic_qos(prefetch_count=1)
    return queue, Inbox(worker, queue)


def actions(inbox):
    return [json.loads(body)["action"] for body in inbox.bodies()]


def steps_are_done_in_order(scene):
    """steps: create, update and delete arrive in order, each after the last was acknowledged."""
    queue, inbox = worker_with_steps(scene, "steps")
    users = {}
    for number, expected in enumerate(STEPS, start=1):
        step = json.loads(inbox.wait_for(number)[-1])
        equal(step, expected, f"step {number}")
        equal(len(inbox.deliveries), number, "steps handed out")
        if step["action"] == "delete_user":
            del users["test"]
        else:
            users["test"] = step["data"]
        inbox.ack()

    equal(users, {}, "users at the end")
    scene.hang_up()
    equal(scene.ready(queue), (0, 0), "messages and consumers")


def a_failed_step_is_tried_again_before_the_next(scene):
    """steps: a step that fails is tried again before the next one."""
    _, inbox = worker_with_steps(scene, "steps.retried")
    inbox.wait_for(1)
    inbox.ack()
    for attempt in range(2, 4):
        inbox.wait_for(attempt)
        inbox.reject(requeue=True)
    for attempt in range(4, 6):
        inbox.wait_for(attempt)
        inbox.ack()

    equal(actions(inbox), ["create_user", *["update_user"] * 3, "delete_user"], "attempts")
    equal(inbox.redelivered(), [False, False, True, True, False], "redelivered")
