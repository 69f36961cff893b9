"""The command line; `compat/run` is the way in."""

import argparse
import logging
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import scenarios
from differential import report
from differential import run as differential
from differential.stages import LeveretStages, RabbitMqStages, RunningStages
from harness import comparison, documents
from harness.broker import BrokerFailed, Leveret, RabbitMq, RunningBroker
from harness.source import FreshBrokers, SharedBroker
from harness.stage import kill_programs

COMPAT = Path(__file__).resolve().parent.parent
REPOSITORY = COMPAT.parent

EXAMPLES = """\
examples:
  compat/run --broker leveret --broker-binary target/debug/leveret
  compat/run --broker rabbitmq --only scenarios
  compat/run --amqp 127.0.0.1:5672
  compat/run --broker leveret --match 003:75
  compat/run --only differential --match queue_declare/
  compat/run --record
  compat/run --record --only differential --match queue_declare/

The exit status is 0 if every run equals its recording and every scenario passes, 1 if not, and 2 if
the broker could not be started. With --amqp the queues hello, task_queue and transaction, and those
named compat.*, are deleted; nothing else is touched.
"""


def arguments():
    parser = argparse.ArgumentParser(
        prog="compat/run", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the documents' pika programs, our own pika scenarios and the differential suite "
                    "against a broker, and compares with what RabbitMQ 3.10.8 did.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--broker", choices=["leveret", "rabbitmq"], default="leveret",
                       help="start a broker: Leveret (default), or the installed RabbitMQ")
    which.add_argument("--amqp", metavar="HOST:PORT", help="use a broker that runs already")
    which.add_argument("--record", action="store_true",
                       help="play the documents and the differential suite on the installed RabbitMQ and "
                            "write the recordings")
    which.add_argument("--table", action="store_true",
                       help="write README's table of the differential suite, and its list of differences")
    parser.add_argument("--broker-binary", metavar="PATH", type=Path,
                        default=REPOSITORY / "target" / "debug" / "leveret",
                        help="the Leveret binary (default: target/debug/leveret)")
    parser.add_argument("--broker-arg", metavar="ARG", action="append", default=[],
                        help="one more argument for the Leveret binary; may be repeated")
    parser.add_argument("--only", choices=["documents", "scenarios", "differential"],
                        help="leave the others out")
    parser.add_argument("--accept", metavar="REASON",
                        help="with --only differential and --match: list what differs as deliberate")
    parser.add_argument("--scenarios", action="store_const", const="scenarios", dest="only",
                        help="the same as --only scenarios")
    parser.add_argument("--match", metavar="TEXT", default="",
                        help="only runs and scenarios with TEXT in their title")
    parser.add_argument("--jobs", metavar="N", type=int, default=4,
                        help="runs side by side where each has its own broker (default: 4)")
    parser.add_argument("--documents", metavar="FOLDER", type=Path,
                        default=REPOSITORY.parent / "shared" / "documents",
                        help="the documents; without that folder the copies in the recordings are used")
    parser.add_argument("--recordings", metavar="FOLDER", type=Path, default=COMPAT / "recordings",
                        help="recordings to compare with, or to write")
    options = parser.parse_args()
    alone = options.only == "differential"
    if options.record and (options.only or options.match) and not alone:
        parser.error("--record plays all documents; --only differential and --match can limit the suite")
    if options.accept and not (alone and options.match and options.broker == "leveret"):
        parser.error("--accept needs --only differential, --match and Leveret")
    if options.jobs < 1:
        parser.error("--jobs needs a number above 0")
    return options


def find_blocks(options):
    """The blocks to run; copies and originals must agree."""
    copies = documents.from_recordings(options.recordings)
    if not options.documents.is_dir():
        print(f"block texts: copies in {options.recordings.name}/")
        blocks = copies
    else:
        print(f"block texts: the documents in {options.documents}")
        blocks = documents.from_folder(options.documents)
        if not options.record and blocks != copies:
            sys.exit("compat: the documents are not those that were recorded; compat/run --record")
    if not blocks:
        sys.exit("compat: there are neither documents nor recordings")
    return blocks


def find_source(options, cleanup):
    """The broker under test; `cleanup` stops what is started here and shared."""
    if options.amqp:
        host, _, port = options.amqp.rpartition(":")
        if not host or not port.isdigit():
            sys.exit(f"compat: --amqp {options.amqp}: expected HOST:PORT")
        broker = RunningBroker(int(port), host)
        if host not in ("127.0.0.1", "localhost"):
            sys.exit("compat: the documents' programs connect to localhost; --amqp must name it too")
        if not broker.answers():
            raise BrokerFailed(f"nothing speaks AMQP at {options.amqp}")
        return SharedBroker(broker), 1
    if options.record or options.broker == "rabbitmq":
        return SharedBroker(cleanup.enter_context(RabbitMq())), 1
    return FreshBrokers(lambda: Leveret(options.broker_binary, options.broker_arg)), options.jobs


def find_stages(options):
    """Where the differential suite is played."""
    if options.amqp:
        host, _, port = options.amqp.rpartition(":")
        return RunningStages(RunningBroker(int(port), host)), 1
    if options.record or options.broker == "rabbitmq":
        return RabbitMqStages(), 1
    return LeveretStages(options.broker_binary, options.broker_arg), options.jobs


def run_differential(options):
    """The differential suite; returns how many scenarios are not as they should be."""
    stages, side_by_side = find_stages(options)
    try:
        if options.record:
            return differential.record(stages, options.match)
        if options.accept:
            return differential.accept(stages, options.match, options.accept)
        of_leveret = isinstance(stages, LeveretStages)
        return differential.compare(stages, side_by_side, options.match, apply_differences=of_leveret)
    finally:
        stages.close()


def check_match(options, blocks):
    """A search that finds nothing must not look like success."""
    found = comparison.jobs_for(blocks, options.match) if blocks else []
    if options.only in (None, "differential"):
        found += differential.chosen(options.match)
    if options.only in (None, "scenarios"):
        found += [title for title in scenarios.titles() if options.match in title]
    if not found:
        sys.exit(f"compat: nothing has {options.match!r} in its title")


def run(options):
    """Everything that was asked for; returns how many things are not as they should be."""
    if options.table:
        report.write_documents()
        return 0
    blocks = find_blocks(options) if options.only in (None, "documents") else []
    check_match(options, blocks)
    wrong = run_programs(options, blocks) if options.only != "differential" else 0
    if options.only in (None, "differential"):
        wrong += run_differential(options)
    return wrong


def run_programs(options, blocks):
    """The documents and our own programs."""
    wrong = 0
    with ExitStack() as cleanup:
        source, side_by_side = find_source(options, cleanup)
        if options.record:
            return comparison.record(blocks, source, options.recordings)
        if blocks:
            wrong += comparison.compare(blocks, source, options.recordings, side_by_side, options.match)
        if options.only in (None, "scenarios"):
            wrong += scenarios.run_all(source, side_by_side, options.match)
    return wrong


def main():
    # A harness that is told to stop must still stop its brokers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("pika").setLevel(logging.CRITICAL + 1)
    begun = time.monotonic()
    try:
        status = 1 if run(arguments()) else 0
    except BrokerFailed as failure:
        print(f"compat: {failure}", file=sys.stderr)
        status = 2
    print(f"compat: {time.monotonic() - begun:.0f} s", flush=True)
    sys.stderr.flush()
    kill_programs()
    # Threads that wait for a broker that never answered must not keep us.
    os._exit(status)


if __name__ == "__main__":
    main()
