"""What the drawing of the house shows: rooms, their floors, and who imports whom, all read from the
code.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOUSE = "loop"
LEAVES = ("samplers", "connectors", "db")
NO_ROOM = "No docstring says what it is"


@dataclass(frozen=True)
class Room:
    """One folder of the house. says: the first sentence of its docstring. inner: its own folders,
    top floor first.

    below: the rooms of the same house that it imports. leaves: the other packages that it imports.
    """

    name: str
    says: str
    inner: tuple[str, ...] = ()
    below: frozenset[str] = frozenset()
    leaves: frozenset[str] = frozenset()


@dataclass(frozen=True)
class House:
    """floors: of `loop`, top first, as the import contract orders them. leaves: the packages under
    it.

    unplaced: rooms that no contract puts on a floor.
    """

    floors: tuple[tuple[Room, ...], ...]
    leaves: tuple[Room, ...]
    unplaced: tuple[Room, ...] = field(default=())

    def rooms(self) -> Iterator[tuple[int, Room]]:
        """Every room of `loop` with its floor, counted from the top; those without one come last."""
        for number, floor in enumerate((*self.floors, self.unplaced)):
            yield from ((number, room) for room in floor)


def read_house(root: Path) -> House:
    """The house of the checkout in `root`. Raises ValueError where no contract orders the rooms of
    `loop`.
    """
    contracts = read_contracts(root)
    order = floors_of(contracts, HOUSE)
    if not order:
        raise ValueError(
            f"pyproject.toml: expected a layers contract with containers = [{HOUSE!r}], found none; "
            "write one under [[tool.importlinter.contracts]]"
        )
    rooms = {name: read_room(root, HOUSE, name, contracts) for name in folders(root / HOUSE)}
    floors = tuple(tuple(rooms.pop(name) for name in floor if name in rooms) for floor in order)
    leaves = tuple(read_leaf(root, name, contracts) for name in LEAVES)
    return House(tuple(floor for floor in floors if floor), leaves, tuple(rooms.values()))


def read_contracts(root: Path) -> list[Mapping[str, Any]]:
    """The import contracts of pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[Mapping[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return contracts


def floors_of(contracts: list[Mapping[str, Any]], container: str) -> list[list[str]]:
    """The names of each floor, top first, by the contract of that container that knows the most
    floors.
    """
    found = [
        [re.findall(r"\w+", layer) for layer in contract["layers"]]
        for contract in contracts
        if contract["type"] == "layers" and contract.get("containers") == [container]
    ]
    return max(found, key=len, default=[])


def read_room(root: Path, package: str, name: str, contracts: list[Mapping[str, Any]]) -> Room:
    """One folder of a package, with what its files import."""
    folder = root / package / name
    imported = {module for file in sorted(folder.rglob("*.py")) for module in imports(file)}
    heads = [module.split(".") for module in imported]
    below = {head[1] for head in heads if head[0] == package and len(head) > 1} - {name}
    return Room(
        name,
        first_sentence(folder / "__init__.py"),
        inner_of(root, f"{package}.{name}", contracts),
        frozenset(below & set(folders(root / package))),
        frozenset({head[0] for head in heads} & set(LEAVES)),
    )


def read_leaf(root: Path, name: str, contracts: list[Mapping[str, Any]]) -> Room:
    return Room(name, first_sentence(root / name / "__init__.py"), inner_of(root, name, contracts))


def inner_of(root: Path, container: str, contracts: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """The folders inside, those that a contract orders first and from the top."""
    there = folders(root / container.replace(".", "/"))
    ordered = [name for floor in floors_of(contracts, container) for name in floor if name in there]
    return (*ordered, *(name for name in there if name not in ordered))


def folders(package: Path) -> list[str]:
    """The packages inside a package."""
    return sorted(path.parent.name for path in package.glob("*/__init__.py"))


def imports(file: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever the import stands; a name taken from it
    is added.
    """
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def first_sentence(file: Path) -> str:
    """Of a module's docstring, without the room's name before it."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or NO_ROOM
    sentence = re.split(r"(?<=[.;]) |\n", text)[0].rstrip(".;")
    said = re.sub(rf"^{file.parent.name}: ", "", sentence, flags=re.IGNORECASE)
    return said[:1].upper() + said[1:]


def needed(edges: Mapping[str, frozenset[str]]) -> set[tuple[str, str]]:
    """The edges of a graph without circles that do not follow from others."""
    reached: dict[str, set[str]] = {}

    def below(name: str) -> set[str]:
        if name not in reached:
            reached[name] = {deeper for next_ in edges.get(name, ()) for deeper in {next_, *below(next_)}}
        return reached[name]

    return {
        (upper, lower)
        for upper, lowers in edges.items()
        for lower in lowers
        if not any(lower in below(other) for other in lowers - {lower})
    }
