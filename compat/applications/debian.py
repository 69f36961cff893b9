"""Programs whose compilers and client libraries are Debian's own packages.

They are used where they lie, as a user of Debian does: only what is compiled goes below `target/`. Packages that are
missing are installed when we are root; otherwise the failure names the command that does it.
"""

import os
import shutil
import subprocess
from pathlib import Path

from applications.programs import Program
from clients.suite import SuiteFailed

APT = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]


class DebianProgram(Program):
    """All sources of its folder, with what `commands` and `packages` say it needs."""

    restarts = True
    #: How the sources' names end.
    suffix = ""
    #: Commands it needs, each with the package that has it; a command that is there may come from anywhere.
    commands = {}
    #: Packages it needs beside them.
    packages = ()

    def sources(self):
        """The one that is started comes first."""
        return sorted(self.folder.glob(f"*{self.suffix}"), key=lambda path: (path.name != self.program, path.name))

    @property
    def shows(self):
        return [path.name for path in self.sources()]

    def pin_files(self):
        return [Path(__file__), *self.sources()]

    def install(self, home):
        missing = [package for command, package in self.commands.items() if not shutil.which(command)]
        missing += [package for package in self.packages if not _is_installed(package)]
        if missing and os.geteuid() != 0:
            raise SuiteFailed(f"{self.name} needs Debian packages: apt-get install {' '.join(missing)}")
        if missing:
            home.command(*APT, "update")
            home.command(*APT, "install", "--yes", "--no-install-recommends", *missing,
                         DEBIAN_FRONTEND="noninteractive")
        self.build(home)

    def build(self, home):
        """Nothing, in a language that is not compiled."""


def _is_installed(package):
    try:
        asked = subprocess.run(["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except FileNotFoundError:
        raise SuiteFailed("client libraries of Debian are needed, and this is no Debian") from None
    return asked.stdout == "installed"


class GoProgram(DebianProgram):
    """Debian's Go libraries are a GOPATH, so that nothing is fetched."""

    language = "Go"
    program = "main.go"
    suffix = ".go"
    commands = {"go": "golang-go"}
    packages = ("golang-github-rabbitmq-amqp091-go-dev",)

    def build(self, home):
        home.command("go", "build", "-o", home.folder / "program", ".", cwd=self.folder, GO111MODULE="off", GOFLAGS="",
                     GOPATH="/usr/share/gocode", GOCACHE=str(home.folder / "cache"), CGO_ENABLED="0")

    def words(self, home):
        return [home.folder / "program"]


class JavaProgram(DebianProgram):
    """The class named like the file that is started."""

    language = "Java"
    program = "Tour.java"
    suffix = ".java"
    commands = {"javac": "default-jdk-headless"}
    packages = ("librabbitmq-client-java", "libslf4j-java")
    JARS = [f"/usr/share/java/{name}.jar" for name in ("amqp-client", "slf4j-api", "slf4j-nop")]

    def build(self, home):
        home.command("javac", "-cp", ":".join(self.JARS), "-d", home.folder / "classes", *self.sources())

    def words(self, home):
        return ["java", "-cp", ":".join([str(home.folder / "classes"), *self.JARS]), Path(self.program).stem]


class PhpProgram(DebianProgram):
    """With every complaint of PHP among its output."""

    language = "PHP"
    program = "tour.php"
    suffix = ".php"
    commands = {"php": "php-cli"}

    def words(self, home):
        return ["php", "-d", "error_reporting=E_ALL", "-d", "display_errors=1", self.program]


class RubyProgram(DebianProgram):
    language = "Ruby"
    program = "tour.rb"
    suffix = ".rb"
    commands = {"ruby": "ruby"}
    packages = ("ruby-bunny",)

    def words(self, home):
        return ["ruby", self.program]
