"""What an application is: a few programs that somebody could have, and what they print when all is well."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent


class ApplicationFailed(Exception):
    """A program ended badly, or was late."""


class Application:
    """Programs in `applications/NAME`, which read AMQP_URL and check their own results.

    `install` puts what they need below `home.folder`, pinned by the files `pins`; `play` runs them against
    `broker` and gives what they printed, which must be the text of `expected.txt`, on every broker alike.
    """

    name = ""
    title = ""
    language = ""
    #: The client library as a user would name it, with version and registry.
    client = ""
    #: Sources that docs/clients.md shows, in the application's folder.
    shows = ()
    #: Files in the application's folder that the installation is made from.
    pins = ()
    #: Does it ask for a restart of the broker? Then it needs one that was started here.
    restarts = False
    #: Seconds for one run.
    deadline = 120.0

    @property
    def folder(self):
        return FOLDER / self.name

    @property
    def expected(self):
        return (self.folder / "expected.txt").read_text(encoding="utf-8")

    def pin_files(self):
        return [self.folder / name for name in self.pins]

    def install(self, home):
        raise NotImplementedError

    def play(self, home, broker):
        raise NotImplementedError
