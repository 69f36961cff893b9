"""Runs of rabbitmq-c's commands (amqp-publish, ...) and example programs (amqp_sendstring, ...)."""

import os
import select
import signal
import subprocess
import time

#: Seconds for one program.
DEADLINE = 10.0
#: A command that reads its message and does not take it; if it did not read, amqp-consume could die writing to it.
REFUSING = ["--", "sh", "-c", "cat > /dev/null; exit 1"]
RUNS = []


def run(play):
    """Adds a run to the list."""
    RUNS.append(play)
    return play


class Programs:
    """Starts programs of one run against the broker, and says what they should have done."""

    def __init__(self, folder, broker):
        self.tools = folder / "root" / "usr" / "bin"
        self.examples = folder / "bin"
        self.broker = broker
        libraries = ":".join(str(path) for path in (folder / "root" / "usr" / "lib").glob("*-linux-gnu"))
        self.environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
        self.started = []

    def start(self, program, *words, stdin=b""):
        """Commands have a dash in their names and want options for the address; examples an underscore, and words."""
        host, port = self.broker.host, str(self.broker.port)
        if program.startswith("amqp-"):
            command = [self.tools / program, "--server", host, "--port", port]
        else:
            command = ["stdbuf", "-oL", self.examples / program, host, port]
        process = subprocess.Popen([*map(str, command), *words], env=self.environment, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.started.append(process)
        return process

    def end(self, process, stdin=b""):
        """Status, output and errors of a program that must end by itself."""
        try:
            output, errors = process.communicate(stdin, DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{process.args} did not end within {DEADLINE:g} s") from None
        return process.returncode, output, errors.decode(errors="replace")

    def gives(self, status, output, errors, program, *words, stdin=b""):
        """The program must end like this."""
        expected = (status, output, errors)
        ended = self.end(self.start(program, *words), stdin)
        assert ended == expected, f"{program} {' '.join(words)}\nexpected {expected}\n   found {ended}"

    def does(self, program, *words, stdin=b""):
        self.gives(0, b"", "", program, *words, stdin=stdin)

    def prints(self, output, program, *words):
        self.gives(0, output, "", program, *words)

    def is_refused(self, errors, program, *words):
        self.gives(1, b"", f"{errors}\n", program, *words)

    def queue(self, name):
        """An empty transient queue of this name, whatever was there before."""
        self.end(self.start("amqp-delete-queue", "-q", name))
        self.prints(f"{name}\n".encode(), "amqp-declare-queue", "-q", name)
        return name

    def close(self):
        """Ends what still runs."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@run
def what_is_published_can_be_got_once(programs):
    queue = programs.queue("rabbitmq-c.get")
    programs.does("amqp-publish", "-r", queue, "-b", "hello")
    programs.prints(b"hello", "amqp-get", "-q", queue)
    programs.gives(2, b"", "", "amqp-get", "-q", queue)


@run
def a_body_of_a_mebibyte_comes_back_whole(programs):
    queue = programs.queue("rabbitmq-c.large")
    body = bytes(range(256)) * 4096
    programs.does("amqp-publish", "-r", queue, "--persistent", stdin=body)
    programs.prints(body, "amqp-get", "-q", queue)


@run
def lines_become_messages_and_keep_their_order(programs):
    queue = programs.queue("rabbitmq-c.lines")
    lines = "".join(f"line {number}\n" for number in range(200)).encode()
    programs.does("amqp-publish", "-r", queue, "--line-buffered", stdin=lines)
    programs.prints(lines, "amqp-consume", "-q", queue, "--count=200", "--prefetch-count=1", "cat")


@run
def what_a_consumer_does_not_acknowledge_stays(programs):
    queue = programs.queue("rabbitmq-c.unacknowledged")
    programs.does("amqp-publish", "-r", queue, "-b", "again")
    programs.does("amqp-consume", "-q", queue, "--count=1", *REFUSING)
    programs.prints(b"again", "amqp-consume", "-q", queue, "--count=1", "cat")
    programs.gives(2, b"", "", "amqp-get", "-q", queue)


@run
def a_consumer_in_no_ack_mode_leaves_nothing(programs):
    queue = programs.queue("rabbitmq-c.no-ack")
    programs.does("amqp-publish", "-r", queue, "-b", "gone")
    programs.does("amqp-consume", "-q", queue, "--no-ack", "--count=1", *REFUSING)
    programs.gives(2, b"", "", "amqp-get", "-q", queue)


@run
def a_consumer_that_waits_is_kept_alive_by_heartbeats(programs):
    queue = programs.queue("rabbitmq-c.heartbeat")
    consumer = programs.start("amqp-consume", "-q", queue, "--heartbeat=1", "--count=1", "cat")
    time.sleep(3.5)  # The time passes for its own sake: three heartbeats, and the two that may be missed.
    programs.does("amqp-publish", "-r", queue, "-b", "late")
    assert programs.end(consumer) == (0, b"late", "")


@run
def headers_do_not_change_the_body(programs):
    queue = programs.queue("rabbitmq-c.headers")
    programs.does("amqp-publish", "-r", queue, "-H", "one: 1", "-H", "two: 2", "-C", "text/plain", "-E", "utf-8",
                  "-t", "nobody", "-b", "with headers")
    programs.prints(b"with headers", "amqp-get", "-q", queue)


@run
def deleting_a_queue_says_how_many_messages_went(programs):
    queue = programs.queue("rabbitmq-c.delete")
    programs.does("amqp-publish", "-r", queue, "-l", stdin=b"a\nb\nc\n")
    programs.is_refused("queue.delete: server channel error 406, message: PRECONDITION_FAILED - "
                        f"queue '{queue}' in vhost '/' not empty", "amqp-delete-queue", "-q", queue, "--if-empty")
    programs.prints(b"3\n", "amqp-delete-queue", "-q", queue)
    programs.prints(b"0\n", "amqp-delete-queue", "-q", queue)


@run
def refusals_have_the_texts_that_users_search_for(programs):
    queue = programs.queue("rabbitmq-c.refusals")
    programs.is_refused("queue.declare: server channel error 406, message: PRECONDITION_FAILED - inequivalent arg "
                        f"'durable' for queue '{queue}' in vhost '/': received 'true' but current is 'false'",
                        "amqp-declare-queue", "-q", queue, "--durable")
    programs.is_refused("queue.declare: server channel error 403, message: ACCESS_REFUSED - queue name 'amq.mine' "
                        "contains reserved prefix 'amq.*'", "amqp-declare-queue", "-q", "amq.mine")
    programs.is_refused("basic.get: server channel error 404, message: NOT_FOUND - "
                        "no queue 'rabbitmq-c.nowhere' in vhost '/'", "amqp-get", "-q", "rabbitmq-c.nowhere")
    programs.is_refused("closing channel: server channel error 404, message: NOT_FOUND - "
                        "no exchange 'rabbitmq-c.nowhere' in vhost '/'",
                        "amqp-publish", "-e", "rabbitmq-c.nowhere", "-r", queue, "-b", "lost")


@run
def logins_are_refused_with_their_reason(programs):
    programs.is_refused("logging in to AMQP server: server connection error 403, message: ACCESS_REFUSED - Login was "
                        "refused using authentication mechanism PLAIN. For details see the broker logfile.",
                        "amqp-get", "-q", "any", "--username", "guest", "--password", "wrong")
    programs.is_refused("logging in to AMQP server: server connection error 530, message: NOT_ALLOWED - "
                        "vhost nowhere not found", "amqp-get", "-q", "any", "--vhost", "nowhere")


@run
def examples_bind_and_unbind_a_queue(programs):
    queue, exchange = programs.queue("rabbitmq-c.bound"), "rabbitmq-c.exchange"
    programs.does("amqp_exchange_declare", exchange, "direct")
    programs.does("amqp_bind", exchange, "key", queue)
    programs.does("amqp_sendstring", exchange, "key", "by way of an exchange")
    programs.prints(b"by way of an exchange", "amqp-get", "-q", queue)
    programs.does("amqp_unbind", exchange, "key", queue)
    programs.does("amqp_sendstring", exchange, "key", "nowhere to go")
    programs.gives(2, b"", "", "amqp-get", "-q", queue)


@run
def the_producer_loses_nothing_of_what_it_sends(programs):
    queue = programs.queue("rabbitmq-c.produced")
    programs.does("amqp_bind", "amq.direct", "test queue", queue)
    status, output, _ = programs.end(programs.start("amqp_producer", "100000", "20000"))
    assert (status, output.splitlines()[:1]) == (0, [b"PRODUCER - Message count: 20000"]), output
    programs.prints(b"20000\n", "amqp-delete-queue", "-q", queue)


@run
def the_listener_hears_what_is_sent_to_its_exchange(programs):
    listener = programs.start("amqp_listen", "amq.topic", "rabbitmq-c.listen.#")
    _repeat_until_heard(programs, listener, "amqp_sendstring", "amq.topic", "rabbitmq-c.listen.here", "heard")
    assert listener.stdout.readline() == b"Delivery 1, exchange amq.topic routingkey rabbitmq-c.listen.here\n"
    assert listener.stdout.readline() == b"Content-type: text/plain\n"


@run
def a_connection_can_be_made_within_a_timeout(programs):
    programs.prints(b"Done\n", "amqp_connect_timeout", "5")


def _repeat_until_heard(programs, listener, *sending):
    """Nothing tells from outside when a listener is bound; so it is spoken to until it answers."""
    deadline = time.monotonic() + DEADLINE
    while not _has_output(listener):
        assert time.monotonic() < deadline, "the listener heard nothing"
        programs.does(*sending)


def _has_output(process):
    return bool(select.select([process.stdout], [], [], 0.05)[0])
