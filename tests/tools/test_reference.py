"""The reference says all that the code knows of commands and settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from loop.cli import app
from loop.cli.app import EXIT_CODES
from loop.settings.messages import PREFIX, variable_of
from loop.settings.settings import NOT_SETTINGS, default_values
from tools.reference import VARIABLES, allowed, commands_page, comments, settings_page, table

COMMANDS = commands_page()
SETTINGS = settings_page()
SECTIONS = {key.partition(".")[0] for key in default_values() if "." in key}
LEAVES = sorted(set(default_values()) - SECTIONS)


def leaves() -> Iterator[tuple[str, Any]]:
    stack: list[tuple[str, Any]] = [("", typer.main.get_command(app))]
    while stack:
        name, command = stack.pop()
        inner = getattr(command, "commands", {})
        stack += [(f"{name} {child}".strip(), found) for child, found in inner.items()]
        if not inner:
            yield name, command


LISTED = sorted(leaves(), key=lambda found: found[0])


@pytest.mark.parametrize(("name", "command"), LISTED, ids=[name for name, _ in LISTED])
def test_every_command_has_a_section_with_its_options_and_an_example(name: str, command: Any) -> None:
    section = re.split(r"^## ", COMMANDS.split(f"\n## fieldloop {name}\n")[1], flags=re.MULTILINE)[0]
    assert command.help in section
    assert f"Example: `fieldloop {name}" in section
    for param in command.params:
        shared = {"--project", "--json"} & set(param.opts)
        assert shared or any(option in section for option in param.opts), param.name


@pytest.mark.parametrize("option", ["--project", "--json"])
def test_which_commands_lack_a_shared_option_is_said(option: str) -> None:
    sentence = re.split("[Ee]very command but", COMMANDS[: COMMANDS.index(f"takes `{option}")])[-1]
    without = {name for name, command in LISTED if not any(option in param.opts for param in command.params)}
    assert set(re.findall(r"`([^`]+)`", sentence)) == without


def test_every_exit_code_is_listed() -> None:
    assert [code for code, meaning in EXIT_CODES.items() if f"| {code} | {meaning} |" not in COMMANDS] == []


@pytest.mark.parametrize("key", LEAVES)
def test_every_setting_is_listed_with_what_it_means(key: str) -> None:
    row = next(line for line in SETTINGS.splitlines() if line.startswith(f"| `{key}` |"))
    _, _, default, must, meaning, _ = (cell.strip() for cell in re.split(r"(?<!\\)\|", row))
    assert default
    assert must
    assert meaning, f"{key} has no comment in config/default.yaml"


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_every_section_of_the_settings_has_its_heading(section: str) -> None:
    assert f"\n## {section}\n" in SETTINGS


def test_every_variable_that_is_no_setting_is_explained() -> None:
    assert set(VARIABLES) == NOT_SETTINGS
    assert all(f"| `{PREFIX}{name}` |" in SETTINGS for name in NOT_SETTINGS)
    assert f"`{variable_of('select.budget')}`" in SETTINGS


def test_comments_are_read_with_their_later_lines() -> None:
    text = "# head\na: 1   # one\n\nb:   # many\n  c: 'x' # first\n         # second\n  d: 2\n"
    assert comments(text) == {"a": "one", "b": "many", "b.c": "first second", "b.d": ""}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("gate.alpha", "a number above 0 below 1"),
        ("select.budget", "a whole number from 1"),
        ("round.approval", "`auto`, `manual`"),
        ("name", "text of 3 to 50 characters"),
        ("gaps.prompts", "`true` or `false`"),
        ("round.train", "`key: value` lines"),
    ],
)
def test_what_a_setting_may_be_comes_from_its_type(key: str, said: str) -> None:
    assert allowed(key) == said


def test_bars_in_cells_do_not_divide_them() -> None:
    assert table(("a", "b"), [("x|y", "z")]).splitlines()[-1] == r"| x\|y | z |"
