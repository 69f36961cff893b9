"""Applications whose compilers and client libraries are Debian's own packages.

They are used where they lie, as a user of Debian does: only what is compiled goes below `target/`. Packages that are
missing are installed when we are root; otherwise the failure names the command that does it.
"""

import os
import shutil
import subprocess
from pathlib import Path

from applications.application import Application, ApplicationFailed
from clients import process
from clients.control import environment
from clients.suite import SuiteFailed

APT = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]


class DebianApplication(Application):
    """One program in its folder, with what `commands` and `packages` say it needs."""

    restarts = True
    #: Commands it needs, each with the package that has it; a command that is there may come from anywhere.
    commands = {}
    #: Packages it needs beside them.
    packages = ()
    #: How the sources' names end.
    suffix = ""

    def __init__(self):
        self.shows = tuple(path.name for path in self.sources())

    def sources(self):
        """The one that starts comes first."""
        return sorted(self.folder.glob(f"*{self.suffix}"), key=lambda path: (path.stem not in ("main", "Tour", "tour"), path.name))

    def pin_files(self):
        return [Path(__file__), *self.sources()]

    def install(self, home):
        self.require(home)
        self.build(home)

    def build(self, home):
        """Nothing, in a language that is not compiled."""

    def command(self, home):
        raise NotImplementedError

    def play(self, home, broker):
        # The one spelling of the default virtual host that every client understands: see docs/clients.md.
        url = f"amqp://guest:guest@{broker.host}:{broker.port}/%2F"
        ended = process.run(self.command(home), self.deadline, cwd=self.folder, env=environment(broker, AMQP_URL=url))
        if ended.status != 0:
            how = "is out of time" if ended.status is None else f"ended with {ended.status}"
            raise ApplicationFailed(f"{self.name} {how}:\n{ended.output[-3000:]}")
        return ended.output

    def require(self, home):
        missing = [package for command, package in self.commands.items() if not shutil.which(command)]
        missing += [package for package in self.packages if not _is_installed(package)]
        if missing and os.geteuid() != 0:
            raise SuiteFailed(f"{self.name} needs Debian packages: apt-get install {' '.join(missing)}")
        if missing:
            home.command(*APT, "update")
            home.command(*APT, "install", "--yes", "--no-install-recommends", *missing, DEBIAN_FRONTEND="noninteractive")


def _is_installed(package):
    try:
        asked = subprocess.run(["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except FileNotFoundError:
        raise SuiteFailed("the client libraries of Debian are needed, and this is no Debian") from None
    return asked.stdout == "installed"


class Go(DebianApplication):
    name = "go"
    title = "A Go program: work queue, confirms, topics, retries, RPC, and a reconnect loop"
    language = "Go"
    client = "amqp091-go 1.5.0 (Debian 12: golang-github-rabbitmq-amqp091-go-dev)"
    commands = {"go": "golang-go"}
    packages = ("golang-github-rabbitmq-amqp091-go-dev",)
    suffix = ".go"

    def build(self, home):
        # Debian's Go libraries are a GOPATH; nothing is fetched.
        home.command("go", "build", "-o", self._program(home), ".", cwd=self.folder, GO111MODULE="off", CGO_ENABLED="0",
                     GOPATH="/usr/share/gocode", GOCACHE=str(home.folder / "cache"), GOFLAGS="")

    def command(self, home):
        return [self._program(home)]

    def _program(self, home):
        return home.folder / "tour"


class Java(DebianApplication):
    name = "java"
    title = "A Java program: work queue, confirms, topics, retries, RPC, and automatic recovery"
    language = "Java"
    client = "RabbitMQ Java client 5.0.0 (Debian 12: librabbitmq-client-java)"
    commands = {"javac": "default-jdk-headless"}
    packages = ("librabbitmq-client-java", "libslf4j-java")
    suffix = ".java"
    JARS = [f"/usr/share/java/{name}.jar" for name in ("amqp-client", "slf4j-api", "slf4j-nop")]

    def build(self, home):
        home.command("javac", "-cp", ":".join(self.JARS), "-d", home.folder / "classes", *self.sources())

    def command(self, home):
        return ["java", "-cp", ":".join([str(home.folder / "classes"), *self.JARS]), "Tour"]


class Php(DebianApplication):
    name = "php"
    title = "A PHP program: work queue, confirms, topics, retries, RPC, and a reconnect loop"
    language = "PHP"
    client = "php-amqplib 3.5.3 (Debian 12: php-amqplib)"
    commands = {"php": "php-cli"}
    packages = ("php-amqplib",)
    suffix = ".php"

    def command(self, home):
        return ["php", "-d", "error_reporting=E_ALL", "-d", "display_errors=1", "tour.php"]


class PhpExtension(Php):
    name = "php_amqp"
    title = "A PHP program on the extension around librabbitmq: confirms, topics, retries, RPC, and a reconnect loop"
    client = "php-amqp 1.11.0 (Debian 12: php-amqp)"
    packages = ("php-amqp",)


class Ruby(DebianApplication):
    name = "ruby"
    title = "A Ruby program: work queue, confirms, topics, retries, RPC, and automatic recovery"
    language = "Ruby"
    client = "Bunny 2.19.0 (Debian 12: ruby-bunny)"
    commands = {"ruby": "ruby"}
    packages = ("ruby-bunny",)
    suffix = ".rb"

    def command(self, home):
        return ["ruby", "tour.rb"]
