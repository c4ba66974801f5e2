"""Every import contract of pyproject.toml fails when it is broken.

A forbidden import is planted in a copy of the code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = ROOT / "pyproject.toml"
LINTER = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = [contract["name"] for contract in LINTER["contracts"]]
PLANTS = {
    "demo above loop above the leaves": ("db/frames.py", "import connectors.images"),
    "what db knows of connectors is values and files alone": (
        "connectors/files.py",
        "import connectors.images",
    ),
    "the loop, floor by floor": ("loop/ingest/ingest.py", "import loop.selection.select"),
    "only wiring builds connectors": ("loop/selection/select.py", "import connectors.clip.embedder"),
    "vendors stop at the connectors": ("loop/project/wiring.py", "import torch"),
    "pages read through insights": ("loop/web/app.py", "import db.frames"),
    "samplers are numpy": ("samplers/pool.py", "import torch"),
    "the mathematics is pure": ("loop/math/coverage/gaps.py", "import loop.settings.settings"),
    "the parts of the mathematics do not know one another": (
        "loop/math/evaluation/ap.py",
        "import loop.math.coverage.gaps",
    ),
    "the mathematics: statistics and boxes below": (
        "loop/math/statistics/shares.py",
        "import loop.math.coverage.facets",
    ),
    "samplers: geometry below the pool, the engine below the strategies": (
        "samplers/geometry/distances.py",
        "import samplers.pool",
    ),
    "a connector does not know another": ("connectors/clip/embedder.py", "import connectors.yolo.detector"),
}
"""By contract: a file, and what it must not import."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages, their code alone."""
    copy = tmp_path_factory.mktemp("house")
    for package in LINTER["root_packages"]:
        shutil.copytree(ROOT / package, copy / package, ignore=_all_but_code)
    shutil.copyfile(PYPROJECT, copy / PYPROJECT.name)
    return copy


def test_every_contract_has_an_import_that_breaks_it() -> None:
    assert sorted(PLANTS) == sorted(CONTRACTS)


def test_untouched_the_house_keeps_all_contracts(house: Path) -> None:
    assert broken(house) == set()


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_forbidden_import_breaks_its_contract(house: Path, contract: str) -> None:
    file, forbidden = PLANTS[contract]
    with planted(house / file, forbidden):
        assert contract in broken(house)


@pytest.mark.parametrize(
    ("folder", "contract"),
    [("loop", "the loop, floor by floor"), ("loop/math", "the mathematics: statistics and boxes below")],
)
def test_a_new_room_needs_a_floor(house: Path, folder: str, contract: str) -> None:
    room = house / folder / "attic"
    room.mkdir()
    (room / "__init__.py").write_text('"""A room that nobody gave a floor."""\n')
    try:
        assert broken(house) == {contract}
    finally:
        shutil.rmtree(room)


@contextmanager
def planted(file: Path, forbidden: str) -> Iterator[None]:
    before = file.read_text(encoding="utf-8")
    file.write_text(f"{before}\n{forbidden}\n", encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")


def broken(house: Path) -> set[str]:
    """The contracts that import-linter finds broken."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=house,
        env=os.environ | {"COLUMNS": "500", "PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
    )
    told = dict(re.findall(r"^(.+) (KEPT|BROKEN)\b", ran.stdout, re.MULTILINE))
    assert sorted(told) == sorted(CONTRACTS), ran.stdout + ran.stderr
    return {name for name, state in told.items() if state == "BROKEN"}


def _all_but_code(folder: str, names: list[str]) -> list[str]:
    return [
        name
        for name in names
        if not (Path(folder, name).is_dir() or name.endswith(".py")) or name == "__pycache__"
    ]
