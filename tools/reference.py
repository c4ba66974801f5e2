"""The reference, made from the code: commands as `--help` shows them, settings as
config/default.yaml comments them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

import config
from loop.cli import app
from loop.cli.app import EXIT_CODES
from loop.settings.messages import PREFIX, variable_of
from loop.settings.settings import LARGEST, NOT_SETTINGS, Settings, default_values

SHARED = {
    "--project": "`--project DIR`, the project folder (this folder when left out)",
    "--json": "`--json`, which prints the result for programs on stdout",
}
VARIABLES = {
    "PROJECT": "the project folder, in place of `--project`",
    "HOME": (
        "where what all projects share lies: Label Studio's environment, unpacked models; "
        "`~/.local/share/fieldloop` when not set"
    ),
    "LABEL_STUDIO_TOKEN": "the token of your own Label Studio",
    "WEB_TOKEN": "asked of whoever opens the pages; needed where `web.host` is not this machine alone",
    "DATA": "the folder of real pictures that the tests and the examples use; the program does not read it",
}
KEY = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?P<value>[^#]*)(?:#(?P<comment>.*))?$")
CONTINUED = re.compile(r"^\s+#(.*)$")


@dataclass(frozen=True)
class Command:
    """path: as typed after `fieldloop`. rows: option or argument, and what it means; shared options
    are left out.

    shared: those of SHARED that it takes.
    """

    path: str
    says: str
    usage: str
    rows: tuple[tuple[str, str], ...]
    shared: tuple[str, ...]
    example: str


def commands() -> list[Command]:
    """Every command by name, those of a group one after the other."""
    return sorted(_commands(typer.main.get_command(app), ()), key=lambda command: command.path)


def commands_page() -> str:
    """The page of commands, in Markdown."""
    listed = commands()
    return "\n\n".join(
        [
            "# Commands",
            "Made from the code when this site was built. `fieldloop COMMAND --help` says the same.",
            *(lacking(option, listed) for option in SHARED),
            "## Exit codes",
            table(("code", "meaning"), ((str(code), meaning) for code, meaning in EXIT_CODES.items())),
            *(part for command in listed for part in _section(command)),
        ]
    )


def settings_page() -> str:
    """The page of settings, in Markdown."""
    defaults = default_values()
    said = comments((config.FOLDER / "default.yaml").read_text(encoding="utf-8"))
    sections = [name for name, value in defaults.items() if "." not in name and isinstance(value, Mapping)]
    plain = [name for name in defaults if "." not in name and name not in sections]
    return "\n\n".join(
        [
            "# Settings",
            (
                "Made from `config/default.yaml` when this site was built. A project's `fieldloop.yaml`"
                " overrides what it names, and the environment overrides both. A wrong key or value is"
                " refused when a command starts."
            ),
            (
                f"The variable of `select.budget` is `{variable_of('select.budget')}`; every other is named"
                " likewise."
            ),
            "## The project",
            _settings_table(plain, defaults, said),
            *(part for name in sections for part in _settings_section(name, defaults, said)),
            "## Variables that are no settings",
            "Secrets stand in the environment alone, never in a file.",
            table(
                ("variable", "meaning"),
                ((f"`{PREFIX}{name}`", VARIABLES[name]) for name in sorted(NOT_SETTINGS)),
            ),
        ]
    )


def comments(text: str) -> dict[str, str]:
    """The comment of each setting by dotted name, its later lines joined."""
    found: dict[str, str] = {}
    section, last = "", ""
    for line in text.splitlines():
        if not line.strip():
            last = ""
        elif match := KEY.match(line):
            if not match["indent"]:
                section = match["key"]
            last = f"{section}.{match['key']}" if match["indent"] else section
            found[last] = (match["comment"] or "").strip()
        elif last and (more := CONTINUED.match(line)):
            found[last] = f"{found[last]} {more[1].strip()}".strip()
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[Command]:
    for name, command in group.commands.items():
        if getattr(command, "invoke_without_command", not hasattr(command, "commands")):
            yield _command(command, (*path, name))
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))


def _command(command: Any, path: tuple[str, ...]) -> Command:
    name = " ".join(path)
    context = command.make_context(f"fieldloop {name}", [], resilient_parsing=True)
    records = [record for param in command.params if (record := param.get_help_record(context))]
    shared = tuple(option for option in SHARED if any(option in param.opts for param in command.params))
    own = tuple(
        (f"`{left}`", right) for left, right in records if not any(option in left for option in shared)
    )
    usage = command.get_usage(context).removeprefix("Usage: ")
    return Command(name, command.help, usage, own, shared, command.epilog.removeprefix("Example: "))


def _section(command: Command) -> Iterator[str]:
    yield f"## fieldloop {command.path}"
    yield command.says
    yield f"```\n{command.usage}\n```"
    if command.rows:
        yield table(("argument or option", "meaning"), command.rows)
    yield f"Example: `{command.example}`"


def lacking(option: str, listed: Sequence[Command]) -> str:
    """The sentence that says which commands take a shared option."""
    without = [f"`{command.path}`" for command in listed if option not in command.shared]
    if not without:
        return f"Every command takes {SHARED[option]}."
    names = without[0] if len(without) == 1 else f"{', '.join(without[:-1])} and {without[-1]}"
    return f"Every command but {names} takes {SHARED[option]}."


def _settings_section(name: str, defaults: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[str]:
    yield f"## {name}"
    if said.get(name):
        yield f"{said[name][0].upper()}{said[name][1:]}."
    yield _settings_table([key for key in defaults if key.startswith(f"{name}.")], defaults, said)


def _settings_table(names: Sequence[str], defaults: Mapping[str, Any], said: Mapping[str, str]) -> str:
    return table(
        ("setting", "default", "must be", "meaning"),
        ((f"`{name}`", f"`{json.dumps(defaults[name])}`", allowed(name), said[name]) for name in names),
    )


def allowed(name: str) -> str:
    """What a setting may hold, as far as its type says."""
    schema: Mapping[str, Any] = Settings.model_json_schema()
    field: Mapping[str, Any] = schema["properties"][name.split(".")[0]]
    if "." in name:
        field = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]["properties"][name.split(".")[1]]
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    return " ".join([KINDS[field["type"]], *_bounds(field)])


KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "`key: value` lines",
}
BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "in steps of {}",
    "minLength": "of {}",
    "maxLength": "to {} characters",
}


def _bounds(field: Mapping[str, Any]) -> Iterator[str]:
    bounds = {key: said for key, said in BOUNDS.items() if field.get(key, LARGEST) != LARGEST}
    yield from (said.format(field[key]) for key, said in bounds.items())
