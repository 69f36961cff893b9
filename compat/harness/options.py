"""The command line of `compat/run`, and which broker it names."""

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

from harness.broker import HOST, BrokerFailed, Leveret, RabbitMq, RunningBroker
from harness.source import FreshBrokers, SharedBroker

COMPAT = Path(__file__).resolve().parent.parent
REPOSITORY = COMPAT.parent
AMQP_PORT = 5672
#: What `cargo test` plays; `--all` adds the second tier of clients, and the applications.
PARTS = ["pages", "documents", "scenarios", "differential", "clients"]

EXAMPLES = """\
examples:
  compat/run                                               # what cargo test runs, with target/debug/leveret
  compat/run --all --broker-binary target/release/leveret  # and every client library and application
  compat/run --only clients --match kombu
  compat/run --only clients --broker amqp://127.0.0.1:5672
  compat/run --only scenarios --broker rabbitmq
  compat/run --only documents --match 003:75
  compat/run --only differential --match queue_declare/
  compat/run --record --only differential --match queue_declare/

The exit status is 0 if every run equals its recording, every scenario passes and no client suite has a
new failure; 1 if not, and 2 if the broker could not be started. On a broker given by its URL, the documents,
the scenarios and the differential suite remove what they made; client suites may leave queues behind.
"""


def arguments():
    """What was typed, checked."""
    parser = argparse.ArgumentParser(
        prog="compat/run", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the documents' pika programs, our own pika scenarios, the differential suite, client "
                    "libraries' own suites and applications against a broker, and compares with RabbitMQ 3.10.8.")
    parser.add_argument("--broker", metavar="WHICH", default="leveret",
                        help="leveret (default) or rabbitmq, which are started for it, or the URL of one that runs: "
                             "amqp://127.0.0.1:5672")
    parser.add_argument("--broker-binary", metavar="PATH", type=Path,
                        default=REPOSITORY / "target" / "debug" / "leveret",
                        help="the Leveret binary (default: target/debug/leveret)")
    parser.add_argument("--broker-arg", metavar="ARG", action="append", default=[],
                        help="one more argument for the Leveret binary; may be repeated")
    verbs = parser.add_mutually_exclusive_group()
    verbs.add_argument("--all", action="store_true",
                       help="with the second tier of clients, and the applications")
    verbs.add_argument("--only", choices=[*PARTS, "applications"], help="leave the others out (clients: both tiers)")
    verbs.add_argument("--table", action="store_true",
                       help="write README's tables, the list of differences and docs/clients.md, and run nothing")
    parser.add_argument("--record", action="store_true",
                        help="play the documents and the differential suite on the installed RabbitMQ and write the "
                             "recordings; with the baselines")
    parser.add_argument("--save", action="store_true",
                        help="keep what clients and applications gave, for README's tables")
    parser.add_argument("--accept", metavar="REASON",
                        help="with --only differential and --match: list what differs as deliberate")
    parser.add_argument("--match", metavar="TEXT", default="", help="only runs with TEXT in their title")
    parser.add_argument("--jobs", metavar="N", type=int, default=4,
                        help="runs side by side where each has its own broker (default: 4)")
    parser.add_argument("--documents", metavar="FOLDER", type=Path,
                        default=REPOSITORY.parent / "shared" / "documents",
                        help="the documents; without that folder the copies in the recordings are used")
    parser.add_argument("--recordings", metavar="FOLDER", type=Path, default=COMPAT / "recordings",
                        help="recordings to compare with, or to write")
    options = parser.parse_args()
    _check(parser, options)
    return options


def _check(parser, options):
    alone = options.only == "differential"
    if options.record and options.broker != "leveret":
        parser.error("--record starts a RabbitMQ of its own; leave --broker out")
    if options.record and options.match and not (alone or options.only == "clients"):
        parser.error("--record plays all documents; --only differential or clients and --match can limit it")
    if options.accept and not (alone and options.match and options.broker == "leveret"):
        parser.error("--accept needs --only differential, --match and Leveret")
    if options.jobs < 1:
        parser.error("--jobs needs a number above 0")
    if options.record:
        options.broker = "rabbitmq"
    if options.broker not in ("leveret", "rabbitmq") and urlsplit(options.broker).scheme != "amqp":
        parser.error(f"--broker {options.broker}: expected leveret, rabbitmq or amqp://HOST:PORT")


def parts(options):
    """What is to be run, in order."""
    if options.only:
        return [options.only]
    return PARTS + ["applications"] * options.all


def running_broker(options):
    """The broker that a URL names; None if one is to be started."""
    if options.broker in ("leveret", "rabbitmq"):
        return None
    url = urlsplit(options.broker)
    if (url.username or "guest", url.password or "guest", url.path.strip("/")) != ("guest", "guest", ""):
        sys.exit(f"compat: --broker {options.broker}: everything here logs in as guest, in the virtual host /")
    if url.hostname not in (HOST, "localhost"):
        sys.exit("compat: the documents' programs and some suites connect to localhost; --broker must name it too")
    broker = RunningBroker(url.port or AMQP_PORT, url.hostname)
    if not broker.answers():
        raise BrokerFailed(f"nothing speaks AMQP at {options.broker}")
    return broker


def shared_source(options, cleanup):
    """Brokers for the documents and scenarios, and how many of these may run side by side."""
    running = running_broker(options)
    if running:
        return SharedBroker(running), 1
    if options.broker == "rabbitmq":
        return SharedBroker(cleanup.enter_context(RabbitMq())), 1
    return _fresh_leverets(options), options.jobs


def fresh_source(options):
    """A fresh broker for each suite or application, unless one is given."""
    running = running_broker(options)
    if running:
        return SharedBroker(running)
    if options.broker == "rabbitmq":
        return FreshBrokers(RabbitMq)
    return _fresh_leverets(options)


def _fresh_leverets(options):
    return FreshBrokers(lambda: Leveret(options.broker_binary, options.broker_arg))
