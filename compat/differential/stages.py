"""Where scenarios are played: a broker with the setting a scenario needs, left clean for the next."""

import json
import threading
from contextlib import ExitStack, contextmanager

from differential.raw import RawDriver
from differential.setting import RecordingNode, SetLeveret
from differential.suite import PLAIN

CONTROL_DEADLINE = 10.0


class Janitor:
    """Looks at queues and removes what scenarios leave, over connections of its own."""

    def __init__(self, address):
        self._address = address
        self._drivers = {}

    def count(self, queue, vhost="/"):
        """Ready messages and consumers of a queue; None without the queue."""
        answer = self._ask(vhost, "queue.declare", queue=queue, passive=True)
        if answer.name == "channel.close":
            return None
        return {"messages": answer.message_count, "consumers": answer.consumer_count}

    def remove(self, queues, exchanges):
        """Deletes these, each a virtual host and a name, whether or not they exist."""
        for vhost, queue in sorted(queues):
            if queue:
                self._ask(vhost, "queue.delete", queue=queue)
        for vhost, exchange in sorted(exchanges):
            if exchange and not exchange.startswith("amq."):
                self._ask(vhost, "exchange.delete", exchange=exchange)

    def _ask(self, vhost, name, **fields):
        driver = self._driver(vhost)
        driver.method(1, name, **fields)
        answer = self._next(driver)
        if answer.name == "channel.close":
            driver.method(1, "channel.open")
            self._next(driver)
        return answer

    def _driver(self, vhost):
        if vhost not in self._drivers:
            driver = RawDriver(self._address)
            driver.begin({"user": "guest", "password": "guest", "vhost": vhost})
            driver.method(1, "channel.open")
            self._next(driver)
            self._drivers[vhost] = driver
        return self._drivers[vhost]

    def _next(self, driver):
        for _ in range(100):
            if driver.inbox[1]:
                return driver.inbox[1].popleft()
            if driver.ended:
                break
            driver.pump(CONTROL_DEADLINE)
        self._drivers.clear()
        raise RuntimeError(f"the control connection was closed: {[c.name for c in driver.inbox[0]]}")

    def close(self):
        for driver in self._drivers.values():
            driver.drop()
        self._drivers.clear()


class Stage:
    """A broker and its janitor."""

    def __init__(self, broker):
        self.broker = broker
        self.address = (broker.host, broker.port)
        self.janitor = Janitor(self.address)
        self.is_spent = False

    def stop(self):
        """Tells the broker to end; nobody can use it any more."""
        self.is_spent = True
        self.broker.process.terminate()


class LeveretStages:
    """Processes of Leveret, one for each setting in use, as many as scenarios are played side by side."""

    def __init__(self, binary, extra_arguments=()):
        self._binary = binary
        self._extra_arguments = list(extra_arguments)
        self._idle = {}
        self._lock = threading.Lock()
        self._started = ExitStack()

    @contextmanager
    def stage(self, setting):
        with self._lock:
            idle = self._idle.setdefault(setting, [])
            stage = idle.pop() if idle else None
        stage = stage or self._start(setting)
        yield stage
        # Only a stage on which nothing broke is used again.
        if not stage.is_spent:
            with self._lock:
                idle.append(stage)

    def _start(self, setting):
        broker = SetLeveret(self._binary, list(self._extra_arguments), json.loads(setting))
        with self._lock:
            return Stage(self._started.enter_context(broker))

    def close(self):
        self._started.close()


class RabbitMqStages:
    """One RabbitMQ node for all scenarios but those with a configuration of their own."""

    def __init__(self):
        self._stages = {}
        self._started = ExitStack()
        self._turn = threading.Lock()

    @contextmanager
    def stage(self, setting):
        setting = json.loads(setting)
        configuration = setting.get("rabbitmq", "")
        with self._turn:
            if configuration not in self._stages:
                self._stop_special()
                node = self._started.enter_context(RecordingNode(configuration))
                self._stages[configuration] = Stage(node)
            stage = self._stages[configuration]
            with stage.broker.set_up(setting):
                yield stage
                stage.janitor.close()
            if stage.is_spent:
                self._stop_special()

    def _stop_special(self):
        """Two cores have no room for many nodes."""
        for configuration in [each for each in self._stages if each]:
            self._stages.pop(configuration).broker.stop()

    def close(self):
        self._started.close()


class RunningStages:
    """A broker that runs already; scenarios that need a setting are left out."""

    def __init__(self, broker):
        self._stage = Stage(broker)
        self._turn = threading.Lock()

    @staticmethod
    def offers(setting):
        return setting == PLAIN

    @contextmanager
    def stage(self, _setting):
        with self._turn:
            yield self._stage

    def close(self):
        self._stage.janitor.close()
