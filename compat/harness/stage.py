"""One run: a broker, the programs that are started on it, and what can be seen afterwards."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pika
from pika.exceptions import ChannelClosedByBroker

from harness import normalise
from harness.deadlines import poll, settled

QUEUES = ("hello", "task_queue", "transaction")
PROGRAM_DEADLINE = 20.0
INTERRUPT_DEADLINE = 10.0
ASLEEP_FOR = 0.25


_programs = []


def kill_programs():
    """For the very end: a run that was given up may have left a program behind."""
    for program in list(_programs):
        program.kill()


class Program:
    """A block that runs in a process of its own."""

    def __init__(self, block, supply, port):
        self.block = block
        self.supply = supply
        self.notes = []
        self._files = {name: tempfile.TemporaryFile("w+b") for name in ("stdout", "stderr")}
        command = [sys.executable, "-u", "-X", "utf8", "-m", "harness.program",
                   str(port), block.id, ",".join(supply)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True,
                                        **self._files)
        _programs.append(self)
        self.process.stdin.write(block.text.encode())
        self.process.stdin.close()

    def has_ended(self):
        return self.process.poll() is not None

    def printed(self, name="stdout"):
        """What the program has printed so far."""
        file = self._files[name].fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    def lines_printed(self):
        return self.printed().count("\n")

    def is_asleep(self):
        """Has the process not run at all for a moment? (It waits for the broker, then.)"""
        before = self._activity()
        time.sleep(ASLEEP_FOR)
        return before is not None and before == self._activity()

    def _activity(self):
        """How often the process has gone to sleep; None while it is awake."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if not fields["State"].startswith("S"):
            return None
        return fields["voluntary_ctxt_switches"], fields["nonvoluntary_ctxt_switches"]

    def interrupt(self):
        """Ctrl-C; a program that does not care is killed."""
        self.process.send_signal(signal.SIGINT)
        if not poll(self.has_ended, INTERRUPT_DEADLINE):
            self.notes.append(f"ignored SIGINT for {INTERRUPT_DEADLINE:g} s")
        self.kill()

    def kill(self):
        if not self.has_ended():
            self.process.kill()
        self.process.wait()
        if self in _programs:
            _programs.remove(self)

    def record(self):
        """What a reader who started the program would have seen."""
        return {
            "block": self.block.id,
            "supplied": list(self.supply),
            "stdout": normalise.output(self.printed()),
            "stderr": normalise.errors(self.printed("stderr"), self.block),
            "end": "; ".join([*self.notes, self._end()]),
        }

    def _end(self):
        status = self.process.returncode
        if status >= 0:
            return f"exit {status}"
        return f"killed by {signal.Signals(-status).name}"


class Stage:
    """What a run may do: prepare queues, start programs, wait for them, and look."""

    def __init__(self, broker, blocks):
        self.broker = broker
        self.blocks = {block.id: block for block in blocks}
        self.programs = []
        self.connection = broker.connect()
        self.clear()

    def clear(self):
        """Takes the documents' queues away."""
        channel = self.connection.channel()
        for queue in QUEUES:
            channel.queue_delete(queue)
        channel.close()

    def declare(self, queue, durable=False):
        channel = self.connection.channel()
        channel.queue_declare(queue, durable=durable)
        channel.close()

    def publish(self, queue, *bodies, persistent=False):
        """Publishes to the default exchange; returns when the broker has taken all of it."""
        channel = self.connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(delivery_mode=2 if persistent else None)
        for body in bodies:
            channel.basic_publish("", queue, body, properties, mandatory=True)
        channel.close()

    def start(self, block_id, supply=()):
        program = Program(self.blocks[block_id], supply, self.broker.port)
        self.programs.append(program)
        return program

    def until_ended(self, program):
        """Waits for a program that ends by itself."""
        if not poll(program.has_ended, PROGRAM_DEADLINE):
            program.notes.append(f"still running after {PROGRAM_DEADLINE:g} s")
            program.interrupt()

    def until_idle(self, program, queue, lines):
        """Waits until a consumer has nothing left to do, or has ended by itself.

        Nothing left to do: it is registered, no message is ready, it has printed the `lines` that the
        messages make it print, and it sleeps.
        """
        def idle():
            return (program.has_ended()
                    or (self.counts(queue) == (0, 1) and program.lines_printed() >= lines
                        and program.is_asleep()))

        if not poll(idle, PROGRAM_DEADLINE):
            program.notes.append(f"not idle within {PROGRAM_DEADLINE:g} s, {queue}: "
                                 f"messages and consumers {self.counts(queue)}")

    def run(self, block_id, supply=()):
        """Runs a program that ends by itself."""
        self.until_ended(self.start(block_id, supply))

    def run_consumer(self, block_id, queue, lines, supply=()):
        """Runs a consumer until it waits for more, and then presses Ctrl-C."""
        program = self.start(block_id, supply)
        self.until_idle(program, queue, lines)
        self.interrupt(program)

    def interrupt(self, program):
        """Ctrl-C, unless the program has ended by itself."""
        if not program.has_ended():
            program.interrupt()

    def counts(self, queue):
        """Ready messages and consumers as queue.declare-ok tells them; None without the queue."""
        channel = self.connection.channel()
        try:
            answer = channel.queue_declare(queue, passive=True).method
        except ChannelClosedByBroker:
            return None
        channel.close()
        return answer.message_count, answer.consumer_count

    def record(self):
        """What all programs did, and what they left on the broker."""
        poll(lambda: not any(self._consumers(queue) for queue in QUEUES), INTERRUPT_DEADLINE)
        counts = settled(lambda: {queue: self.counts(queue) for queue in QUEUES})
        return {
            "programs": [program.record() for program in self.programs],
            "queues": {queue: self._queue(queue, counts[queue]) for queue in QUEUES},
        }

    def _consumers(self, queue):
        counts = self.counts(queue)
        return counts[1] if counts else 0

    def _queue(self, queue, counts):
        if counts is None:
            return "absent"
        return {
            "message_count": counts[0],
            "consumer_count": counts[1],
            "messages": self._messages(queue),
            "declared transient": self._redeclare(queue, durable=False),
            "declared durable": self._redeclare(queue, durable=True),
        }

    def _redeclare(self, queue, durable):
        """The broker's answer to a declare, which tells how the queue is."""
        channel = self.connection.channel()
        try:
            channel.queue_declare(queue, durable=durable)
        except ChannelClosedByBroker as refusal:
            return f"{refusal.reply_code} {refusal.reply_text}"
        channel.close()
        return "ok"

    def _messages(self, queue):
        """All messages in order; they go back to the queue when the channel closes."""
        channel = self.connection.channel()
        messages = []
        method, properties, body = channel.basic_get(queue)
        while method:
            messages.append({
                "body": body.decode(errors="backslashreplace"),
                "redelivered": method.redelivered,
                "exchange": method.exchange,
                "routing_key": method.routing_key,
                "properties": {k: v for k, v in vars(properties).items() if v is not None},
            })
            method, properties, body = channel.basic_get(queue)
        channel.close()
        return messages

    def close(self):
        """Ends what still runs; leaves the broker without the documents' queues."""
        for program in self.programs:
            program.kill()
        if self.connection.is_open:
            self.clear()
            self.connection.close()
