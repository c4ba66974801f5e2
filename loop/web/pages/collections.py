"""Collections: edge cases that are gathered, watched, sampled and judged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.base.errors import ConfigError
from loop.base.wording import counted
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.changes.collection_definitions import by_examples, by_rules, by_set
from loop.gaps.slices import record_collection
from loop.insights.collection_accuracy import kept_accuracy
from loop.insights.collections import (
    REFUSED,
    CollectionView,
    all_collections,
    clearest_of_newest,
    examples_of,
    is_small,
    one_collection,
    sparkline,
    weekly,
)
from loop.project.wiring import Parts
from loop.settings.collections import Definition, Rule, Sentence, quota_in_words, quota_of_text, rule_of
from loop.web.site import Site, WorkKind, form_of

HERE = "/collections"
ON_A_CARD, ON_THE_PAGE = 3, 12


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        return _all(site, request)

    def make(request: Request) -> Response:
        form = form_of(request)
        name, who = _text(form, "name"), site.who(request)
        try:
            definition = _definition(site.parts, form)
            if is_small(site.project):
                number = changing.make(site.parts, who, name, definition)
                found = one_collection(site.project, number)
                said = f"“{found.name}” made: {counted(found.inside, 'frame')} gathered."
                return site.done(request, f"{HERE}/{number}", said, f"{HERE}/{number}/retire")
            changing.make_soon(site.parts, who, name, definition)
        except REFUSED as error:
            return _all(site, request, 400, str(error), form)
        site.worker.take_up()
        return site.done(request, HERE, f"“{name}” is being gathered; it stands here once that is done.")

    def one(request: Request) -> Response:
        return _one(site, request)

    def change(request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        try:
            said, undo, fields = _changed(site, request, number, what)
        except REFUSED as error:
            return _one(site, request, 400, str(error))
        return site.done(request, f"{HERE}/{number}", said, undo and f"{HERE}/{number}/{undo}", fields)

    return [
        Route(HERE, page),
        Route(HERE, make, methods=["POST"]),
        Route(HERE + "/{number:number}", one),
        Route(HERE + "/{number:number}/{what:str}", change, methods=["POST"]),
    ]


def _all(
    site: Site, request: Request, status: int = 200, wrong: str = "", given: FormData | None = None
) -> Response:
    project, every = site.project, request.query_params.get("retired") == "yes"
    views = all_collections(project, every)
    accuracy = kept_accuracy(project)
    return site.render(
        request,
        "collections.html",
        status,
        views=views,
        every=every,
        pictures={view.id: clearest_of_newest(project, view.id, ON_A_CARD) for view in views},
        lines={view.id: sparkline(view.growth) for view in views},
        accuracy=accuracy.by_collection if accuracy else {},
        wrong=wrong,
        given=given or FormData(),
        gathering=[one for one in site.submitted() if one.kind == WorkKind.GATHER and not one.outcome],
    )


def _one(site: Site, request: Request, status: int = 200, wrong: str = "") -> Response:
    project, number = site.project, request.path_params["number"]
    try:
        view = one_collection(project, number)
    except REFUSED as error:
        return _all(site, request, 404, str(error))
    accuracy = kept_accuracy(project)
    return site.render(
        request,
        "collection.html",
        status,
        view=view,
        members=clearest_of_newest(project, number, ON_THE_PAGE),
        examples=examples_of(project, view.examples, ON_THE_PAGE),
        excluded=examples_of(project, view.excluded, ON_THE_PAGE),
        line=sparkline(view.growth, 600, 80),
        weeks=weekly(view.growth),
        accuracy=accuracy.by_collection.get(number, []) if accuracy else [],
        measured_at=accuracy.made_at if accuracy else None,
        wrong=wrong,
    )


def _definition(parts: Parts, form: FormData) -> Definition:
    """Of the collection that a form asks for. Raises ConfigError."""
    kind = _text(form, "kind")
    if kind == "examples":
        return by_examples(parts, _numbers(form, "frames"))
    if kind == "frames":
        return by_set(parts, _text(form, "address"))
    return by_rules(parts, [_rule(form, kind)])


def _rule(form: FormData, kind: str) -> Rule:
    match kind:
        case "sentence":
            return Sentence(_text(form, "sentence"))
        case "crowd":
            return rule_of({"crowd": _number(form, "boxes")})
        case "overlap":
            return rule_of({"overlap": _number(form, "covered") / 100})
        case "orientation":
            return rule_of({"orientation": float(_number(form, "spreads"))})
    raise ConfigError(f"collection: expected a way of gathering, got {kind!r}; choose one of the list")


def _changed(site: Site, request: Request, number: int, what: str) -> tuple[str, str, dict[str, str]]:
    """What was done, the change that takes it back, and its fields."""
    form, who, parts = form_of(request), site.who(request), site.parts
    view = one_collection(site.project, number)
    match what:
        case "name":
            changing.rename(parts, who, number, _text(form, "name"))
            return "Renamed.", "name", {"name": view.name}
        case "retire":
            quota = changing.retire(parts, who, number)
            if quota is None:
                return f"“{view.name}” retired.", "restore", {}
            said = f"“{view.name}” retired, and its quota of {quota_in_words(quota)} of each batch dropped."
            return said, "restore", {"quota": f"{quota:g}"}
        case "restore":
            again = _text(form, "quota")
            wanted = changing.Different(retired=False, quota=quota_of_text(again) if again else None)
            small = is_small(site.project)
            if changing.change(parts, who, number, wanted, soon=not small) and small:
                record_collection(parts, number, changing.quiet)
            site.worker.take_up()
            return f"“{view.name}” is gathered again.", "retire", {}
        case "quota":
            return _quota(site, who, view, _text(form, "quota"))
        case "judge":
            on = _text(form, "on") == "yes"
            changing.set_judged(parts, who, number, on)
            said = "Rounds judge it from now on." if on else "Rounds judge it no longer."
            return said, "judge", {"on": "no" if on else "yes"}
        case "tab":
            on = _text(form, "on") == "yes"
            changing.set_tab(parts, who, number, on)
            said = "It becomes a tab at the next push." if on else "Its tab goes at the next push."
            return said, "tab", {"on": "no" if on else "yes"}
        case "add" | "remove" | "exclude":
            return _examples(site, who, view, what, _numbers(form, "frame", "frames"))
    raise ConfigError(f"collection: expected a change of the page, got {what!r}; go back and choose one")


def _quota(site: Site, who: Who, view: CollectionView, given: str) -> tuple[str, str, dict[str, str]]:
    """Undone by the quota before; "" for none."""
    quota = quota_of_text(given) if given else None
    changing.set_quota(site.parts, who, view.id, quota)
    before = "" if view.quota is None else f"{view.quota:g}"
    if quota is None:
        return "It has no quota any more.", "quota", {"quota": before}
    return f"{quota_in_words(quota)} of each batch are of it from now on.", "quota", {"quota": before}


def _examples(
    site: Site, who: Who, view: CollectionView, what: str, seqs: list[int]
) -> tuple[str, str, dict[str, str]]:
    """Undone by removing what was added or excluded, or by adding what was an example."""
    given = changing.Examples(**{what: frozenset(seqs)})
    if is_small(site.project):
        changing.change_examples(site.parts, who, view.id, **vars(given))
    else:
        changing.change_examples_soon(site.parts, who, view.id, given)
        site.worker.take_up()
    frames = counted(len(seqs), "frame")
    said = {
        "add": f"{frames} always in.",
        "remove": f"{frames} taken off the lists.",
        "exclude": f"{frames} kept out.",
    }
    were = sorted(set(seqs) & set(view.examples))
    undo = "remove" if what != "remove" else "add" if were == sorted(seqs) else ""
    return said[what], undo, {"frames": " ".join(map(str, seqs))} if undo else {}


def _text(form: FormData, key: str) -> str:
    value: Any = form.get(key, "")
    return value.strip() if isinstance(value, str) else ""


def _number(form: FormData, key: str) -> int:
    text = _text(form, key)
    if not text.isdecimal() or len(text) > 9:
        raise ConfigError(f"collection: {key}: expected a whole number, got {text!r}; mend it")
    return int(text)


def _numbers(form: FormData, *keys: str) -> list[int]:
    """Frames by number, from fields that came several times or hold several."""
    given: Iterable[Any] = (value for key in keys for value in form.getlist(key))
    words = [word for value in given if isinstance(value, str) for word in value.replace(",", " ").split()]
    if wrong := [word for word in words if not word.isdecimal() or len(word) > 18]:
        raise ConfigError(f"collection: expected numbers of frames, got {wrong[0]!r}; mend it")
    if not words:
        raise ConfigError("collection: expected frames, got none; pick some, or give their numbers")
    return [int(word) for word in words]
