"""The documentation names what exists: commands, settings, links, and the way a frame takes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import config
from loop.cli import app
from loop.settings.settings import valid_keys

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WALK = (ROOT / "docs" / "walk.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[`?([^\]`]+)`?\]\(([^)#]+)\)")


def commands() -> Iterator[str]:
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        yield from (
            (f"{name} {inner}" for inner in command.commands) if hasattr(command, "commands") else [name]
        )


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_stands_in_the_readme(command: str) -> None:
    group, _, inner = command.partition(" ")
    row = next((line for line in README.splitlines() if line.startswith(f"| `fieldloop {group}")), "")
    assert row, f"`fieldloop {group}` has no row in the README's table"
    assert not inner or f"`{inner}`" in row or f"{group} {inner}`" in row


@pytest.mark.parametrize("option", ["--project", "--json"])
def test_the_readme_says_which_commands_lack_an_option(option: str) -> None:
    sentence = re.split("[Ee]very command but", README[: README.index(f"takes `{option}")])[-1]
    assert set(re.findall(r"`([^`]+)`", sentence)) == set(lacking(option))


def lacking(option: str) -> Iterator[str]:
    stack: list[tuple[str, Any]] = [("", typer.main.get_command(app))]
    while stack:
        name, command = stack.pop()
        inner = getattr(command, "commands", {})
        stack += [(f"{name} {child}".strip(), found) for child, found in inner.items()]
        if not inner and not any(option in each.opts for each in command.params):
            yield name


@pytest.mark.parametrize(("name", "target"), LINK.findall(WALK))
def test_the_walk_links_to_what_is_there(name: str, target: str) -> None:
    text = (ROOT / "docs" / target).resolve().read_text(encoding="utf-8")
    symbol = name.rsplit(".", 1)[-1]
    assert re.search(rf"^\s*(def|class) {symbol}\b|^{symbol}\b", text, re.MULTILINE), (
        f"{symbol} is not in {target}"
    )


def test_the_walk_fits_one_screen() -> None:
    assert len(WALK.splitlines()) <= 40


def test_links_of_the_readme_exist() -> None:
    missing = [target for _, target in LINK.findall(README) if not (ROOT / target).exists()]
    assert not missing


def test_every_setting_is_explained() -> None:
    text = (config.FOLDER / "default.yaml").read_text(encoding="utf-8")
    for key in sorted(valid_keys()):
        lines = [line for line in text.splitlines() if line.strip().startswith(f"{key.rsplit('.', 1)[-1]}:")]
        section = key in {
            "embedder",
            "detector",
            "round",
            "gate",
            "select",
            "gaps",
            "evaluation",
            "label_studio",
            "web",
            "frames",
            "schedule",
        }
        assert (
            section
            or any("#" in line for line in lines)
            or key.split(".")[0] in {"schedule", "embedder", "detector", "round"}
        ), key


def test_types_are_checked_wherever_there_is_code() -> None:
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    kept = listed.stdout.split()
    assert {path.split("/")[0] for path in kept} - {"tests"} == set(checked)
