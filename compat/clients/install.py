"""Getting suites and applications from their registries into `target/compat`, with pinned versions."""

import fcntl
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from clients import debian
from clients.suite import SuiteFailed

COMPAT = Path(__file__).resolve().parent.parent
TARGET = COMPAT.parent / "target" / "compat"
PINS = COMPAT / "clients" / "pins"
INSTALL_DEADLINE = 1500.0

#: A package that needs a crate, for cargo to fetch it.
_PROBE = """\
[package]
name = "probe"
version = "0.0.0"
edition = "2021"

[workspace]

[dependencies]
{name} = "={version}"
"""


class Home:
    """The folder of one suite or application, and how things get into it."""

    def __init__(self, kind, name):
        self.name = name
        self.folder = TARGET / kind / name
        self.venv = self.folder / "venv"
        self.python = self.venv / "bin" / "python"

    def installed(self, suite, pins=()):
        """Installs, unless the same was installed before; `pins` are files that it is made from."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        made_from = _fingerprint(suite, pins)
        stamp = self.folder / "made-from"
        with open(self.folder.parent / f"{self.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if stamp.exists() and stamp.read_text() == made_from:
                return self
            print(f"compat: installing {self.name}", file=sys.stderr, flush=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            suite.install(self)
            stamp.write_text(made_from)
        return self

    def command(self, *words, cwd=None, **environment):
        """Runs a step of an installation; what it printed is shown only if it fails."""
        words = [str(word) for word in words]
        try:
            done = subprocess.run(words, cwd=cwd or self.folder, env={**os.environ, **environment}, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=INSTALL_DEADLINE, errors="replace")
        except FileNotFoundError:
            raise SuiteFailed(f"{self.name} needs {words[0]}, which is not installed") from None
        except subprocess.TimeoutExpired:
            raise SuiteFailed(f"{self.name}: not installed within {INSTALL_DEADLINE:g} s: {' '.join(words)}") from None
        if done.returncode:
            raise SuiteFailed(f"{self.name}: {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
        return done.stdout

    def python_environment(self, requirements):
        """A virtual environment with what the file `requirements` pins."""
        self.command(sys.executable, "-m", "venv", self.venv)
        self.pip("install", "-r", requirements)

    def pip(self, verb, *words):
        # Some packages are built with a program that the environment has, and that is looked for in the path.
        self.command(self.python if self.python.exists() else sys.executable, "-m", "pip", verb, "--quiet",
                     "--disable-pip-version-check", "--no-input", *words,
                     PATH=f"{self.venv / 'bin'}:{os.environ['PATH']}")

    def pypi_source(self, package, version, *options):
        """The source distribution, unpacked; tests are in it more often than in a wheel.

        pip builds its metadata; with `--no-build-isolation` the tools for that are those that the environment pins.
        """
        self.pip("download", "--no-deps", "--no-binary", ":all:", *options, "--dest", self.folder,
                 f"{package}=={version}")
        return self.unpack(next(self.folder.glob("*.tar.gz")))

    def npm(self, manifest, lock):
        """`node_modules` as the lock file says."""
        shutil.copy(manifest, self.folder / "package.json")
        shutil.copy(lock, self.folder / "package-lock.json")
        self.command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
        return self.folder / "node_modules"

    def debian_packages(self, *packages):
        """Files of Debian packages below `root`, without being root."""
        return debian.packages(self, packages)

    def crate(self, name, version):
        """A crate with its tests and its lock file, as cargo has it from its registry."""
        probe = self.folder / "probe"
        (probe / "src").mkdir(parents=True)
        (probe / "src" / "lib.rs").touch()
        (probe / "Cargo.toml").write_text(_PROBE.format(name=name, version=version), encoding="utf-8")
        known = json.loads(self.command("cargo", "metadata", "--quiet", "--format-version", "1", cwd=probe))
        manifest = next(package["manifest_path"] for package in known["packages"] if package["name"] == name)
        return Path(shutil.copytree(Path(manifest).parent, self.folder / "source"))

    def unpack(self, archive):
        """The one folder that is in an archive."""
        with tarfile.open(archive) as tar:
            # Newer versions of Python check what an archive wants to write, and must be asked to.
            tar.extractall(self.folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
            top = next(name.split("/")[0] for name in tar.getnames() if "/" in name)
        return self.folder / top


def _fingerprint(suite, pins):
    """What an installation was made from."""
    made_from = hashlib.sha256()
    installs = [inspect.getsource(each.install) for each in type(suite).__mro__ if "install" in vars(each)]
    for text in (*installs, str(getattr(suite, "version", "")), sys.version):
        made_from.update(text.encode())
    for path in sorted(pins):
        made_from.update(path.read_bytes())
    return made_from.hexdigest()


def pins_of(name):
    """The files that pin what a suite installs."""
    return sorted(PINS.glob(f"{name}.*"))
