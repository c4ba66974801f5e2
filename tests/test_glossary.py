"""The glossary holds for the code and for the pages that people wrote: what it names exists, what
it refuses is not said.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.settings.settings import valid_keys
from tools.reference import commands

ROOT = Path(__file__).parents[1]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
PACKAGES = ("loop", "samplers", "connectors", "db", "config", "demo")
WRITTEN = ("README.md", "docs/*.md", "docs/howto/*.md", "docs/explanation/*.md")
MADE_BY_BENCHMARKS = re.compile(
    r"glossary|agreement|uncertainty-signals|scale|demo-gain|selection|near-duplicates|replay-.*"
)

EXCEPTIONS: dict[str, str] = {"arms": "the key of result files of a replay that were published before"}
"""Public names that may say a refused word, each with its reason."""


def rows() -> Iterator[list[str]]:
    for line in GLOSSARY.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] != "term" and set(cells[0]) != {"-"}:
            yield cells


ROWS = list(rows())
NAMED = [(term, name) for term, _, code, _ in ROWS for name in re.findall(r"`([^`]+)`", code)]
REFUSED = sorted({word for *_, refused in ROWS for word in re.findall(r"`([^`]+)`", refused)})


def public_names() -> Iterator[tuple[str, str]]:
    """(name, where) of modules, classes, functions, methods, fields and constants; commands and
    settings too.
    """
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            where = file.relative_to(ROOT).as_posix()
            tree = ast.parse(file.read_text(encoding="utf-8"))
            stem = file.parent.name if file.stem == "__init__" else file.stem
            for name in (stem, *defined(tree.body)):
                if not name.startswith("_"):
                    yield name, where
    yield from ((command.path, f"fieldloop {command.path}") for command in commands())
    yield from ((key, "config/default.yaml") for key in valid_keys())


def defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            if not node.name.startswith("_"):
                yield from defined(node.body)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


NAMES = list(public_names())


def words(name: str) -> set[str]:
    """Of a name in any style, small, and without the s of a plural."""
    found = {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return found | {word.removesuffix("s") for word in found}


def test_a_name_falls_apart_into_its_words() -> None:
    assert words("by_arm") == {"by", "arm"}
    assert {"discovery", "arm"} <= words("DiscoveryArms")
    assert {"gaps", "gap", "max", "share"} <= words("gaps.max_share")
    assert "arm" not in words("alarm_after")


@pytest.mark.parametrize(("term", "name"), NAMED)
def test_what_the_glossary_names_exists(term: str, name: str) -> None:
    known = {name for name, _ in NAMES} | {f"fieldloop {command.path}" for command in commands()}
    there = name in known
    assert there, f"{term}: nothing public is called {name}; docs/glossary.md names what is no more"


def test_every_row_has_a_meaning_and_four_cells() -> None:
    assert [cells for cells in ROWS if len(cells) != 4 or not cells[1]] == []


def test_no_term_stands_twice() -> None:
    terms = [term for term, *_ in ROWS]
    assert sorted(terms) == sorted(set(terms))


@pytest.mark.parametrize("word", REFUSED)
def test_no_public_name_says_a_refused_word(word: str) -> None:
    saying = [f"{where}: {name}" for name, where in NAMES if word in words(name) and name not in EXCEPTIONS]
    assert saying == [], f"docs/glossary.md says what to say in place of {word!r}"


def test_every_exception_is_a_name_and_says_why() -> None:
    assert [name for name, why in EXCEPTIONS.items() if name not in dict(NAMES) or not why] == []


def written_pages() -> Iterator[Path]:
    for pattern in WRITTEN:
        for path in sorted(ROOT.glob(pattern)):
            if not MADE_BY_BENCHMARKS.fullmatch(path.stem):
                yield path


@pytest.mark.parametrize("path", list(written_pages()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_that_people_wrote_say_no_refused_word(path: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    said = {word.removesuffix("s") for word in re.findall(r"[a-z]+", text.lower())}
    assert said & set(REFUSED) == set(), "docs/glossary.md says what to say in their place"
