"""rabbitmq-c, the client of C programs, and amqp-tools, its commands: from Debian, as its users get them."""

from clients import process
from clients.control import environment
from clients.debian import upstream_source
from clients.substitution import PORT, substitute
from clients.suite import FAILED, PASSED, Outcome, Suite, SuiteFailed
from clients.suites.rabbitmq_c_runs import RUNS, Programs

#: What CMakeLists.txt finds out on Linux; TLS is left out, and the broker has none.
FLAGS = ["-O1", "-DHAVE_POLL", '-DAMQ_PLATFORM="Linux"', "-DAMQP_STATIC"]
#: Upstream's example programs that `rabbitmq_c_runs` plays.
EXAMPLES = ["bind", "connect_timeout", "exchange_declare", "listen", "producer", "sendstring", "unbind"]


class RabbitmqC(Suite):
    """Upstream's one test that needs a broker, and runs of upstream's examples and Debian's commands.

    The runs are ours: upstream has no tests of these programs.
    """

    name = "rabbitmq-c"
    version = "0.11.0"
    licence = "MIT"
    language = "C"
    source = "Debian"
    tier = 1
    deadline = 60.0
    sha256 = "437d45e0e35c18cf3e59bcfe5dfe37566547eb121e69fca64b98f5d2c1c2d424"

    def install(self, home):
        home.debian_packages("amqp-tools", "librabbitmq4", "libpopt0")
        if not any(home.folder.glob(f"amqp-tools_{self.version}-*.deb")):
            raise SuiteFailed(f"Debian's amqp-tools are not of version {self.version} here")
        source = upstream_source(home, "librabbitmq", self.sha256)
        substitute(source / "tests" / "test_basic.c", '"localhost", AMQP_PROTOCOL_PORT',
                   f'"localhost", atoi(getenv("{PORT}"))')
        self.compile(home, source)

    def compile(self, home, source):
        """The library, upstream's test, and the examples."""
        library = source / "librabbitmq"
        # amqp_openssl and what belongs to it need OpenSSL's headers.
        parts = [path for path in library.glob("amqp_*.c") if not {"openssl", "hostcheck"} & {*path.stem.split("_")}]
        cc = ["cc", *FLAGS, f"-I{library}", f"-I{library}/unix"]
        home.command(*cc, "-c", *sorted(parts))
        home.command("ar", "rcs", "librabbitmq.a", *sorted(home.folder.glob("*.o")))
        programs = home.folder / "bin"
        programs.mkdir()
        home.command(*cc, "-o", programs / "test_basic", source / "tests" / "test_basic.c", "librabbitmq.a")
        examples = source / "examples"
        for name in EXAMPLES:
            home.command(*cc, "-o", programs / f"amqp_{name}", examples / f"amqp_{name}.c", examples / "utils.c",
                         examples / "unix" / "platform_utils.c", "librabbitmq.a")

    def run(self, home, broker):
        test = process.run([home.folder / "bin" / "test_basic"], self.deadline,
                           env=environment(broker, **{PORT: broker.port}))
        outcomes = {"tests::test_basic": Outcome(PASSED if test.status == 0 else FAILED, test.output)}
        for run in RUNS:
            outcomes[f"runs::{run.__name__}"] = _played(run, Programs(home.folder, broker))
        return outcomes


def _played(run, programs):
    try:
        run(programs)
    except AssertionError as failure:
        return Outcome(FAILED, str(failure))
    finally:
        programs.close()
    return Outcome(PASSED)
