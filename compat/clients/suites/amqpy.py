"""amqpy, a client whose own programs read in threads."""

from clients.pytest_suite import PytestSuite
from clients.substitution import PORT, substitute


class Amqpy(PytestSuite):
    """All its tests; they know only the default port, so the default is moved."""

    name = "amqpy"
    version = "0.13.1"
    licence = "LGPL-2.1"
    tier = 1
    deadline = 60.0
    tests = ("amqpy/tests",)

    def install(self, home):
        super().install(home)
        substitute(self.folder(home) / "amqpy" / "connection.py", "port=5672,",
                   f"port=int(__import__('os').environ['{PORT}']),")

    def address(self, broker):
        return {PORT: broker.port}
