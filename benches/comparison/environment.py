"""The virtual environment of the benchmarks: what `benches/requirements.txt` pins, in `target/benches/venv`.

Made on first use, and again when the requirements or the interpreter change.
"""

import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys

BENCHES = pathlib.Path(__file__).resolve().parent.parent
HOME = BENCHES.parent / "target/benches"
VENV = HOME / "venv"
REQUIREMENTS = BENCHES / "requirements.txt"


def fingerprint():
    """What the environment was made from."""
    made_from = REQUIREMENTS.read_bytes() + sys.version.encode()
    return hashlib.sha256(made_from).hexdigest()


def made():
    """The interpreter of the environment, which is made unless an equal one is there."""
    HOME.mkdir(parents=True, exist_ok=True)
    stamp, python = VENV / "made-from", VENV / "bin/python"
    with open(HOME / "venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != fingerprint():
            print(f"benches: making {VENV}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
            options = ["--quiet", "--disable-pip-version-check", "--no-input"]
            subprocess.run([python, "-m", "pip", "install", *options, "-r", REQUIREMENTS], check=True)
            stamp.write_text(fingerprint())
    return python


def enter():
    """Goes on in the environment: starts this script again with its interpreter, unless that is what runs it."""
    if pathlib.Path(sys.prefix).resolve() != VENV.resolve():
        python = str(made())
        os.execv(python, [python, *sys.argv])
