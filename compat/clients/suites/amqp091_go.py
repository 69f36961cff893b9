"""amqp091-go, RabbitMQ's own client for Go, with Debian's Go."""

from clients import debian, process, reports
from clients.control import environment
from clients.suite import Suite

SHA256 = "5ea2d9527fe110f48b972a909f50553a8e2013dbb28fae0ee3d44dc3992c2a7f"
DEBIANS_LIBRARIES = "/usr/share/gocode"


class Amqp091Go(Suite):
    """Needs golang-go and golang-go.uber-goleak-dev, or golang-github-rabbitmq-amqp091-go-dev, which brings both."""

    name = "amqp091-go"
    version = "1.5.0"
    licence = "BSD-2-Clause"
    language = "Go"
    source = "Debian"
    tier = 2
    deadline = 300.0

    def install(self, home):
        home.command("go", "version")
        source = debian.upstream_source(home, "golang-github-rabbitmq-amqp091-go", SHA256)
        place = home.folder / "go" / "src" / "github.com" / "rabbitmq"
        place.mkdir(parents=True)
        source.rename(place / "amqp091-go")

    def run(self, home, broker):
        """All of it, integration tests and examples too."""
        ended = process.run(
            ["go", "test", "-tags", "integration", "-json", "-count=1", "-timeout", f"{self.deadline - 20:.0f}s", "."],
            self.deadline, cwd=home.folder / "go" / "src" / "github.com" / "rabbitmq" / "amqp091-go",
            env=environment(broker, GO111MODULE="off", GOFLAGS="", GOCACHE=home.folder / "built",
                            GOPATH=f"{home.folder / 'go'}:{DEBIANS_LIBRARIES}"))
        return reports.go(ended.output)
