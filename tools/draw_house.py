"""Draws the house from the code: docs/house.svg.

Floors come from the import contract of `loop` in pyproject.toml, rooms from its folders, arrows
from what their files import. `python -m tools.draw_house` writes the drawing; a test says when it
is stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from textwrap import wrap
from xml.sax.saxutils import escape

from tools.house import House, Room, needed, read_house
from tools.house_layout import Layout, Piece, arrange

ROOT = Path(__file__).parents[1]
DRAWING = Path("docs") / "house.svg"
ROOM_WIDTH, LANE_WIDTH, GAP, MARGIN = 220, 4, 14, 20
LINE, PAD, BETWEEN, HEAD = 14, 9, 34, 42
LETTERS, LETTER_WIDTH = 32, 6.0
COLORS = {"samplers": "#0f766e", "connectors": "#b45309", "db": "#1d4ed8"}
TITLE = "floor by floor: a room imports only what lies below it"
STYLE = """<style>
text{font:11.5px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#334155}
.name{font-weight:700;font-size:14px;fill:#0f172a}.inner{fill:#64748b;font-size:10.5px}
.room{fill:#ffffff;stroke:#94a3b8}.floor{fill:#f1f5f9}.nowhere{fill:#fee2e2}
.arrow{fill:none;stroke:#64748b;stroke-width:1.2}.back{fill:none;stroke:#dc2626;stroke-width:1.6}
</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#64748b"/></marker></defs>"""


def main() -> None:
    (ROOT / DRAWING).write_text(draw(read_house(ROOT)), encoding="utf-8")
    print(f"{DRAWING} is drawn")


def draw(house: House) -> str:
    """The drawing as SVG that needs nothing from outside: the floors of `loop` from the top, the
    leaves below.
    """
    plan = _plan(house)
    body = [
        *_bands(plan, len(house.floors)),
        *(line for piece in plan.layout.pieces for line in _arrow(piece, plan)),
        *(line for name, other in plan.back for line in _back(name, other, plan)),
        *(line for floor, room in plan.rooms.values() for line in _room(room, floor, plan)),
        *_leaves(house.leaves, plan),
    ]
    height = plan.bottom + max(map(_height, house.leaves)) + MARGIN
    size = f'viewBox="0 0 {plan.width} {height}" width="{plan.width}" height="{height}"'
    ground = f'<rect width="{plan.width}" height="{height}" rx="10" fill="#ffffff"/>'
    head = f'<text x="{MARGIN}" y="24"><tspan class="name">loop</tspan>, {TITLE}</text>'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([start, STYLE, ground, head, *body, "</svg>", ""])


@dataclass(frozen=True)
class Plan:
    """rooms: each with its floor. back: imports that run up or sideways. tops, heights: of each
    floor, in pixels.
    """

    rooms: dict[str, tuple[int, Room]]
    back: list[tuple[str, str]]
    layout: Layout
    tops: list[int]
    heights: list[int]

    @property
    def width(self) -> int:
        return int(self.layout.width) + 2 * MARGIN

    @property
    def bottom(self) -> int:
        return self.tops[-1] + self.heights[-1] + BETWEEN

    def x(self, name: str) -> int:
        return round(self.layout.x[name]) + MARGIN


def _plan(house: House) -> Plan:
    rooms = {room.name: (floor, room) for floor, room in house.rooms()}
    down = {
        name: frozenset(lower for lower in room.below if rooms[lower][0] > floor)
        for name, (floor, room) in rooms.items()
    }
    back = sorted((name, other) for name, (_, room) in rooms.items() for other in room.below - down[name])
    floors = [floor for floor in (*house.floors, house.unplaced) if floor]
    names = [[room.name for room in floor] for floor in floors]
    heights = [max(map(_height, floor)) for floor in floors]
    tops = list(accumulate((height + BETWEEN for height in heights[:-1]), initial=HEAD))
    return Plan(rooms, back, arrange(names, needed(down), ROOM_WIDTH, LANE_WIDTH, GAP), tops, heights)


def _height(room: Room) -> int:
    return 2 * PAD + 4 + LINE * (1 + len(_wrapped(room)) + bool(room.leaves))


def _wrapped(room: Room, letters: int = LETTERS) -> list[str]:
    return wrap(room.says, letters) + wrap(" · ".join(room.inner), letters + 2)


def _bands(plan: Plan, placed: int) -> Iterator[str]:
    for number, (top, tall) in enumerate(zip(plan.tops, plan.heights, strict=True)):
        kind = "floor" if number < placed else "nowhere"
        box = f'x="8" y="{top - 8}" width="{plan.width - 16}" height="{tall + 16}"'
        yield f'<rect class="{kind}" {box} rx="8"/>'


def _arrow(piece: Piece, plan: Plan) -> Iterator[str]:
    x1, x2 = plan.x(piece.upper), plan.x(piece.lower)
    top = plan.tops[piece.floor]
    start = top + plan.heights[piece.floor]
    end = plan.tops[piece.floor + 1] - piece.ends
    lane = "" if piece.starts else f"M{x1} {top}L{x1} {start}"
    middle = (start + end) // 2
    tip = ' marker-end="url(#a)"' if piece.ends else ""
    curve = f"M{x1} {start}C{x1} {middle} {x2} {middle} {x2} {end}"
    yield f'<path class="arrow" d="{lane}{curve}"{tip}/>'


def _back(name: str, other: str, plan: Plan) -> Iterator[str]:
    (x1, y1), (x2, y2) = ((plan.x(each), _middle(each, plan)) for each in (name, other))
    yield f'<path class="back" d="M{x1} {y1}L{x2} {y2}"><title>{name} imports {other}</title></path>'


def _middle(name: str, plan: Plan) -> int:
    floor, _ = plan.rooms[name]
    return plan.tops[floor] + plan.heights[floor] // 2


def _room(room: Room, floor: int, plan: Plan) -> Iterator[str]:
    left, top, tall = plan.x(room.name) - ROOM_WIDTH // 2, plan.tops[floor], plan.heights[floor]
    below, leaves = (", ".join(sorted(names)) or "nothing" for names in (room.below, room.leaves))
    yield f"<g><title>{room.name} imports {below}; of the leaves {leaves}</title>"
    yield f'<rect class="room" x="{left}" y="{top}" width="{ROOM_WIDTH}" height="{tall}" rx="6"/>'
    yield from _texts(room, left + PAD, top + PAD + 11)
    for number, leaf in enumerate(name for name in COLORS if name in room.leaves):
        x, y = left + PAD + number * 74, top + tall - PAD - 9
        yield f'<rect x="{x}" y="{y}" width="9" height="9" rx="2" fill="{COLORS[leaf]}"/>'
        yield f'<text class="inner" x="{x + 12}" y="{y + 8}">{leaf}</text>'
    yield "</g>"


def _texts(room: Room, left: int, first: int, letters: int = LETTERS) -> Iterator[str]:
    said = len(wrap(room.says, letters))
    yield f'<text class="name" x="{left}" y="{first}">{room.name}</text>'
    for number, line in enumerate(_wrapped(room, letters), 1):
        kind = ' class="inner"' if number > said else ""
        yield f'<text{kind} x="{left}" y="{first + number * LINE}">{escape(line)}</text>'


def _leaves(leaves: Sequence[Room], plan: Plan) -> Iterator[str]:
    wide = (plan.width - 2 * MARGIN - (len(leaves) - 1) * GAP) // len(leaves)
    tall = max(map(_height, leaves))
    for number, leaf in enumerate(leaves):
        left = MARGIN + number * (wide + GAP)
        box = f'x="{left}" y="{plan.bottom}" width="{wide}" height="{tall}" rx="6"'
        yield f'<rect {box} fill="#ffffff" stroke="{COLORS[leaf.name]}" stroke-width="2"/>'
        yield from _texts(leaf, left + PAD, plan.bottom + PAD + 11, int((wide - 2 * PAD) / LETTER_WIDTH))


if __name__ == "__main__":
    main()
