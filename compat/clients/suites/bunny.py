"""bunny, the client for Ruby, with Debian's Ruby."""

from clients import debian, process, reports
from clients.control import environment
from clients.pytest_suite import PLUGINS
from clients.reasons import STREAMS
from clients.suite import Suite

SHA256 = "620a89c2c3d3455a048e3d09e4dfd6f444feb972e8a8e89691cbbd3ada79ff81"
#: What its CI makes beforehand with rabbitmqctl, and what stands for it here.
MADE_BEFOREHAND = {"bunny_gem": "guest", "bunny_password": "guest", "bunny_testbed": "/"}
LEFT_OUT = {
    "tls_connection": "TLS",
    "toxiproxy": "needs a proxy that Debian does not have",
    "connection_recovery": "closes connections over RabbitMQ's HTTP API",
    "default_queue_type": "needs virtual hosts made with rabbitmqctl",
    "read_only_consumer": "needs a user made with rabbitmqctl",
}


class Bunny(Suite):
    """Needs ruby-rspec, ruby-amq-protocol and ruby-sorted-set.

    The specs that need more than an AMQP broker and guest's account are left out (LEFT_OUT).
    """

    name = "bunny"
    version = "2.23.0"
    licence = "MIT"
    language = "Ruby"
    source = "Debian"
    tier = 2
    deadline = 400.0
    explained = {"queue_declare_spec.rb::Bunny::Queue when a stream *": STREAMS}

    def install(self, home):
        home.command("rspec", "--version")
        source = debian.upstream_source(home, "ruby-bunny", SHA256, "trixie").rename(home.folder / "source")
        for spec in source.glob("spec/**/*_spec.rb"):
            text = spec.read_text(encoding="utf-8")
            for name, ours in MADE_BEFOREHAND.items():
                text = text.replace(f'"{name}"', f'"{ours}"').replace(f"'{name}'", f"'{ours}'")
            spec.write_text(text, encoding="utf-8")

    def run(self, home, broker):
        report = home.folder / f"report-{broker.port}.json"
        ended = process.run(
            ["rspec", "-I", PLUGINS, "-I", "lib", "--options", "/dev/null", "--format", "json", "--out", report,
             *self._specs(home.folder / "source")],
            self.deadline, cwd=home.folder / "source",
            env=environment(broker, AMQP_PORT=broker.port, RABBITMQ_PORT=broker.port, CI="true"))
        return reports.rspec(reports.written(report, ended))

    def _specs(self, source):
        folders = ("higher_level_api/integration", "lower_level_api/integration", "issues")
        found = [spec for folder in folders for spec in sorted((source / "spec" / folder).glob("*_spec.rb"))]
        return [spec for spec in found if spec.name.removesuffix("_spec.rb") not in LEFT_OUT]
