"""Telling a suite its broker's port where it has 5672 written into it.

The installed copy is changed, never anything in git: one text for one that reads PORT from the environment.
"""

from clients.suite import SuiteFailed

PORT = "COMPAT_PORT"


def substitute(path, fixed, told, times=1):
    """Replaces `fixed` in a file; that it stands there as often as expected shows that the file is the one we know."""
    text = path.read_text(encoding="utf-8")
    if text.count(fixed) != times:
        raise SuiteFailed(f"{path}: expected {fixed!r} {times} times, found it {text.count(fixed)} times")
    path.write_text(text.replace(fixed, told), encoding="utf-8")
