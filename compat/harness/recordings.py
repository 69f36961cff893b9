"""What RabbitMQ did with each block, as committed JSON: one file a block, one for blocks that meet."""

import difflib
import json

CROSS = "cross"


def read(folder, name):
    """All runs of one recording by their names."""
    path = folder / f"{name}.json"
    if not path.exists():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))["runs"]


def write(folder, name, recorded_with, runs, block=None):
    """Writes one recording; a block's carries its text, for places without the documents."""
    folder.mkdir(parents=True, exist_ok=True)
    head = {"block": block.id, "text": block.text} if block else {}
    content = {**head, "recorded with": recorded_with, "runs": runs}
    (folder / f"{name}.json").write_text(pretty(content) + "\n", encoding="utf-8")


def pretty(content):
    return json.dumps(content, indent=1, ensure_ascii=False)


def difference(recorded, seen):
    """Lines of a diff between two records of a run; none if they are equal."""
    if recorded == seen:
        return []
    before = pretty(recorded).splitlines() if recorded else []
    return list(difflib.unified_diff(before, pretty(seen).splitlines(),
                                     "RabbitMQ 3.10.8", "this broker", lineterm="", n=4))
