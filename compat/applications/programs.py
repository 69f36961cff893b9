"""Applications of one program in its folder: how each language's dependencies are installed and the program started."""

import os

from applications.application import FOLDER, Application, ApplicationFailed
from clients import process
from clients.control import environment


class Program(Application):
    """A program that is run in the application's folder; what it prints, its complaints too, is what is compared."""

    #: The folder of its sources, if another application has them too.
    beside = ""
    #: What is run, and what it must print.
    program = ""
    expects = "expected.txt"

    @property
    def folder(self):
        return FOLDER / (self.beside or self.name)

    @property
    def expected(self):
        return (self.folder / self.expects).read_text(encoding="utf-8")

    def __init__(self, name, title, client, **more):
        self.name, self.title, self.client = name, title, client
        for key, value in more.items():
            if not hasattr(type(self), key):
                raise TypeError(f"an application has no {key}")
            setattr(self, key, value)

    def words(self, home):
        raise NotImplementedError

    def variables(self, home):
        """What the environment says, beside the broker's address."""
        return {}

    def play(self, home, broker):
        ended = process.run(self.words(home), self.deadline, cwd=self.folder,
                            env=environment(broker, **self.variables(home)))
        if ended.status != 0:
            how = f"not done within {self.deadline:g} s" if ended.status is None else f"ended with {ended.status}"
            raise ApplicationFailed(f"{self.name}: {how}:\n{ended.output[-3000:]}")
        return ended.output


class PythonProgram(Program):
    """`program.py`, with a virtual environment of its own."""

    language = "Python"
    program = "program.py"
    shows = ("program.py",)
    pins = ("requirements.txt",)

    def install(self, home):
        home.python_environment(self.folder / "requirements.txt")

    def words(self, home):
        return [home.python, self.program]


class NodeProgram(Program):
    """`program.js`; its modules are kept out of the source folder."""

    language = "Node.js"
    program = "program.js"
    shows = ("program.js",)
    pins = ("package.json", "package-lock.json")

    def install(self, home):
        home.npm(self.folder / "package.json", self.folder / "package-lock.json")

    def words(self, home):
        return ["node", self.program]

    def variables(self, home):
        return {"NODE_PATH": home.folder / "node_modules"}


class ShellProgram(Program):
    """`program.sh`, with commands from Debian packages, which are named in `packages.txt`, a line each."""

    language = "Shell"
    program = "program.sh"
    shows = ("program.sh",)
    pins = ("packages.txt",)

    def install(self, home):
        home.debian_packages(*(self.folder / "packages.txt").read_text().split())

    def words(self, home):
        return ["sh", self.program]

    def variables(self, home):
        usr = home.folder / "root" / "usr"
        libraries = sorted((usr / "lib").glob("*-linux-gnu*"))
        return {"PATH": f"{usr / 'bin'}:{os.environ['PATH']}",
                "LD_LIBRARY_PATH": ":".join(map(str, libraries))}
