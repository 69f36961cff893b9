"""Running a suite's or an application's processes within a deadline, and ending all that they started."""

import os
import signal
import subprocess
import tempfile


class Ended:
    """What a process printed and how it ended; `status` is None if it was out of time."""

    def __init__(self, status, output):
        self.status = status
        self.output = output


def run(words, deadline, cwd=None, env=None):
    """Runs a program to its end or the deadline, output and errors together."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([str(word) for word in words], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(deadline)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end_group(process)
        output.seek(0)
        return Ended(status, output.read().decode(errors="replace"))


def _end_group(process):
    """Ends the process and what it left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended, and left nothing
    process.wait()
