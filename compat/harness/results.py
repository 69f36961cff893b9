"""What runs on Leveret gave, kept in `compat/results` for README's tables."""

import json
import threading
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "results"
_turn = threading.Lock()


def read(kind):
    """All that was kept of a kind (`clients`, `applications`), by name."""
    path = FOLDER / f"{kind}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep(kind, name, result):
    """Keeps one result in the place of the former one."""
    with _turn:
        kept = read(kind)
        kept[name] = result
        FOLDER.mkdir(exist_ok=True)
        text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
        (FOLDER / f"{kind}.json").write_text(text + "\n", encoding="utf-8")
