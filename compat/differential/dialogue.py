"""What scenarios are written with: AMQP's words, the same for both drivers.

A method that has an answer waits for the answer, or for the channel or connection to be closed instead.
What the server sends by itself is waited for by name: `deliveries(3)`, `confirms()`, `returns(1)`,
`cancelled()`, `closed()`. Nothing waits by sleeping; `fence()` and `quiet(queue)` are round trips behind
which nothing of before can hide. Each step and each frame that a wait takes becomes a line of the
transcript; frames nobody waited for are listed at the end.
"""

import time
from collections import deque
from contextlib import contextmanager

from differential import wire

DEADLINE = 10.0
POLL_INTERVAL = 0.01
LETTERS = "abcdefghij"
_ANSWERS = {"basic.get": ("basic.get-ok", "basic.get-empty")}
LEFT_OVER = "(nobody had waited for)"
CONFIRMS = ("basic.ack", "basic.nack")
_WITHOUT_ANSWER = {"basic.ack", "basic.nack", "basic.reject", "basic.recover-async"}


class Overdue(AssertionError):
    """The server did not do in time what the scenario waits for."""


class Dialogue:
    """One run of a scenario: its connections, its transcript, and what it leaves to be removed."""

    def __init__(self, driver, stage, transcript):
        self.transcript = transcript
        self.driver = driver.name
        self.queues = set()
        self.exchanges = set()
        self.connections = []
        self._driver = driver
        self._stage = stage

    def connect(self, user="guest", password="guest", vhost="/", show_handshake=False, **options):
        """Opens a connection. A handshake that succeeds is written down only with `show_handshake`.

        Options: channel_max, frame_max, heartbeat; raw only: capabilities, client_properties.
        """
        connection = self._new(vhost)
        told = {name: value for name, value in options.items() if not isinstance(value, dict)}
        who = {"user": user} if user != "guest" else {}
        where = {"vhost": vhost} if vhost != "/" else {}
        self.transcript.client(connection.letter, " ".join(
            ["connect", *self.transcript.fields({**who, **where, **told}.items())]))
        connection.driver.begin({"user": user, "password": password, "vhost": vhost, **options})
        connection.finish_handshake(show_handshake)
        return connection

    def tcp(self):
        """Raw only: a TCP connection on which nothing was said yet."""
        return self._new("/")

    def _new(self, vhost):
        connection = Connection(self, self._driver(self._stage.address), LETTERS[len(self.connections)], vhost)
        self.connections.append(connection)
        return connection

    def channel(self):
        """Channel 1 of a new connection."""
        return self.connect().channel(1)

    def publisher(self):
        """Channel 1 of a new connection, in confirm mode."""
        channel = self.channel()
        channel.confirm_select()
        return channel

    def note(self, text):
        """A remark in the transcript."""
        self.transcript.client("", f"({text})")

    def pass_time(self, milliseconds):
        """Lets a time to live run out. Nothing else may be waited for with it."""
        self.note(f"{milliseconds} ms pass")
        time.sleep(milliseconds / 1000)

    def stop_broker(self):
        """Tells the broker to end (SIGTERM). Only for a scenario that `needs` a process of its own."""
        self.note("the broker is stopped")
        self._stage.stop()

    @contextmanager
    def any_order(self):
        """What is received inside comes in an order that RabbitMQ does not promise."""
        mark = self.transcript.mark()
        yield
        self.transcript.sort_from(mark)

    def until_count(self, queue, messages=None, consumers=None, vhost="/"):
        """Asks, unseen, until a queue has so many ready messages, consumers, or both."""
        wanted = {"messages": messages, "consumers": consumers}
        wanted = {name: count for name, count in wanted.items() if count is not None}
        self.note(f"until queue {queue} has {', '.join(f'{count} {name}' for name, count in wanted.items())}")

        def counted():
            found = self._stage.janitor.count(queue, vhost)
            return found is not None and all(found[name] == count for name, count in wanted.items())

        self._poll(f"queue {queue} with {wanted}", counted)

    def until_gone(self, queue, vhost="/"):
        """Asks, unseen, until a queue does not exist any more."""
        self.note(f"until queue {queue} is gone")
        self._poll(f"queue {queue} gone", lambda: self._stage.janitor.count(queue, vhost) is None)

    def _poll(self, what, check):
        end = time.monotonic() + DEADLINE
        while not check():
            if time.monotonic() > end:
                raise Overdue(what)
            # A close that has come must be answered, or the server keeps what it is to give back.
            for connection in self.connections:
                connection.driver.pump(0)
            time.sleep(POLL_INTERVAL)

    def finish(self):
        """Closes what is open, and writes down what nobody had waited for."""
        for connection in self.connections:
            for channel in connection.channels.values():
                channel.finish()
        for connection in self.connections:
            connection.finish()


