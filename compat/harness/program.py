"""The child that runs one block: `python -m harness.program PORT BLOCK NAMES < text`.

The block's text is not touched. It asks for `localhost` on pika's default port, so the default port is
moved to where the broker under test listens, and `localhost` is held to 127.0.0.1. Names that the
documents forgot can be supplied from outside.
"""

import importlib
import signal
import socket
import sys
import types

import pika

RESOLVE = socket.getaddrinfo


def do_something(body):
    """Stands in for the work that the documents leave to the reader."""
    print(f"do_something({body!r})")


def supplied(name):
    """What stands behind a name the block does not define: our function, or the module of that name."""
    return do_something if name == "do_something" else importlib.import_module(name)


def resolve_on_loopback(host, *rest, **options):
    """`localhost` may mean ::1 first, where something else may listen."""
    return RESOLVE("127.0.0.1" if host == "localhost" else host, *rest, **options)


def run(block_id, text, names):
    """Executes the text as the main program it would be in a file of its own."""
    label = f"<{block_id}>"
    main = types.ModuleType("__main__")
    main.__dict__.update({name: supplied(name) for name in names})
    sys.modules["__main__"] = main
    sys.argv = [label]
    exec(compile(text, label, "exec"), main.__dict__)


if __name__ == "__main__":
    port, block_id, names = int(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
    # A parent in the background may have left SIGINT ignored; Ctrl-C must mean what it means.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pika.connection.Parameters.DEFAULT_PORT = port
    socket.getaddrinfo = resolve_on_loopback
    run(block_id, sys.stdin.read(), [name for name in names if name])
