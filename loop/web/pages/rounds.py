"""Rounds and models: what is deployed, what is being trained, how it was judged; start, cancel, approve,
reject, promote, roll back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from connectors.documents import parse_yaml
from loop.base.errors import ConfigError
from loop.changes.rounds import approve, cancel_round, need_reason, promote, reject, roll_back, start_round
from loop.insights.budget import new_labels_query
from loop.insights.frame_query import FALSE, MISSED, OTHER_CLASS
from loop.insights.rounds import HELD_OUT, ModelsView, ProgressView, models_view, production, round_view
from loop.project.training_curve import Curve
from loop.project.training_settings import CHOSEN
from loop.rounds.deploy import find_model
from loop.rounds.kept_preflight import kept_preflight
from loop.rounds.rounds import new_labels
from loop.settings.settings import RoundSettings
from loop.web.site import Site, WorkKind, form_of

HERE = "/rounds"
LINES = 25
"""Lines of a verdict on one page."""
KINDS = (("overall", "Overall"), ("gaps", "Gaps"), ("class", "Classes"), ("condition", "Conditions"))
LOOKING = "what the verdict of a round could show"
REFRESH_S, LOOK_S = 10, 2
WIDTH, HEIGHT = 260, 120
"""Of a curve, in units of its drawing."""
MOST_CURVES, MOST_ROWS = 8, 60
ERRORS = ((MISSED, "missed objects"), (FALSE, "false alarms"), (OTHER_CLASS, "another class"))


@dataclass(frozen=True)
class Drawn:
    """A curve as it is drawn. points: of a polyline within WIDTH x HEIGHT. low, high: of the values."""

    name: str
    points: str
    low: float
    high: float
    rows: tuple[tuple[int, float], ...]


def routes(site: Site) -> list[Route]:
    project = site.project

    def page(request: Request) -> Response:
        view = models_view(project)
        return site.render(
            request,
            "rounds.html",
            view=view,
            fresh=new_labels(project),
            fresh_url=_fresh_url(view),
            refresh=_pace(view.open is not None),
            left=time_left,
        )

    def one(request: Request) -> Response:
        view = round_view(project, int(request.path_params["number"]))
        begin, kind = _begin(request), request.query_params.get("kind", "")
        every = view.verdict.lines if view.verdict else ()
        lines = [line for line in every if kind in ("", line.kind)]
        moving = view.line.open and view.line.words != "waits for a person"
        return site.render(
            request,
            "round.html",
            view=view,
            models=production(project),
            lines=lines[begin : begin + LINES],
            begin=begin,
            kind=kind,
            kinds=[(name, label) for name, label in KINDS if any(line.kind == name for line in every)],
            step=LINES,
            more=len(lines) - begin - LINES,
            curves=[drawn(curve) for curve in view.curves[:MOST_CURVES]],
            table=by_epoch(view.curves[:MOST_CURVES]),
            held_out=HELD_OUT.address(),
            errors=[(HELD_OUT.but(model_error=kind).address(), label) for kind, label in ERRORS],
            refresh=_pace(moving),
            left=time_left,
        )

    def ask(request: Request) -> Response:
        """What the verdict could show is as it was kept; where that is old, scripts ask for it anew."""
        last = site.newest(WorkKind.PREFLIGHT)
        told, running = kept_preflight(project), last is not None and not last.outcome
        failed = last.detail if last is not None and last.outcome == "failed" else ""
        known = models_view(project)
        return site.render(
            request,
            "round_start.html",
            told=told,
            running=running,
            failed=failed,
            asks=not failed and (told is None or not told.current),
            refresh=LOOK_S if running else 0,
            settings=_asked_for(project.settings.round),
            options={name: _options(name) for name in ("optimizer", "approval")},
            open=known.open,
            fresh=new_labels(project),
            fresh_url=_fresh_url(known),
        )

    def look(request: Request) -> Response:
        site.ask(request, WorkKind.PREFLIGHT, LOOKING)
        return site.done(
            request, f"{HERE}/start", "What a verdict could show is looked up; it takes a moment."
        )

    def start(request: Request) -> Response:
        chosen = chosen_of(_fields(request), project.settings.round)
        number = start_round(site.parts, site.who(request), chosen)
        said = f"Round {number} is open. {site.soon('round')}"
        return site.done(request, f"{HERE}/{number}", said.strip())

    def decided(act: Callable[[int, str, Request], str]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            number = int(request.path_params["number"])
            said = act(number, _fields(request).get("reason", ""), request)
            return site.done(request, f"{HERE}/{number}", said)

        return answer

    def approving(number: int, reason: str, request: Request) -> str:
        model = approve(site.parts, site.who(request), number, reason)
        return f"Model {model.id} is deployed."

    def rejecting(number: int, reason: str, request: Request) -> str:
        reject(site.parts, site.who(request), number, reason)
        return f"The candidate of round {number} was rejected."

    def cancelling(number: int, reason: str, request: Request) -> str:
        row = cancel_round(site.parts, site.who(request), reason, number)
        ended = row.status in ("cancelled", "rejected")
        return f"Round {number} was ended." if ended else f"Round {number} stops at its next batch."

    def rolling_back(request: Request) -> Response:
        fields = _fields(request)
        reason, expected = need_reason(fields.get("reason", "")), _number(fields.get("deployed", ""))
        model = roll_back(site.parts, site.who(request), reason, expected)
        return site.done(request, HERE, f"Model {model.id} is back in production.")

    def promoting(request: Request) -> Response:
        fields = _fields(request)
        model = find_model(project, fields.get("model", ""))
        promote(site.parts, site.who(request), model, need_reason(fields.get("reason", "")))
        return site.done(request, HERE, f"Model {model.id} is deployed.")

    return [
        Route(HERE, page),
        Route(HERE, start, methods=["POST"]),
        Route(f"{HERE}/start", ask),
        Route(f"{HERE}/start/look", look, methods=["POST"]),
        Route(f"{HERE}/roll-back", rolling_back, methods=["POST"]),
        Route(f"{HERE}/promote", promoting, methods=["POST"]),
        Route(HERE + "/{number:number}", one),
        Route(HERE + "/{number:number}/approve", decided(approving), methods=["POST"]),
        Route(HERE + "/{number:number}/reject", decided(rejecting), methods=["POST"]),
        Route(HERE + "/{number:number}/cancel", decided(cancelling), methods=["POST"]),
        Route("/models", _moved),
    ]


def chosen_of(fields: Mapping[str, str], usual: RoundSettings) -> dict[str, Any]:
    """What a form asks for that is not as usual. Raises ConfigError where a value cannot be read."""
    now = usual.model_dump()
    found: dict[str, Any] = {}
    for name in CHOSEN:
        text = fields.get(name, "").strip()
        if name == "train" and not text:
            text = "{}"
        if text and (value := _value(name, text, now[name])) != now[name]:
            found[name] = value
    return found


def drawn(curve: Curve) -> Drawn:
    """The first epoch at the left, the lowest value at the bottom."""
    low, high = min(curve.values), max(curve.values)
    across, up = max(curve.epochs[-1] - curve.epochs[0], 1), (high - low) or 1.0
    rows = tuple(zip(curve.epochs, curve.values, strict=True))
    points = " ".join(
        f"{WIDTH * (epoch - curve.epochs[0]) / across:.1f},{HEIGHT * (1 - (value - low) / up):.1f}"
        for epoch, value in rows
    )
    return Drawn(curve.name, points, low, high, rows)


def by_epoch(curves: Sequence[Curve], most: int = MOST_ROWS) -> list[tuple[int, list[float | None]]]:
    """Epochs with a value of each curve, None where it has none; of many epochs some, evenly spread."""
    told = [dict(zip(curve.epochs, curve.values, strict=True)) for curve in curves]
    epochs = sorted({epoch for values in told for epoch in values})
    step = -(-len(epochs) // most) or 1
    shown = [epoch for place, epoch in enumerate(epochs) if place % step == 0 or place == len(epochs) - 1]
    return [(epoch, [values.get(epoch) for values in told]) for epoch in shown]


def time_left(progress: ProgressView) -> str:
    """In minutes or hours; "" where nothing tells it."""
    if progress.seconds_left is None:
        return ""
    minutes = round(progress.seconds_left / 60)
    if minutes < 1:
        return "less than a minute left"
    return f"about {minutes} min left" if minutes < 90 else f"about {minutes / 60:.1f} h left"


def _value(name: str, text: str, usual: Any) -> Any:
    if isinstance(usual, str):
        return text
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigError(
            f"{name}: expected a value such as {usual!r}, got {text[:80]!r}: {error}"
        ) from error


def _asked_for(usual: RoundSettings) -> list[tuple[str, Any]]:
    now = usual.model_dump()
    return [(name, now[name]) for name in CHOSEN]


def _options(name: str) -> list[str]:
    return list(RoundSettings.model_json_schema()["properties"][name]["enum"])


def _fields(request: Request) -> dict[str, str]:
    return {name: value for name, value in form_of(request).items() if isinstance(value, str)}


def _begin(request: Request) -> int:
    text = request.query_params.get("from", "0")
    return _number(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ConfigError(f"expected a whole number, got {text[:40]!r}; open /rounds again")
    return int(text)


def _pace(moving: bool) -> int:
    """Seconds after which a page without scripts loads itself again, 0 for never."""
    return REFRESH_S if moving else 0


def _moved(request: Request) -> Response:
    return RedirectResponse(HERE, 308)


def _fresh_url(view: ModelsView) -> str:
    """Of the frames with new training labels."""
    return new_labels_query(view.rounds[0].created_at if view.rounds else None).url()
