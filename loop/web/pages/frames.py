"""Any set of frames, as a grid with filters, a distribution and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from connectors.ports import Box
from loop.base.errors import ConfigError
from loop.base.wording import counted
from loop.changes.collection_definitions import by_set
from loop.changes.collections import make, make_soon
from loop.changes.frames import send_to_desk, take_back_sent
from loop.insights.collections import is_small
from loop.insights.frame_list import most_alike, within_of
from loop.insights.frame_map import set_on_map
from loop.insights.frame_query import KEYS, PATH, Choices, FrameQuery
from loop.insights.frame_tiles import VALUES, FrameTile, tiles
from loop.insights.frames import CAMERA, DISTRIBUTIONS, frame_sets
from loop.insights.slices import slice_options
from loop.web.site import Site, WorkKind, form_of

PAGE = 42
MOST_OPTIONS = 150
"""Values offered for one key; others are typed into the address."""
SPREAD, AFTER, BEFORE = OWN = ("spread", "after", "before")
"""Keys of the page itself, which name no set."""
LONGEST_ADDRESS = 300
"""A longer one is not repeated in every tile."""
IDS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Chip:
    """One value of one key of the set. without: the set that is left when it is removed."""

    key: str
    value: str
    without: str


@dataclass(frozen=True)
class Card:
    """A tile with what is drawn over it.

    file: the end of its name. path: of its boxes, as SVG has it. value: what it was sorted by.
    """

    tile: FrameTile
    file: str
    path: str
    value: str


@dataclass(frozen=True)
class Field:
    """One key of the filter form. value: of a key that comes once. options: (value, name)."""

    key: str
    help: str
    many: bool
    kind: str
    value: str
    options: tuple[tuple[str, str], ...]


def routes(site: Site) -> list[Route]:
    """The page of sets, the numbers of a set as text, and what is done with frames of it."""

    def page(request: Request) -> Response:
        own, query = _asked(request)
        if any(not value for _, value in request.query_params.multi_items()):
            return RedirectResponse(_with(query.url(), {key: own[key] for key in OWN if own.get(key)}), 303)
        return _page(site, request, query, own)

    def ids(request: Request) -> Response:
        return _ids(site, _asked(request)[1])

    def select(request: Request) -> Response:
        query = FrameQuery.parse(_field(request, "address"))
        budget = _whole(_field(request, "budget"), "budget", 100_000, least=1)
        within_of(site.parts, query)
        title = f"choose from {query.address() or 'all frames'}"
        site.ask(request, WorkKind.SELECT, title, address=query.address(), budget=budget)
        return site.done(request, query.url(), "Choosing has begun; the overview shows how far it is")

    def desk(request: Request) -> Response:
        query = FrameQuery.parse(_field(request, "address"))
        sent = send_to_desk(site.project, site.who(request), picked(request), _field(request, "why")[:200])
        undo = {"batch": str(sent.batch), "address": query.address()} if sent.batch else {}
        return site.done(
            request, query.url(), "; ".join(sent.lines()), "/frames/desk/undo" if undo else "", undo
        )

    def undo_desk(request: Request) -> Response:
        batch = _whole(_field(request, "batch"), "batch", 2**31)
        moved = take_back_sent(site.project, site.who(request), batch)
        url = FrameQuery.parse(_field(request, "address")).url()
        return site.done(request, url, f"{counted(moved, 'frame')} taken back")

    def collect(request: Request) -> Response:
        query, name, who = (
            FrameQuery.parse(_field(request, "address")),
            _field(request, "name"),
            site.who(request),
        )
        definition = by_set(site.parts, picked(request) or query)
        if is_small(site.project):
            number = make(site.parts, who, name, definition)
            undo = f"/collections/{number}/retire"
            return site.done(request, f"/collections/{number}", "The collection is made", undo)
        make_soon(site.parts, who, name, definition)
        site.worker.take_up()
        return site.done(
            request, query.url(), "It is being gathered; it stands in Collections once that is done"
        )

    def like(request: Request) -> Response:
        found = most_alike(site.parts, _uploaded(request, "picture"))
        said = f"Frame {found.seq} is most like that picture ({found.value:.2f}); these are like it"
        return site.done(request, FrameQuery().but(near=found.seq).url(), said)

    return [
        Route(PATH, page),
        Route(f"{PATH}/collect", collect, methods=["POST"]),
        Route(f"{PATH}/like", like, methods=["POST"]),
        Route(f"{PATH}/ids", ids),
        Route(f"{PATH}/select", select, methods=["POST"]),
        Route(f"{PATH}/desk", desk, methods=["POST"]),
        Route(f"{PATH}/desk/undo", undo_desk, methods=["POST"]),
    ]


def bodies(site: Site) -> dict[str, int]:
    """Bytes of a body by the beginning of its path, where more is taken than usual."""
    return {f"{PATH}/like": site.project.settings.frames.max_bytes + 10_000}


def picked(request: Request) -> list[int]:
    """The frames that a form names. Raises ConfigError."""
    return [_whole(str(value), "frame", 2**62) for value in form_of(request).getlist("frame")]


def _asked(request: Request) -> tuple[dict[str, str], FrameQuery]:
    """The page's own keys, and the set."""
    pairs = request.query_params.multi_items()
    return {key: value for key, value in pairs if key in OWN}, FrameQuery.parse(
        [(key, value) for key, value in pairs if key not in OWN]
    )


