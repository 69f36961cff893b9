"""Stories told on pika's loops: SelectConnection and AsyncioConnection.

A story is a generator. It yields what it waits for, an `Answer`, and is resumed with what came; so that it reads from
top to bottom although everything below it is callbacks. It ends with its connection closed and its loop stopped.
"""

import threading
from collections import deque

import pika

import broker
import dialect
from dialect import ADAPTERS

DEADLINE = 60.0

__all__ = ["ADAPTERS", "Answer", "Client", "Inbox", "Outcomes"]


class Answer:
    """Something that will come once, through a callback."""

    def __init__(self, what):
        self.what = what
        self.came = None
        self._listener = None

    def __call__(self, *arguments):
        """The callback."""
        if self.came is None:
            self.came = arguments
            if self._listener:
                self._listener()

    def when_it_comes(self, listener):
        self._listener = listener
        if self.came is not None:
            listener()

    @property
    def value(self):
        return self.came[-1] if len(self.came) == 1 else self.came


class Inbox:
    """What a callback was given, as often as it was called."""

    def __init__(self):
        self.all = []
        self._waiting = deque()

    def __call__(self, *arguments):
        self.all.append(arguments[0] if len(arguments) == 1 else arguments)
        while self._waiting and len(self.all) >= self._waiting[0][0]:
            self._waiting.popleft()[1](self.all)

    def until(self, count):
        """An answer that comes when there are `count`, with all of them."""
        answer = Answer(f"{count} in all")
        self._waiting.append((count, answer))
        if len(self.all) >= count:
            self._waiting.pop()
            answer(self.all)
        return answer

    def bodies(self):
        """Of deliveries."""
        return [body for *_, body in self.all]


class Outcomes:
    """What a publisher is told in confirm mode; the broker chooses how many a frame settles."""

    def __init__(self):
        self.acked, self.nacked = set(), set()
        self._awaited = None

    def __call__(self, frame):
        method = frame.method
        first = 1 if method.multiple else method.delivery_tag
        tags = set(range(first, method.delivery_tag + 1)) - self.acked - self.nacked
        (self.acked if isinstance(method, pika.spec.Basic.Ack) else self.nacked).update(tags)
        self._tell()

    def until(self, count):
        """An answer that comes when so many messages are settled."""
        self._awaited = count, Answer(f"{count} messages are settled")
        self._tell()
        return self._awaited[1]

    def _tell(self):
        if self._awaited and len(self.acked | self.nacked) >= self._awaited[0]:
            self._awaited[1](self)


class Client:
    """One connection on one loop, and the story that is told on it."""

    def __init__(self, adapter, **overrides):
        self.adapter = adapter
        self.overrides = overrides
        self.connection = None
        self.opened = Answer("the connection opens")
        self.failed = Answer("the connection fails to open")
        self.closed = Answer("the connection closes")
        self._story = None
        self._awaited = None
        self._failure = None
        self._threads = []

    def with_parameters(self, **overrides):
        return Client(self.adapter, **overrides)

    def play(self, story):
        """Tells `story(client)` to its end once the connection is open; what it raises is raised here."""
        self._begin()
        self._story = story(self)
        self._awaited = self.opened
        self.opened.when_it_comes(self._soon(self._resume))
        self.failed.when_it_comes(self._soon(self._not_opened))
        self._run()

    def refusal(self):
        """Opens a connection that is refused; gives the error that pika tells."""
        self._begin()
        self._awaited = self.failed
        self.failed.when_it_comes(self._soon(self._finish))
        self._run()
        return self.failed.value

    def _begin(self):
        self.connection = dialect.open_with_loop(
            self.adapter, broker.parameters(**self.overrides), self.opened, self.failed, self.closed)
        dialect.call_later(self.connection, DEADLINE, self._overdue)

    def _run(self):
        dialect.run_loop(self.connection)
        for thread in self._threads:
            thread.join(DEADLINE)
        if self._failure:
            raise self._failure

    def _soon(self, continuation):
        """On a turn of its own, as callbacks come from the midst of pika's work."""
        return lambda: dialect.call_later(self.connection, 0, continuation)

    def _not_opened(self):
        self._failure = AssertionError(f"the connection does not open: {self.failed.value!r}")
        self._stop()

    def _resume(self, answer=None):
        try:
            following = self._story.send(answer.value if answer else None)
        except StopIteration:
            self._finish()
        except BaseException as failure:  # raised again by `play`, off the loop
            self._failure = failure
            self._finish()
        else:
            self._awaited = following
            following.when_it_comes(self._soon(lambda: self._resume(following)))

    def _overdue(self):
        self._failure = AssertionError(f"not within {DEADLINE:g} s: {self._awaited.what}")
        self.connection.ioloop.stop()

    def _finish(self):
        if self.closed.came is None and self.failed.came is None and self.connection.is_open:
            self.connection.close()
            self.closed.when_it_comes(self._stop)
        else:
            self._stop()

    def _stop(self):
        dialect.call_later(self.connection, 0, self.connection.ioloop.stop)

    # What a story yields.

    def channel(self):
        opened = Answer("a channel opens")
        self.connection.channel(on_open_callback=opened)
        return opened

    def thread(self, work):
        """Does `work` on a thread; the answer comes when it is done, and its failure is the story's."""
        done = Answer("a thread is done")

        def attempt():
            try:
                work()
            except BaseException as failure:  # raised by `play`
                self._failure = failure
            dialect.call_from_thread(self.connection, lambda: done(None))

        self._threads.append(threading.Thread(target=attempt, daemon=True))
        self._threads[-1].start()
        return done


def ask(method, *arguments, **options):
    """Calls a channel's method with a callback of its own; the answer is the broker's."""
    answer = Answer(method.__name__)
    method(*arguments, callback=answer, **options)
    return answer


def closing_of(channel):
    """Comes when the channel is closed, with what `reason_of` understands."""
    closed = Answer("the channel closes")
    channel.add_on_close_callback(closed)
    return closed


def consumer(channel, queue, on_message, **options):
    """A consumer; the answer comes when it is there."""
    ready = Answer("basic.consume-ok")
    dialect.start_consumer(channel, queue, on_message, ready, **options)
    return ready


def confirms(channel, on_outcome):
    """Confirm mode; `on_outcome` is called with each ack and nack."""
    ready = Answer("confirm.select-ok")
    dialect.confirm_delivery(channel, on_outcome, ready)
    return ready
