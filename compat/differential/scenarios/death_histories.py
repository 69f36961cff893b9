"""Histories and cycles of dead letters"""

from differential.scenarios.dead_letters import dead_letters, declare, reject_next, topology
from differential.suite import for_each, scenario


@scenario
def two_queues(s):
    """A second death comes first in the history, and the first death stays the first"""
    ch = topology(s)
    declare(ch, "first", "", dead_letter_routing_key="q", message_ttl=50)
    ch.publish("", "first", "one", headers={"a": 1})
    s.until_count("q", messages=1)
    reject_next(ch)
    dead_letters(s, ch)


@scenario
def two_reasons(s):
    """Deaths in one queue for two reasons are counted apart"""
    ch = s.publisher()
    ch.queue_declare("dead")
    declare(ch, "q", "", dead_letter_routing_key="again", message_ttl=100)
    declare(ch, "again", "", dead_letter_routing_key="q")
    ch.publish("", "q", "one")
    reject_next(ch)
    s.until_count("again", messages=1)
    reject_next(ch, "again")
    s.until_count("again", messages=1)
    ch.get("again", no_ack=True)


@scenario
def four_queues(s):
    """A chain of deaths is told from the last to the first"""
    ch = s.publisher()
    ch.queue_declare("q5")
    for number in (1, 2, 3, 4):
        declare(ch, f"q{number}", "", dead_letter_routing_key=f"q{number + 1}", message_ttl=1)
    ch.publish("", "q1", "one")
    dead_letters(s, ch, queue="q5")


@scenario
def retries(s):
    """Three rounds of rejecting, waiting and coming back count to three"""
    ch = s.publisher()
    declare(ch, "work", "", dead_letter_routing_key="retry")
    declare(ch, "retry", "", dead_letter_routing_key="work", message_ttl=60)
    ch.publish("", "work", "one")
    for _ in range(3):
        reject_next(ch, "work")
        s.until_count("work", messages=1)
    ch.get("work", no_ack=True)


@scenario
def retries_after_expirations(s):
    """A delay by expiration comes back without one"""
    ch = s.publisher()
    declare(ch, "delay", "", dead_letter_routing_key="work")
    ch.queue_declare("work")
    ch.publish("", "delay", "one", expiration="60", headers={"attempt": 1})
    dead_letters(s, ch, queue="work")


OWN = {"queue": "q", "reason": "rejected"}
OTHER = {"queue": "other", "reason": "expired", "count": 2}


@for_each(**{
    "counted": [{**OWN, "count": 5}], "counted down": [{**OWN, "count": -5}],
    "not counted": [OWN], "twice": [OWN, {**OWN, "n": 1}], "beside another": [OWN, OTHER],
    "of another queue": [OTHER], "of nothing": [{"a": 1}], "with more fields": [{**OWN, "count": 1, "n": "x"}],
    "empty": [], "a string": "x", "an integer": 5, "a table": {"a": 1},
})
def history_of_the_client(s, history):
    """A history that the publisher sent is carried on: {row}"""
    ch = topology(s)
    ch.publish("", "q", "one", headers={"x-death": history, "x-first-death-queue": "mine"})
    reject_next(ch)
    dead_letters(s, ch)


# Cycles.

@scenario
def cycle_of_one(s):
    """A message that expires into its own queue is dropped"""
    ch = s.publisher()
    declare(ch, "q", "", message_ttl=50)
    ch.publish("", "q", "one")
    ch.confirms()
    s.until_count("q", messages=0)
    ch.get("q")


@scenario
def cycle_of_two(s):
    """A message that expires round two queues is dropped"""
    ch = s.publisher()
    declare(ch, "q", "", dead_letter_routing_key="r", message_ttl=50)
    # Long enough to be seen on a busy machine.
    declare(ch, "r", "", dead_letter_routing_key="q", message_ttl=400)
    ch.publish("", "q", "one")
    ch.confirms()
    s.until_count("q", messages=0)
    s.until_count("r", messages=1)
    s.until_count("r", messages=0)
    ch.count("q")


@scenario
def cycle_by_length(s):
    """A message that a full queue gives to itself is dropped"""
    ch = s.publisher()
    declare(ch, "q", "", max_length=1)
    ch.publish("", "q", "one")
    ch.publish("", "q", "two")
    ch.count("q")
    ch.get("q", no_ack=True)
    ch.get("q", no_ack=True)


@scenario
def cycle_with_a_rejection(s):
    """A message that is rejected into its own queue comes back each time"""
    ch = s.publisher()
    declare(ch, "q", "")
    ch.publish("", "q", "one")
    for _ in range(3):
        reject_next(ch)
        s.until_count("q", messages=1)
    ch.get("q", no_ack=True)


@scenario
def cycle_before_a_rejection(s):
    """A rejection since the last visit lets a message in again, one before does not"""
    ch = s.publisher()
    declare(ch, "q", "", dead_letter_routing_key="r", message_ttl=80)
    declare(ch, "r", "", dead_letter_routing_key="q")
    ch.publish("", "q", "one")
    s.until_count("r", messages=1)
    reject_next(ch, "r")
    s.until_count("r", messages=1)
    ch.get("r", no_ack=True)


@scenario
def cycle_beside_another_queue(s):
    """Only the queue that closes the cycle is left out"""
    ch = topology(s, message_ttl=50)
    ch.queue_bind("q", "dlx")
    ch.publish("", "q", "one")
    dead_letters(s, ch)
    ch.count("q")


@scenario
def cycle_by_a_history_of_the_client(s):
    """A history that the publisher sent counts for cycles"""
    ch = topology(s, message_ttl=50)
    ch.publish("", "q", "one", headers={"x-death": [{"queue": "dead", "reason": "expired", "count": 1}]})
    ch.confirms()
    s.until_count("q", messages=0)
    ch.count("dead")
