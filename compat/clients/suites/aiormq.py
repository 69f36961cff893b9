"""aiormq, the asyncio client below aio-pika."""

from clients.pytest_suite import PytestSuite

RACE = "it wants one of two outcomes of a race, and gets the other when the machine is busy"
HURRY = "ten confirms within 0.2 s, of a client that shares the machine"
TLS = ("test_ssl_verification_fails_without_trusted_ca", "test_ssl_context")


class Aiormq(PytestSuite):
    """Everything but what needs TLS; the fixtures that are missing in its archive are in a plugin of ours."""

    name = "aiormq"
    version = "7.2.4"
    licence = "Apache-2.0"
    tier = 2
    deadline = 560.0
    test_deadline = 60
    tests = ("-p", "broker_of_aiormq", "tests", "-k", "not amqps",
             *(f"--deselect=tests/test_connection.py::{test}" for test in TLS))
    unstable = {"*test_closing_waiter_cancellation*": RACE, "*test_connection_close_during_publish_drain*": RACE,
                "*test_confirm_multiple*": HURRY}

    def address(self, broker):
        return {"AMQP_PORT": broker.port}