def _page(site: Site, request: Request, query: FrameQuery, own: dict[str, str]) -> Response:
    sets = frame_sets(site.parts)
    found = sets.find(query)
    shown = sets.page(found, own.get(AFTER, ""), own.get(BEFORE, ""), PAGE)
    spread = sets.distribution(found, own.get(SPREAD, CAMERA))
    whole = sets.find(FrameQuery()).count
    names = {str(number): name for number, name in slice_options(site.project)}
    address = query.address()
    kept = {SPREAD: own[SPREAD]} if own.get(SPREAD) else {}
    cards = [_card(tile, found.order) for tile in tiles(site.project, shown.places)]
    return site.render(
        request,
        "frames.html",
        query=query,
        found=found,
        whole=whole,
        cards=cards,
        address=address,
        within=address if len(address) <= LONGEST_ADDRESS else "",
        chips=[_chip(query, key, value, names) for key, value in query.pairs()],
        fields=_fields(query, sets.choices(), names),
        held=[(key, value) for key, value in query.pairs() if _many(key)],
        spread=spread,
        on_map=set_on_map(site.project, found),
        most=max([bar.count for bar in spread.bars], default=1),
        tabs=[(by, _with(query.url(), {SPREAD: by})) for by in DISTRIBUTIONS],
        newer=_with(query.url(), kept | {BEFORE: shown.before}) if shown.before else "",
        older=_with(query.url(), kept | {AFTER: shown.after}) if shown.after else "",
    )


def _card(tile: FrameTile, order: str) -> Card:
    value = "" if tile.value is None else f"{VALUES.get(order, order)} {tile.value:.3f}"
    return Card(tile, ending(tile.file), box_path(tile.boxes), value)


def ending(file: str, most: int = 60) -> str:
    """The end of a file's name, by which people tell files of one folder apart."""
    return file if len(file) <= most else f"…{file[1 - most :]}"


def box_path(boxes: Sequence[Box]) -> str:
    """All boxes as one path of SVG, in px of the picture: a rectangle takes some twenty letters so."""
    found = []
    for box in boxes:
        x1, y1, x2, y2 = (round(side) for side in box.xyxy)
        found.append(f"M{x1} {y1}h{x2 - x1}v{y2 - y1}h{x1 - x2}z")
    return "".join(found)


def _chip(query: FrameQuery, key: str, value: str, names: dict[str, str]) -> Chip:
    said = names.get(value, value) if key in ("slice", "not_slice") else value
    return Chip(key, said, _left(query, key, value).url())


def _left(query: FrameQuery, key: str, value: str) -> FrameQuery:
    """Without a value, and without what only stands beside it."""
    try:
        return query.less(key, value)
    except ConfigError:
        beside = {"dataset": "split", "slice": "order", "q": "order", "near": "order", "model_error": "model"}
        return query.but(**{beside[key]: None}).less(key, value)


def _many(name: str) -> bool:
    return any(key.name == name and key.many for key in KEYS)


def _fields(query: FrameQuery, choices: Choices, names: dict[str, str]) -> list[Field]:
    """One for each key; a key of which frames may have several adds one more."""
    options: dict[str, list[tuple[str, str]]] = {
        "camera": [(name, name) for name in choices.cameras[:MOST_OPTIONS]],
        "site": [(name, name) for name in choices.sites[:MOST_OPTIONS]],
        "slice": list(names.items())[:MOST_OPTIONS],
        "class": [(name, name) for name in choices.classes[:MOST_OPTIONS]],
    }
    found = []
    for key in KEYS:
        held = [value for name, value in query.pairs() if name == key.name]
        given = options.get(key.name, [(value, value) for value in key.options])
        kind = "select" if given else {"from": "date", "to": "date", "q": "search"}.get(key.name, "text")
        value = "" if key.many else next(iter(held), "")
        if kind == "date" and len(value) > len("2026-11-24"):
            kind = "text"
        found.append(Field(key.name, key.help, key.many, kind, value, tuple(given)))
    return found


def _ids(site: Site, query: FrameQuery) -> Response:
    """Every number of the set, one a line, as a file."""
    sets = frame_sets(site.parts)
    found = sets.ids(sets.find(query))

    def lines() -> Iterator[str]:
        for start in range(0, len(found), IDS_AT_ONCE):
            yield "".join(f"{seq}\n" for seq in found[start : start + IDS_AT_ONCE].tolist())

    headers = {"Content-Disposition": 'attachment; filename="frame-numbers.txt"'}
    if not len(found):
        return PlainTextResponse("", headers=headers)
    return StreamingResponse(lines(), media_type="text/plain; charset=utf-8", headers=headers)


def _with(url: str, values: Mapping[str, str | None]) -> str:
    said = urlencode({key: value for key, value in values.items() if value})
    return url if not said else f"{url}{'&' if '?' in url else '?'}{said}"


def _uploaded(request: Request, name: str) -> bytes:
    """What a file of a form holds. Raises ConfigError."""
    files = {key: value for key, value in form_of(request).multi_items() if isinstance(value, UploadFile)}
    try:
        if name not in files:
            raise ConfigError(f"{name}: expected an image file, got none; choose one")
        return files[name].file.read()
    finally:
        for each in files.values():
            each.file.close()


def _field(request: Request, name: str) -> str:
    value = form_of(request).get(name, "")
    return value if isinstance(value, str) else ""


def _whole(text: str, name: str, most: int, least: int = 0) -> int:
    fits = text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most
    if not fits:
        raise ConfigError(
            f"{name}: expected a whole number from {least} to {most}, got {text[:40]!r}; go back and mend it"
        )
    return int(text)
