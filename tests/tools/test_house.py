"""The drawing of the house is the one that the code gives, and it is drawn right."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from tools.draw_house import DRAWING, draw
from tools.house import NO_ROOM, House, Room, floors_of, imports, needed, read_house
from tools.house_layout import arrange

ROOT = Path(__file__).parents[2]
CONTRACT = """
[[tool.importlinter.contracts]]
type = "layers"
containers = ["loop"]
layers = ["cli", "web | rounds", "(later)", "base"]
[[tool.importlinter.contracts]]
type = "layers"
containers = ["samplers"]
layers = ["strategies", "engine | geometry"]
"""


def test_the_drawing_is_of_this_code() -> None:
    drawn = (ROOT / DRAWING).read_text(encoding="utf-8")
    assert drawn == draw(read_house(ROOT)), "stale: run `python -m tools.draw_house`"


def test_the_drawing_needs_nothing_from_outside() -> None:
    text = (ROOT / DRAWING).read_text(encoding="utf-8")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?(?!#|\"#)[^)\"']*", text) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "pyproject.toml").write_text(CONTRACT)
    files = {
        "loop/cli": (
            '"""The command line. It only parses."""',
            "import loop.web\nfrom loop.base.files import x\n",
        ),
        "loop/web": (
            '"""Web: pages; read-only."""',
            "def f():\n    from loop import rounds\n    import db.sql\n",
        ),
        "loop/rounds": (
            '"""Rounds: freeze & judge."""',
            "from loop.cli import app\nfrom samplers.engine import y\n",
        ),
        "loop/base": ('"""Files."""', ""),
        "loop/attic": ("", ""),
        "samplers/geometry": ("", ""),
        "samplers/strategies": ("", ""),
    }
    for package in ("loop", "samplers", "connectors", "db"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f'"""What {package} is."""\n')
    for folder, (says, code) in files.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text(says + "\n")
        (tmp_path / folder / "part.py").write_text(code)
    return read_house(tmp_path)


def test_rooms_stand_on_the_floors_of_the_contract(house: House) -> None:
    assert [[room.name for room in floor] for floor in house.floors] == [["cli"], ["web", "rounds"], ["base"]]
    assert [room.name for room in house.unplaced] == ["attic"]
    assert [leaf.inner for leaf in house.leaves] == [("strategies", "geometry"), (), ()]


def test_rooms_know_whom_they_import_wherever_the_import_stands(house: House) -> None:
    rooms = {room.name: room for _, room in house.rooms()}
    assert rooms["cli"].below == {"web", "base"}
    assert rooms["web"].below == {"rounds"}
    assert rooms["web"].leaves == {"db"}
    assert rooms["rounds"].below == {"cli"}
    assert rooms["rounds"].leaves == {"samplers"}


def test_rooms_are_told_by_the_first_sentence_of_their_docstring(house: House) -> None:
    says = {room.name: room.says for _, room in house.rooms()}
    assert says == {
        "cli": "The command line",
        "web": "Pages",
        "rounds": "Freeze & judge",
        "base": "Files",
        "attic": NO_ROOM,
    }


def test_what_runs_up_or_sideways_is_red_and_what_stands_nowhere_is_marked(house: House) -> None:
    text = draw(house)
    assert re.findall(r'class="back".*<title>(.*?)</title>', text) == [
        "rounds imports cli",
        "web imports rounds",
    ]
    assert text.count('class="nowhere"') == 1
    assert "Freeze &amp; judge" in text


def test_no_contract_for_the_rooms_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[[tool.importlinter.contracts]]\ntype = 'layers'\nlayers = []\n"
    )
    with pytest.raises(
        ValueError, match=r"expected a layers contract with containers = \['loop'\], found none"
    ):
        read_house(tmp_path)


def test_the_contract_with_the_most_floors_counts() -> None:
    few = {"type": "layers", "containers": ["loop"], "layers": ["cli", "web : service"]}
    many = {"type": "layers", "containers": ["loop"], "layers": ["cli", "web", "(later)"]}
    assert floors_of([few, many], "loop") == [["cli"], ["web"], ["later"]]


def test_imports_name_the_module_and_what_is_taken_from_it(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import a.b, c\nfrom d.e import f\nfrom . import g\n")
    assert list(imports(file)) == ["a.b", "c", "d.e.f"]


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    edges = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset("d"), "x": frozenset("d")}
    assert needed(edges) == {("a", "b"), ("b", "c"), ("c", "d"), ("x", "d")}


def test_nothing_of_a_floor_overlaps_and_long_arrows_have_a_lane() -> None:
    floors = [["a"], ["b", "c", "d"], ["e"]]
    layout = arrange(floors, [("a", "b"), ("a", "e"), ("d", "e")], 100, 4, 10)
    lane = "e at 1"
    row = sorted([(layout.x[name], 100) for name in "bcd"] + [(layout.x[lane], 4)])
    gaps = [right - left - (wide + narrow) / 2 for (left, wide), (right, narrow) in pairwise(row)]
    assert min(gaps) >= 10 - 1e-9
    assert [(p.upper, p.lower, p.starts, p.ends) for p in layout.pieces if p.lower in (lane, "e")] == [
        ("a", lane, True, False),
        (lane, "e", False, True),
        ("d", "e", True, True),
    ]


def test_a_room_without_arrows_has_its_place() -> None:
    assert set(arrange([["a"], ["b"]], [], 100, 4, 10).x) == {"a", "b"}
    assert draw(House(((Room("a", "Says"),),), (Room("db", "State"),))).count('class="room"') == 1
