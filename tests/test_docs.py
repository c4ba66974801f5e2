"""The documentation names what exists: commands, settings, links, and the way a frame takes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import config
from loop.settings.settings import default_values
from tools.reference import commands, comments

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WALK = (ROOT / "docs" / "walk.md").read_text(encoding="utf-8")
DOORSTEP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md")
PAGES = [*DOORSTEP, *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))]
LINK = re.compile(r"\[`?([^\]`]*)`?\]\(([^)#\s]+)(?:#[^)]*)?\)")
WRITTEN = {f"docs/{name}.md" for name in ("quickstart", "results", "architecture", "glossary")}
LONGEST_PARAGRAPH, WIDEST_LINE = 6, 140


@pytest.mark.parametrize("command", [command.path for command in commands()])
def test_every_command_stands_in_the_readme(command: str) -> None:
    group, _, inner = command.partition(" ")
    row = next((line for line in README.splitlines() if line.startswith(f"| `fieldloop {group}")), "")
    assert row, f"`fieldloop {group}` has no row in the README's table"
    assert not inner or f"`{inner}`" in row or f"{group} {inner}`" in row


def test_every_command_of_the_readme_exists() -> None:
    known = {part for command in commands() for part in (command.path, command.path.split()[0])}
    named = re.findall(
        r"fieldloop ([a-z]+(?: [a-z]+)?)", "\n".join(text_of(page) for page in PAGES if hand(page))
    )
    assert [name for name in named if name not in known and name.split()[0] not in known] == []


def hand(page: str) -> bool:
    """Whether people wrote it: pages of results quote commands of their time."""
    return page in DOORSTEP or page.count("/") > 1 or page in WRITTEN


def text_of(page: str) -> str:
    """The code of a page, where commands stand."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_are_there(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    places = [target for _, target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]
    assert [target for target in places if not ((ROOT / page).parent / target).exists()] == []


@pytest.mark.parametrize(("name", "target"), LINK.findall(WALK))
def test_the_walk_links_to_what_is_there(name: str, target: str) -> None:
    text = (ROOT / "docs" / target).resolve().read_text(encoding="utf-8")
    symbol = name.rsplit(".", 1)[-1]
    assert re.search(rf"^\s*(def|class) {symbol}\b|^{symbol}\b", text, re.MULTILINE), (
        f"{symbol} is not in {target}"
    )


def test_the_walk_fits_one_screen() -> None:
    assert len(WALK.splitlines()) <= 40


def test_the_readme_can_be_read_in_three_minutes() -> None:
    words = len(re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "]", README)))
    assert words <= 3 * 300, words
    assert [part for part in paragraphs(README) if len(part) > LONGEST_PARAGRAPH] == []
    assert [line for part in paragraphs(README) for line in part if len(line) > WIDEST_LINE] == []


def paragraphs(text: str) -> Iterator[list[str]]:
    """Of running text and lists; code and tables are left out."""
    for block in re.sub(r"```.*?```", "", text, flags=re.DOTALL).split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip()]
        if lines and not lines[0].startswith(("|", "#")):
            yield from (part.splitlines() for part in re.split(r"\n(?=- )", "\n".join(lines)))


def test_every_setting_is_explained() -> None:
    said = comments((config.FOLDER / "default.yaml").read_text(encoding="utf-8"))
    sections = {key.partition(".")[0] for key in default_values() if "." in key}
    assert [key for key in default_values() if key not in sections and not said[key]] == []


def test_settings_of_the_pages_exist() -> None:
    roots = "|".join({key.partition(".")[0] for key in default_values() if "." in key})
    named = re.findall(
        rf"`((?:{roots})\.(?!html|py)[a-z_0-9]+)`", "\n".join(text_of(page) for page in PAGES if hand(page))
    )
    assert named
    assert [name for name in named if name not in default_values()] == []


def git_files(*patterns: str) -> list[str]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def test_types_are_checked_wherever_there_is_code() -> None:
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
    assert {path.split("/")[0] for path in git_files("*.py")} - {"tests"} == set(checked)


def test_every_package_says_that_it_is_typed() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    names = [name.removesuffix("*") for name in packages["packages"]["find"]["include"]]
    assert [name for name in names if not (ROOT / name / "py.typed").is_file()] == []


CHECKS = re.findall(
    r"^\t(.*)$", (ROOT / "Makefile").read_text().split("check: setup\n")[1].split("\n\n")[0], re.M
)


def test_the_hooks_before_a_commit_run_what_make_check_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    entries = [hook["entry"] for hook in hooks["repos"][0]["hooks"]]
    assert entries == [
        re.sub(r"^OMP_NUM_THREADS=1 ", "env OMP_NUM_THREADS=1 ", check) for check in plain(CHECKS)
    ]
    assert {hook["language"] for hook in hooks["repos"][0]["hooks"]} == {"system"}


def plain(lines: list[str]) -> list[str]:
    return [line.replace("$(PY)", ".venv/bin/python") for line in lines]


def test_the_public_ci_runs_the_checks_on_every_python_that_is_promised() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = jobs["check"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13"]
    assert project["requires-python"] == f">={versions[0]}"
    said = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert any("make check" in line for line in said)
    assert any("make docs" in line for line in said)


def test_every_test_that_keeps_a_mistake_away_is_there() -> None:
    rows = (ROOT / "docs" / "explanation" / "silent-mistakes.md").read_text(encoding="utf-8").splitlines()
    kinds = [
        row.split("|") for row in rows if row.startswith("| ") and not row.startswith(("| kind", "|---"))
    ]
    named = [re.findall(r"`([\w/.]+)`", kind[4]) for kind in kinds]
    known = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def test_(\w+)\(", file.read_text(encoding="utf-8"))
    }
    assert len(kinds) > 30
    assert all(named)
    missing = [name for names in named for name in names if name not in known]
    assert [name for name in missing if not (ROOT / name).is_file()] == []
