"""Pages that are made of what runs gave: README's tables, the list of differences, the page on clients."""

from pathlib import Path

from applications import page as clients_page, report as applications
from clients import report as clients
from differential import report as differential

REPOSITORY = Path(__file__).resolve().parent.parent.parent
README = REPOSITORY / "README.md"
#: README's sections, by the name in their marks.
SECTIONS = {"compatibility": differential.table, "clients": clients.table, "applications": applications.table}


def pages():
    """Each page with the text that it should have."""
    readme = README.read_text(encoding="utf-8")
    for name, made in SECTIONS.items():
        readme = _with_section(readme, name, made())
    return {README: readme, differential.LIST: differential.list_of_differences(),
            clients_page.PAGE: clients_page.text()}


def _with_section(text, name, section):
    begin, end = f"<!-- {name}: begin. Made by compat/run --table. -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"compat: README.md has no place for a table: {begin} ... {end}")
    return f"{before}{begin}\n\n{section}\n\n{end}{after}"


def check():
    """Prints and counts the pages that are not what the results make of them."""
    stale = [path for path, text in pages().items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"DIFFERENT {path.name} is not what the results make of it; compat/run --table", flush=True)
    return len(stale)


def write():
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote     {path.name}")
