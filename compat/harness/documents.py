"""The documents' python blocks that use pika.

A block is known by its document's number and the line of its opening fence: `001:126`. The texts come
from a folder of documents, or, where there is none, from the recordings, which keep a copy of each.
"""

import json
import re
import symtable
from builtins import __dict__ as BUILTINS
from dataclasses import dataclass

FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
USES_PIKA = re.compile(r"^\s*(import|from) pika\b", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One program out of a document, exactly as printed there."""

    id: str
    text: str

    def position(self):
        """Document number and line."""
        return tuple(int(part) for part in self.id.split(":"))

    @property
    def file_name(self):
        """`001:126` as part of a file name."""
        return self.id.replace(":", "-")

    def missing_names(self):
        """Names the block uses, but neither defines nor imports."""
        table = symtable.symtable(self.text, self.id, "exec")
        defined = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
        defined |= {child.get_name() for child in table.get_children()}
        return sorted(_globals_used(table) - defined - BUILTINS.keys())


def _globals_used(table):
    symbols = table.get_symbols()
    is_module = table.get_type() == "module"
    used = {s.get_name() for s in symbols if s.is_referenced() and (is_module or s.is_global())}
    for child in table.get_children():
        used |= _globals_used(child)
    return used


def from_folder(folder):
    """Every pika block of the documents in `folder`, in order."""
    blocks = []
    for document in sorted(folder.glob("*.txt")):
        number = document.name.split("_")[0]
        text = document.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if USES_PIKA.search(match.group(1)):
                line = text.count("\n", 0, match.start()) + 1
                blocks.append(Block(f"{number}:{line}", match.group(1)))
    return blocks


def from_recordings(folder):
    """Every block that has been recorded, in order."""
    recorded = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    blocks = [Block(one["block"], one["text"]) for one in recorded if "text" in one]
    return sorted(blocks, key=Block.position)
