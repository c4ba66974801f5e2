"""Advice can be followed: the options, commands and settings that messages name are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.main import get_command

from loop.cli import app
from loop.settings.settings import default_values

ROOT = Path(__file__).parents[3]
PARTS = ("connectors", "db", "demo", "loop", "samplers")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])")
TYPED = re.compile(r"(?:`|: )fieldloop ([^`,;]*)")
SECTIONS = sorted({key.partition(".")[0] for key in default_values() if "." in key})
SETTING = re.compile(rf"(?<![\w./-])(?:{'|'.join(SECTIONS)})\.[a-z_0-9]+(?![\w(/])")
FILES = (".csv", ".html")
PAGE = re.compile(r"docs/[\w/.-]+\.md")
OF_COMMAND = {
    "loop/datasets/usable": ["init"],
    "loop/datasets": ["init", "bench replay"],
    "loop/project": ["init"],
    "loop/replay": ["bench replay"],
    "loop/selection": ["select"],
}
"""Whose options messages of a folder name without the command."""


@dataclass(frozen=True)
class Message:
    """A text with blanks in it that is no docstring; values in it stand as a bar."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text[:100]}"


def messages_of(source: str, file: str) -> Iterator[Message]:
    tree = ast.parse(source)
    quiet = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            quiet.update(map(id, node.values))
            text = "".join(map(shown, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in quiet:
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield Message(file, node.lineno, text)


def shown(part: ast.expr) -> str:
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "|"


def commands() -> dict[str, set[str]]:
    """The options of every command, by what is typed."""
    found: dict[str, set[str]] = {}
    stack: list[tuple[str, Any]] = [("", get_command(app))]
    while stack:
        name, command = stack.pop()
        found[name] = {option for given in command.params for option in given.opts} | {"--help"}
        children = getattr(command, "commands", {})
        stack += [(f"{name} {child}".strip(), below) for child, below in children.items()]
    return found


COMMANDS = commands()


def typed(text: str) -> tuple[str, list[str]]:
    """The longest command that a line begins with, and the rest."""
    words = text.split()
    length = next((n for n in (3, 2, 1) if " ".join(words[:n]) in COMMANDS), 0)
    return " ".join(words[:length]), words[length:]


def wrong_advice(message: Message) -> list[str]:
    """What a message names that is not there."""
    wrong = []
    for line in TYPED.findall(message.text):
        command, rest = typed(line)
        groups = {name.rpartition(" ")[0] for name in COMMANDS if " " in name}
        if rest[:1] == ["|"] and not command:
            continue
        if not command or (command in groups and rest and re.fullmatch("[a-z]+", rest[0])):
            wrong.append(f"fieldloop {line}")
        wrong += [f"{command} {option}" for option in OPTION.findall(line) if option not in COMMANDS[command]]
    bare = TYPED.sub("", message.text)
    places = next(
        (names for folder, names in OF_COMMAND.items() if message.file.startswith(folder)), [*COMMANDS]
    )
    known = set().union(*(COMMANDS[place] for place in places), {"--project"})
    wrong += [option for option in OPTION.findall(bare) if option not in known]
    settings = [one for one in SETTING.findall(message.text) if not one.endswith(FILES)]
    wrong += [one for one in settings if one not in default_values()]
    return wrong + [page for page in PAGE.findall(message.text) if not (ROOT / page).is_file()]


def test_what_messages_name_is_there() -> None:
    files = [
        file
        for part in PARTS
        for file in sorted((ROOT / part).rglob("*.py"))
        if "migrations" not in file.parts
    ]
    messages = [
        message
        for file in files
        for message in messages_of(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix())
    ]
    wrong = {str(message): found for message in messages if (found := wrong_advice(message))}
    assert wrong == {}
    named = [message for message in messages if TYPED.search(message.text) or OPTION.search(message.text)]
    assert len(named) > 100


def test_what_is_not_there_is_found() -> None:
    source = 'def f(x):\n    """`fieldloop nothing`, --nothing"""\n    raise E(f"{x}: set {x}: {text}")'
    for text, found in (
        ("run `fieldloop status --jsn`", ["status --jsn"]),
        ("run `fieldloop rounds list`", ["fieldloop rounds list"]),
        ("run `fieldloop models promot {x}`", ["fieldloop models promot |"]),
        ("give --imagez", ["--imagez"]),
        ("give --like", ["--like"]),
        ("set frames.zone", ["frames.zone"]),
        ("stop it with: fieldloop stop --now", ["fieldloop stop --now", " --now"]),
        ("see docs/howto/nothing.md", ["docs/howto/nothing.md"]),
        ("run `fieldloop models promote {x}` or set frames.timezone, with --images", []),
    ):
        (message,) = messages_of(source.replace("{text}", text), "loop/datasets/a.py")
        assert wrong_advice(message) == found
