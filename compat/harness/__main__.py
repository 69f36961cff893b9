"""Runs what the command line asks for; `compat/run` is the way in."""

import logging
import os
import signal
import sys
import time
from contextlib import ExitStack

import scenarios
from applications import run as applications
from clients import run as clients
from differential import run as differential
from differential.stages import LeveretStages, RabbitMqStages, RunningStages
from harness import comparison, documents, options as command_line, pages
from harness.broker import BrokerFailed
from harness.stage import kill_programs

#: Client suites that run side by side: some of them measure time, and machines have two cores.
SUITES_SIDE_BY_SIDE = 2


def find_blocks(options):
    """The blocks to run; copies and originals must agree."""
    copies = documents.from_recordings(options.recordings)
    if not options.documents.is_dir():
        blocks = copies
    else:
        blocks = documents.from_folder(options.documents)
        if not options.record and blocks != copies:
            sys.exit("compat: the documents are not those that were recorded; compat/run --record")
    if not blocks:
        sys.exit("compat: there are neither documents nor recordings")
    return blocks


def run_documents(options):
    """The documents' programs; returns how many differ."""
    blocks = find_blocks(options)
    of_folder = options.documents.is_dir()
    print(f"block texts: {f'the documents in {options.documents}' if of_folder else 'copies in the recordings'}")
    with ExitStack() as cleanup:
        source, side_by_side = command_line.shared_source(options, cleanup)
        if options.record:
            return comparison.record(blocks, source, options.recordings)
        return comparison.compare(blocks, source, options.recordings, side_by_side, options.match)


def run_scenarios(options):
    """Our own programs; returns how many fail."""
    with ExitStack() as cleanup:
        source, side_by_side = command_line.shared_source(options, cleanup)
        return scenarios.run_all(source, side_by_side, options.match)


def find_stages(options):
    """Where the differential suite is played."""
    running = command_line.running_broker(options)
    if running:
        return RunningStages(running), 1
    if options.broker == "rabbitmq":
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


def chosen_suites(options):
    """`--only clients` and `--all` mean both tiers."""
    both = options.all or options.only == "clients"
    return clients.chosen(options.match, (1, 2) if both else (1,))


def run_clients(options):
    """Client libraries' suites; returns how many have new failures."""
    source = command_line.fresh_source(options)
    if options.record:
        return clients.record(chosen_suites(options), source)
    save = options.save and options.broker == "leveret"
    return clients.compare(chosen_suites(options), source, min(SUITES_SIDE_BY_SIDE, options.jobs), save)


def run_applications(options):
    """Applications; returns how many do not do what they should."""
    return applications.play_all(applications.chosen(options.match), command_line.fresh_source(options), options.save)


RUN = {"documents": run_documents, "scenarios": run_scenarios, "differential": run_differential,
       "clients": run_clients, "applications": run_applications, "pages": lambda options: pages.check()}


def titles(options, part):
    """What there is to run of a part, for a search that must find something."""
    if part == "documents":
        return comparison.jobs_for(find_blocks(options), options.match)
    if part == "scenarios":
        return [title for title in scenarios.titles() if options.match in title]
    if part == "differential":
        return differential.chosen(options.match)
    if part == "clients":
        return chosen_suites(options)
    return applications.chosen(options.match) if part == "applications" else []


def run(options):
    """Everything that was asked for; returns how many things are not as they should be."""
    if options.table:
        pages.write()
        return 0
    parts = command_line.parts(options)
    if options.record and not options.only:
        parts = ["documents", "differential"]
    found = [part for part in parts if not options.match or titles(options, part)]
    if not found:
        # A search that finds nothing must not look like success.
        sys.exit(f"compat: nothing has {options.match!r} in its title")
    return sum(RUN[part](options) for part in found)


def main():
    # A harness that is told to stop must still stop its brokers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("pika").setLevel(logging.CRITICAL + 1)
    begun = time.monotonic()
    try:
        status = 1 if run(command_line.arguments()) else 0
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
