"""Celery's integration tests, with a worker, and results over the broker too."""

from clients.control import environment
from clients.pytest_suite import PytestSuite

#: Those that talk to nothing but a broker.
FILES = ("tasks", "canvas", "inspect", "worker", "beat", "serialization")


class Celery(PytestSuite):
    """Without its reruns of what failed, and no test longer than 30 s: it gives itself up to 300."""

    name = "celery"
    version = "5.7.0"
    licence = "BSD-3-Clause"
    tier = 2
    deadline = 900.0
    left_out = {"*test_django*": "Django beside Celery, without a broker"}
    tests = ("-p", "bounded", "-p", "no:rerunfailures", *(f"t/integration/test_{file}.py" for file in FILES))

    def run(self, home, broker):
        path = f"{home.venv / 'bin'}:{environment(broker)['PATH']}"
        return super().run(home, broker, PATH=path)

    def address(self, broker):
        url = f"amqp://guest:guest@{broker.host}:{broker.port}//"
        return {"TEST_BROKER": url, "TEST_BACKEND": "rpc", "TEST_DEADLINE": self.test_deadline}