class Connection:
    """One connection of a dialogue; the first is a, the next b."""

    def __init__(self, dialogue, driver, letter, vhost):
        self.dialogue = dialogue
        self.driver = driver
        self.letter = "" if letter == "a" else letter
        self.vhost = vhost
        self.is_open = True
        self.channels = {}

    def where(self, channel):
        return f"{self.letter}#{channel}"

    def channel(self, number=1, **fields):
        """Opens a channel."""
        channel = Channel(self, number)
        channel.ask("channel.open", **fields)
        return channel

    def unopened(self, number):
        """Raw only: a channel that is spoken on without having been opened."""
        return Channel(self, number)

    def say(self, channel, name, **fields):
        """Sends a method and does not wait."""
        told = self.dialogue.transcript.fields(fields.items())
        self.dialogue.transcript.client(self.where(channel), " ".join([name, *told]))
        self.driver.send(channel, name, fields)

    def ask(self, name, **fields):
        """Sends a method on channel 0 and waits for its answer."""
        self.say(0, name, **fields)
        return self.until(0, name + "-ok", lambda command: command.name == name + "-ok")

    def close(self, reply_code=200, reply_text="bye", **fields):
        """Closes in good order."""
        answer = self.ask("connection.close", reply_code=reply_code, reply_text=reply_text, **fields)
        self.is_open = False
        return answer

    def drop(self):
        """Cuts the TCP connection without a word."""
        self.dialogue.transcript.client(self.letter, "TCP connection cut")
        self.is_open = False
        self.driver.drop()

    def closed(self):
        """Waits for connection.close, or for the end without one."""
        return self.until(0, "connection.close", lambda command: command.name == "connection.close")

    def until(self, channel, what, found, deadline=DEADLINE, written=True):
        """Takes this channel's commands until one is `found`, it is closed, or the connection is.

        What is not `written` says nothing about the server that another scenario does not say. Returns that
        command, or None if the connection ended without connection.close.
        """
        end = time.monotonic() + deadline
        speaker = self.channels.get(channel)
        while True:
            command = self.next(channel)
            if command and speaker and speaker.lays_aside(command, found):
                continue
            if command:
                self.take(command, written)
                closing = command.name in ("connection.close", "channel.close")
                if closing or found(command):
                    return command
            elif not self.is_open or self.driver.ended:
                return self._has_ended()
            elif time.monotonic() > end:
                raise Overdue(f"{self.where(channel)} {what}")
            else:
                self.driver.pump(end - time.monotonic())

    def next(self, channel):
        """This channel's next command, or the connection's close once nothing of the channel is left."""
        if self.driver.inbox[channel]:
            return self.driver.inbox[channel].popleft()
        closes = [command for command in self.driver.inbox[0] if command.name == "connection.close"]
        if closes:
            self.driver.inbox[0].remove(closes[0])
            return closes[0]
        return None

    def take(self, command, written=True):
        if written:
            self.dialogue.transcript.server(self.where(command.channel), command)
        if command.name == "connection.close":
            self.is_open = False
        if command.name == "channel.close" and command.channel in self.channels:
            self.channels[command.channel].is_open = False

    def _has_ended(self):
        """The end of the connection is told once."""
        if self.is_open:
            self.dialogue.transcript.says(self.letter, "TCP connection closed")
        self.is_open = False

    def finish_handshake(self, show):
        """Takes connection.start, tune and open-ok, or what came in their place."""
        seen = []
        end = time.monotonic() + DEADLINE
        while not self.driver.ended or self.driver.inbox[0]:
            if not self.driver.inbox[0]:
                if time.monotonic() > end:
                    raise Overdue("the handshake")
                self.driver.pump(end - time.monotonic())
                continue
            seen.append(self.driver.inbox[0].popleft())
            if seen[-1].name in ("connection.open-ok", "connection.close"):
                break
        succeeded = bool(seen) and seen[-1].name == "connection.open-ok"
        for command in seen:
            self.take(command, written=show or not succeeded and command.name != "connection.start")
        if not succeeded and self.is_open:
            self._has_ended()

    def finish(self):
        """Closes if open; whatever had come unasked is written down."""
        self.driver.answers_close = True
        if self.is_open and not self.driver.ended:
            self.driver.send(0, "connection.close", {"reply_code": 200, "reply_text": "bye"})
            end = time.monotonic() + DEADLINE
            while not self.driver.ended and not self._is_closing_done() and time.monotonic() < end:
                self.driver.pump(end - time.monotonic())
        left = [command for number in sorted(self.driver.inbox) for command in self.driver.inbox[number]
                if command.name not in ("connection.close-ok", "channel.close-ok")]
        if left:
            self.dialogue.transcript.client(self.letter, LEFT_OVER)
        for command in left:
            self.take(command)
        if not self.driver.ended:
            self.driver.drop()

    def _is_closing_done(self):
        return any(command.name in ("connection.close-ok", "connection.close")
                   for command in self.driver.inbox[0])

    # Raw only: frames as they are.

    def octets(self, octets, told=None):
        """Raw only: sends octets."""
        self.dialogue.transcript.client(self.letter, told or f"octets {octets.hex(' ')}")
        self.driver.octets(octets)

    def frame(self, kind, channel, payload, told=None):
        """Raw only: sends a frame with this payload."""
        self.dialogue.transcript.client(self.where(channel), told or f"frame type={kind} {payload.hex(' ')}")
        self.driver.frame(kind, channel, payload)


