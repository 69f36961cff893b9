"""Takes out of a program's output what differs from run to run whatever the broker does.

Only addresses, ports, generated consumer tags and the insides of pika and python go; every text that
came from the broker stays.
"""

import re

VARYING = [
    (re.compile(r"0x[0-9a-f]+"), "0x…"),
    (re.compile(r"\bctag\d+\.[0-9a-f]{32}"), "ctag…"),
    (re.compile(r"\bfd=\d+"), "fd=…"),
    (re.compile(r"\('(127\.0\.0\.1|localhost)', \d+"), r"('\1', …"),
    # Newer interpreters add advice to a NameError.
    (re.compile(r"\. Did you (mean|forget)\b.*$"), ""),
]
FRAME = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+), in (?P<function>.*)')


def line_of(text):
    """One line without what varies."""
    for pattern, replacement in VARYING:
        text = pattern.sub(replacement, text)
    return text.rstrip()


def output(text):
    """Standard output, line by line."""
    return [line_of(line) for line in text.splitlines()]


def errors(text, block):
    """Standard error: log lines and last lines of tracebacks, with the block's own frames only.

    Where in its waiting a consumer meets Ctrl-C is chance, so a KeyboardInterrupt keeps its outermost frame.
    """
    kept, frames = [], []
    for line in text.splitlines():
        frame = FRAME.match(line)
        if frame and frame["file"] == f"<{block.id}>":
            frames.append(_frame_line(frame, block))
        elif not line.startswith("  "):
            kept += frames[:1] if line == "KeyboardInterrupt" else frames
            kept.append(line_of(line))
            frames = []
    return kept


def _frame_line(frame, block):
    number = int(frame["line"])
    source = block.text.splitlines()[number - 1].strip()
    return f"  line {number}, in {frame['function']}: {source}"
