"""The demonstrations in compat/demos, as somebody would start them."""

import subprocess
import sys
from pathlib import Path

DEMOS = Path(__file__).resolve().parent.parent / "demos"
DEADLINE = 60.0


def _demonstrate(scene, name):
    url = f"amqp://guest:guest@{scene.broker.host}:{scene.broker.port}/%2F"
    done = subprocess.run([sys.executable, DEMOS / f"{name}.py", url], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def a_rejected_message_comes_back_after_a_delay(scene):
    """demo: work, reject, a queue with a time to live, and work again"""
    _demonstrate(scene, "retry")


def beyond_rabbitmq(scenario):
    """Marks a scenario of something that RabbitMQ, of the version we compare with, does not have."""
    scenario.beyond_rabbitmq = True
    return scenario


@beyond_rabbitmq
def a_rejected_message_stays_away_longer_every_time(scene):
    """demo: delayed retry by queue arguments, linear, fixed, exponential and with jitter"""
    _demonstrate(scene, "delayed_retry")


def a_call_is_answered_without_a_reply_queue(scene):
    """demo: remote calls by direct reply-to"""
    _demonstrate(scene, "rpc")


def what_is_urgent_leaves_first(scene):
    """demo: a queue with priorities"""
    _demonstrate(scene, "priority")


def another_takes_over_from_a_single_active_consumer(scene):
    """demo: a single active consumer dies, and the next takes over in order"""
    _demonstrate(scene, "single_active_consumer")
