"""py-amqp, the client below kombu and Celery."""

from clients.pytest_suite import PytestSuite


class PyAmqp(PytestSuite):
    """The tests that need a broker; `test_integration.py` beside them has none, but mocks."""

    name = "py-amqp"
    package = "amqp"
    version = "5.4.2"
    licence = "BSD-3-Clause"
    tier = 1
    deadline = 60.0
    #: Not started at all, as two of them speak to hosts in the public web.
    left_out = {"*tls*": "TLS, which Leveret lacks; without the certificates, and two tests call the public web"}
    tests = ("t/integration/test_rmq.py", "-k", "not tls")

    def address(self, broker):
        return {"RABBITMQ_HOST": broker.host, "RABBITMQ_5672_TCP": broker.port}
