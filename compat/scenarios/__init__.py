"""Our own pika programs: what the documents talk about, with assertions, on any broker.

A scenario is a function that gets a `Scene`; the first line of its docstring is its title.
"""

import traceback
from concurrent.futures import ThreadPoolExecutor

from harness.broker import BrokerFailed
from harness.deadlines import within
from scenarios import (
    confirms, demos, durability, hello, refusals, steps, threads, transactions, work_queue)
from scenarios.scene import Scene

SCENARIO_DEADLINE = 120.0
SCENARIOS = [
    hello.a_message_reaches_its_consumer,
    hello.messages_wait_for_a_consumer,
    hello.an_empty_queue_says_so,
    work_queue.two_workers_share_fairly,
    work_queue.an_unacknowledged_message_is_not_handed_out_twice,
    work_queue.unacknowledged_messages_return_when_the_client_dies,
    work_queue.unacknowledged_messages_return_when_the_channel_closes,
    work_queue.a_requeued_message_keeps_its_place,
    work_queue.a_message_rejected_for_good_is_gone,
    steps.steps_are_done_in_order,
    steps.a_failed_step_is_tried_again_before_the_next,
    threads.a_publisher_and_a_consumer_in_threads,
    confirms.every_publish_is_confirmed,
    confirms.an_unroutable_mandatory_message_comes_back,
    transactions.published_messages_appear_at_the_commit,
    transactions.a_rollback_forgets_messages_and_acknowledgements,
    transactions.an_acknowledgement_counts_from_the_commit,
    refusals.a_queue_cannot_be_declared_differently,
    refusals.an_unknown_exchange_closes_the_channel,
    refusals.an_unknown_delivery_tag_closes_the_channel,
    durability.persistent_messages_survive_a_kill,
    durability.committed_messages_survive_a_kill,
    demos.a_rejected_message_comes_back_after_a_delay,
    demos.a_rejected_message_stays_away_longer_every_time,
    demos.a_call_is_answered_without_a_reply_queue,
    demos.what_is_urgent_leaves_first,
    demos.another_takes_over_from_a_single_active_consumer,
]


def title(scenario):
    return scenario.__doc__.splitlines()[0].rstrip(".")


def titles():
    return [title(scenario) for scenario in SCENARIOS]


def play(scenario, source):
    """How one scenario goes: `passed`, `skipped` or `FAILED`, and why."""
    with source.broker() as broker:
        if getattr(scenario, "restarts", False) and not broker.can_restart:
            return "skipped", "this broker is not ours to restart"
        if getattr(scenario, "beyond_rabbitmq", False) and broker.is_rabbitmq():
            return "skipped", "RabbitMQ does not have it"
        with Scene(broker) as scene:
            try:
                within(SCENARIO_DEADLINE, title(scenario), lambda: scenario(scene))
            except Exception:
                return "FAILED", f"{traceback.format_exc()}\n{broker.last_output()}"
    return "passed", ""


def attempt(scenario, source):
    """Like `play`; a broker that breaks down after the scenario is a failure of it too."""
    try:
        return play(scenario, source)
    except BrokerFailed:
        raise  # no broker, no verdict
    except Exception:
        return "FAILED", traceback.format_exc()


def run_all(source, side_by_side, match=""):
    """Prints a line for each scenario and returns how many failed."""
    chosen = [scenario for scenario in SCENARIOS if match in title(scenario)]
    counts = {"passed": 0, "skipped": 0, "FAILED": 0}
    with ThreadPoolExecutor(side_by_side) as pool:
        for scenario, (outcome, why) in zip(chosen, pool.map(attempt, chosen, [source] * len(chosen))):
            counts[outcome] += 1
            print(f"{outcome:10}{title(scenario)}", flush=True)
            for line in why.splitlines():
                print(f"    {line}", flush=True)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"compat scenarios: {counts['passed']} passed, {counts['FAILED']} failed{skipped}", flush=True)
    return counts["FAILED"]