class Channel:
    """One channel, spoken to in AMQP's words."""

    def __init__(self, connection, number):
        self.connection = connection
        self.number = number
        self.is_open = True
        self._published = None
        self._outstanding = set()
        self._early = deque()
        self._waits_in_order = False
        connection.channels[number] = self

    @property
    def dialogue(self):
        return self.connection.dialogue

    def say(self, name, **fields):
        """Sends a method and does not wait."""
        self.connection.say(self.number, name, **fields)

    def ask(self, name, **fields):
        """Sends a method and waits for its answer, unless `nowait` says that there is none."""
        self.say(name, **fields)
        if fields.get("nowait") or name in _WITHOUT_ANSWER:
            return None
        answers = _ANSWERS.get(name, (name + "-ok",))
        return self.until(" or ".join(answers), lambda command: command.name in answers)

    def until(self, what, found, deadline=DEADLINE):
        return self.connection.until(self.number, what, found, deadline)

    def reopen(self):
        """Opens the same channel number again after a close."""
        return self.connection.channel(self.number)

    # Methods, in the order of the specification.

    def close(self, reply_code=200, reply_text="bye", **fields):
        self.is_open = False
        return self.ask("channel.close", reply_code=reply_code, reply_text=reply_text, **fields)

    def flow(self, active):
        return self.ask("channel.flow", active=active)

    def fence(self):
        """A harmless round trip: errors of everything before have been heard when it returns."""
        return self.flow(True)

    def exchange_declare(self, exchange, type="direct", **fields):
        self.dialogue.exchanges.add((self.connection.vhost, exchange))
        return self.ask("exchange.declare", exchange=exchange, type=type, **fields)

    def exchange_delete(self, exchange, **fields):
        return self.ask("exchange.delete", exchange=exchange, **fields)

    def exchange_bind(self, destination, source, routing_key="", **fields):
        return self.ask("exchange.bind", destination=destination, source=source, routing_key=routing_key,
                        **fields)

    def exchange_unbind(self, destination, source, routing_key="", **fields):
        return self.ask("exchange.unbind", destination=destination, source=source,
                        routing_key=routing_key, **fields)

    def queue_declare(self, queue="", **fields):
        self.dialogue.queues.add((self.connection.vhost, queue))
        answer = self.ask("queue.declare", queue=queue, **fields)
        if answer and answer.name == "queue.declare-ok":
            self.dialogue.queues.add((self.connection.vhost, answer.queue))
        return answer

    def count(self, queue):
        """A passive declare; the answer has ready messages and consumers. Waits for confirms first, as RabbitMQ
        may count before it takes in what was published."""
        if self._outstanding:
            self.confirms()
        return self.ask("queue.declare", queue=queue, passive=True)

    def quiet(self, queue):
        """Nothing more of this queue comes on this channel: two round trips, behind which it cannot hide."""
        self.count(queue)
        return self.fence()

    def queue_bind(self, queue, exchange, routing_key="", **fields):
        return self.ask("queue.bind", queue=queue, exchange=exchange, routing_key=routing_key, **fields)

    def queue_unbind(self, queue, exchange, routing_key="", **fields):
        return self.ask("queue.unbind", queue=queue, exchange=exchange, routing_key=routing_key, **fields)

    def queue_purge(self, queue="", **fields):
        return self.ask("queue.purge", queue=queue, **fields)

    def queue_delete(self, queue="", **fields):
        return self.ask("queue.delete", queue=queue, **fields)

    def qos(self, prefetch_count=0, **fields):
        return self.ask("basic.qos", prefetch_count=prefetch_count, **fields)

    def consume(self, queue, consumer_tag="t", **fields):
        return self.ask("basic.consume", queue=queue, consumer_tag=consumer_tag, **fields)

    def cancel(self, consumer_tag="t", **fields):
        return self.ask("basic.cancel", consumer_tag=consumer_tag, **fields)

    def publish(self, exchange, routing_key, body="", mandatory=None, immediate=None, **properties):
        """basic.publish with its content; properties are given by name. Does not wait."""
        octets = body.encode() if isinstance(body, str) else body
        flags = {"mandatory": mandatory, "immediate": immediate}
        fields = {"exchange": exchange, "routing_key": routing_key,
                  **{name: value for name, value in flags.items() if value is not None}}
        transcript = self.dialogue.transcript
        told = transcript.fields([*fields.items(), *properties.items()])
        text = transcript._body(octets) if octets else '""'
        transcript.client(self.connection.where(self.number), " ".join(["basic.publish", *told, text]))
        if self._published is not None:
            self._published += 1
            self._outstanding.add(self._published)
        self.connection.driver.publish(self.number, fields, properties, octets)

    def get(self, queue, **fields):
        return self.ask("basic.get", queue=queue, **fields)

    def ack(self, delivery_tag, **fields):
        return self.ask("basic.ack", delivery_tag=delivery_tag, **fields)

    def nack(self, delivery_tag, **fields):
        return self.ask("basic.nack", delivery_tag=delivery_tag, **fields)

    def reject(self, delivery_tag, **fields):
        return self.ask("basic.reject", delivery_tag=delivery_tag, **fields)

    def recover(self, requeue):
        return self.ask("basic.recover", requeue=requeue)

    def confirm_select(self, **fields):
        self._published = self._published or 0
        return self.ask("confirm.select", **fields)

    def tx_select(self):
        return self.ask("tx.select")

    def tx_commit(self):
        return self.ask("tx.commit")

    def tx_rollback(self):
        return self.ask("tx.rollback")

    # What the server says by itself.

    def deliveries(self, count):
        """Waits for so many basic.deliver."""
        taken = []

        def enough(command):
            if command.name == "basic.deliver":
                taken.append(command)
            return len(taken) == count

        if count:
            self.until(f"{count} deliveries (got some)", enough)
        return taken

    def returned(self):
        """Waits for one basic.return; a confirm of what was published last would be seen before it."""
        self._waits_in_order = True
        try:
            return self.until("basic.return", lambda command: command.name == "basic.return")
        finally:
            self._waits_in_order = False

    def cancelled(self):
        """Waits for the server's basic.cancel."""
        return self.until("basic.cancel", lambda command: command.name == "basic.cancel")

    def closed(self):
        """Waits for channel.close (or connection.close)."""
        return self.until("channel.close", lambda command: command.name == "channel.close")

    def confirm(self):
        """Waits for one basic.ack or basic.nack, and writes it down as it is."""
        if self._early:
            command = self._early.popleft()
            self.connection.take(command)
        else:
            command = self.until("a confirm", lambda command: command.name in CONFIRMS)
        if command and command.name in CONFIRMS:
            self._settle(command)
        return command

    def lays_aside(self, command, found):
        """A confirm that comes while an answer is waited for comes at no fixed time; it is kept for later."""
        if command.name not in CONFIRMS or found(command):
            return False
        if self._waits_in_order and command.delivery_tag >= (self._published or 0):
            self._settle(command)
            return False
        self._early.append(command)
        return True

    def confirms(self):
        """Waits until every publish is confirmed. How RabbitMQ groups confirms depends on timing, so that
        only which were acked and which nacked is written down; a single one is written as it is."""
        if len(self._outstanding) == 1:
            return self.confirm()
        outcome = {}
        written = self.dialogue.transcript
        end = time.monotonic() + DEADLINE
        while self._outstanding:
            command = self._early.popleft() if self._early else self.connection.next(self.number)
            if command and command.name in CONFIRMS:
                outcome.update(self._settle(command))
            elif command:
                self.connection.take(command)
                if command.name.endswith(".close"):
                    break
            elif self.connection.driver.ended or time.monotonic() > end:
                raise Overdue(f"confirms of {sorted(self._outstanding)}")
            else:
                self.connection.driver.pump(end - time.monotonic())
        told = [f"{number} {outcome[number]}" for number in sorted(outcome)]
        if told:
            written.says(self.connection.where(self.number), f"confirms: {', '.join(told)}")
        return outcome

    def finish(self):
        """Every publish has its confirm in the transcript, if only at its end."""
        if self._outstanding and self.is_open and self.connection.is_open:
            self.confirms()

    def _settle(self, command):
        """Which publishes this confirm is about."""
        about = {number for number in self._outstanding
                 if number == command.delivery_tag or command.multiple and number <= command.delivery_tag}
        self._outstanding -= about
        return {number: command.name.removeprefix("basic.") for number in about}

    # Raw only: content in pieces.

    def header(self, body_size, properties=b"\x00\x00", **parts):
        """Raw only: a content header frame; properties are a dict or octets."""
        payload = wire.encode_header(body_size, properties, **parts)
        told = properties if isinstance(properties, bytes) else None
        self.connection.frame(wire.HEADER, self.number, payload,
                              f"header {payload.hex(' ')}" if told is None else None)

    def body(self, octets):
        """Raw only: a content body frame."""
        told = f"body {self.dialogue.transcript._body(octets)}"
        self.connection.frame(wire.BODY, self.number, octets, told)
