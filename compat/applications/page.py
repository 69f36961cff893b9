"""docs/clients.md: each application as it is in its folder, so that the page cannot say anything else."""

from applications.application import FOLDER
from applications.catalogue import APPLICATIONS
from applications.report import seconds
from harness import results

PAGE = FOLDER.parent.parent / "docs" / "clients.md"
INTRODUCTION = FOLDER / "introduction.md"
#: What a block of source is called, by the ending of its file.
LANGUAGES = {".go": "go", ".java": "java", ".js": "javascript", ".php": "php", ".py": "python", ".rb": "ruby",
             ".sh": "sh"}


def text():
    """The page as it should be."""
    introduction = INTRODUCTION.read_text(encoding="utf-8").rstrip()
    return "\n\n".join([introduction, "## The programs", _table(), *map(_section, APPLICATIONS)]) + "\n"


def _table():
    kept = results.read("applications")
    return "\n".join([
        "| Language | Client | Lines to change | Leveret, s | RabbitMQ 3.10.8, s |", "|---|---|---|---|---|",
        *(f"| {application.language} | [{application.client}](#{application.name}) | none | "
          f"{seconds(kept, application, 'leveret')} | {seconds(kept, application, 'rabbitmq')} |"
          for application in APPLICATIONS),
        "", "Where a program has its broker restarted, that restart is a part of its time."])


def _section(application):
    """One application: what it needs, its sources, what it prints."""
    return "\n\n".join([
        f'<a id="{application.name}"></a>\n\n## {application.language}: {_client_name(application)}',
        f"{application.title}.",
        f"* Client: {application.client}\n"
        f"* Program: [compat/applications/{application.folder.name}](../compat/applications/{application.folder.name})\n"
        "* Lines to change to move from RabbitMQ to Leveret: **none**",
        *(_source(application.folder / name) for name in application.shows),
        "It prints, on both brokers:", _block("text", application.expected)])


def _client_name(application):
    return application.client.split(" (")[0]


def _source(path):
    code = path.read_text(encoding="utf-8")
    summary = f"<summary>{path.name} ({len(code.splitlines())} lines)</summary>"
    return f"<details>{summary}\n\n{_block(LANGUAGES[path.suffix], code)}\n\n</details>"


def _block(language, code):
    """Fenced with more backticks than the code has."""
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"
