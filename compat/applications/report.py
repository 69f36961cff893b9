"""README's table of applications: their time on each broker."""

from applications.catalogue import APPLICATIONS
from harness import results


def table():
    """A line an application; all of them printed the same on both brokers, or nothing would have been kept."""
    kept = results.read("applications")
    return "\n".join([
        "| Application | Client | Leveret, s | RabbitMQ 3.10.8, s |", "|---|---|---|---|",
        *(f"| {application.title} | {application.client} | {seconds(kept, application, 'leveret')} "
          f"| {seconds(kept, application, 'rabbitmq')} |" for application in APPLICATIONS)])


def seconds(kept, application, broker):
    """The time of an application's last kept run on a broker."""
    taken = kept.get(application.name, {}).get(broker)
    return "not run" if taken is None else f"{taken:.1f}"
