"""One frame: its picture with boxes, everything that is known of it, and a form for its mistakes."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image as Pil
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.errors import ImageRejected
from connectors.images import decode_scaled, inspect
from connectors.ports import Box
from loop.base.errors import ConfigError
from loop.changes.frames import close_error, report_error
from loop.insights.frame_page import FrameView, frame_view, picture_of
from loop.insights.frame_query import PATH, FrameQuery
from loop.insights.frames import frame_sets
from loop.project.project import Project
from loop.web.pages.frames import ending
from loop.web.site import Site, form_of

SHOW = "show"
TRUTH, DEPLOYED, CANDIDATE = LAYERS = ("truth", "deployed", "candidate")
LONGEST_SIDE = 1600
"""Pixels of a picture that is sent, along its longer side."""
QUALITY = 82
AT_ONCE = threading.Semaphore(2)
"""Pictures that are decoded at a time: each takes some hundred megabytes at most."""
FOREVER = "private, max-age=31536000, immutable"
LABELED_BOXES = 60
"""So many boxes of a layer get their class written beside them."""


@dataclass(frozen=True)
class Layer:
    """Boxes of one who saw the frame.

    key: of its switch. kind: of its color. name: for people. on: drawn at first.
    verdict: how it compares with the label, "" where it cannot be.
    """

    key: str
    kind: str
    name: str
    boxes: tuple[Box, ...]
    on: bool
    verdict: str = ""


def routes(site: Site) -> list[Route]:
    """The page of a frame, its picture, and reports of a model's mistakes on it."""

    def page(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        query = FrameQuery.parse([(key, value) for key, value in pairs if key != SHOW])
        shown = [value for key, value in pairs if key == SHOW]
        view = frame_view(frame_sets(site.parts), request.path_params["seq"], query)
        return site.render(
            request,
            "frame.html",
            view=view,
            frame=view.frame,
            query=query,
            address=query.address(),
            ending=ending,
            layers=layers_of(view, shown),
            most_named=LABELED_BOXES,
            letter=max(view.frame.width, view.frame.height) / 40,
            classes=site.project.classes,
            known_boxes=_known_boxes(view),
        )

    def picture(request: Request) -> Response:
        return _picture(site.project, request, request.path_params["seq"])

    def report(request: Request) -> Response:
        seq = request.path_params["seq"]
        fields = {key: value for key, value in form_of(request).multi_items() if isinstance(value, str)}
        number = report_error(
            site.project,
            site.who(request),
            seq,
            fields.get("kind", ""),
            class_name=fields.get("class", ""),
            box=_box(fields.get("box", "")),
            text=fields.get("note", ""),
            model_id=_model(fields.get("model", "")),
        )
        undo = f"{PATH}/{seq}/report/close"
        return site.done(request, _here(request, seq), "Reported", undo, {"report": str(number)})

    def close(request: Request) -> Response:
        seq, again = request.path_params["seq"], form_of(request).get("again") == "yes"
        number = str(form_of(request).get("report", ""))
        if not number.isdigit() or len(number) > 12:
            raise ConfigError(f"report: expected its number, got {number[:40]!r}")
        changed = close_error(site.project, site.who(request), seq, int(number), again)
        done = "Report opened again" if again else "Report closed"
        back = {"report": number} | ({} if again else {"again": "yes"})
        undo = f"{PATH}/{seq}/report/close" if changed else ""
        return site.done(request, _here(request, seq), done if changed else "Nothing changed", undo, back)

    return [
        Route(f"{PATH}/{{seq:number}}", page),
        Route(f"{PATH}/{{seq:number}}/picture", picture),
        Route(f"{PATH}/{{seq:number}}/report", report, methods=["POST"]),
        Route(f"{PATH}/{{seq:number}}/report/close", close, methods=["POST"]),
    ]


def layers_of(view: FrameView, shown: Sequence[str]) -> list[Layer]:
    """What can be drawn; all of it where the address asks for nothing."""
    found = []
    if view.label is not None:
        found.append(Layer(TRUTH, "truth", "label", view.label.boxes, not shown or TRUTH in shown))
    for one in view.models:
        key = DEPLOYED if one.kind == DEPLOYED else CANDIDATE
        kind = "model" if key == DEPLOYED else "candidate"
        name = f"{one.kind} model {one.model.id}"
        found.append(Layer(key, kind, name, one.boxes, not shown or key in shown, one.verdict))
    return found


def _known_boxes(view: FrameView) -> list[tuple[str, str]]:
    """Corners and name of each box that can be reported."""
    named = [(f"model {one.model.id}", box) for one in view.models for box in one.boxes]
    named += [("label", box) for box in (view.label.boxes if view.label else ())]
    return [
        (", ".join(f"{side:.0f}" for side in box.xyxy), f"{who}: {box.class_name}") for who, box in named
    ][:LABELED_BOXES]


def _picture(project: Project, request: Request, seq: int) -> Response:
    """At most LONGEST_SIDE px long, made anew from the stored file."""
    found = picture_of(project, seq)
    tag = f'"{found.content_hash[:32]}-{LONGEST_SIDE}"'
    headers = {"Cache-Control": FOREVER, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    try:
        with AT_ONCE:
            data = resized(found.path.read_bytes())
    except (OSError, ImageRejected) as error:
        raise HTTPException(
            404, f"expected the stored picture of frame {seq}, got none that can be read"
        ) from error
    return Response(data, media_type="image/webp", headers=headers)


def resized(data: bytes, longest: int = LONGEST_SIDE) -> bytes:
    """The picture as WebP, its longer side at most so many px. Raises ImageRejected."""
    info = inspect(data)
    longer, shorter = max(info.width, info.height), min(info.width, info.height)
    scale = min(1.0, longest / longer)
    image = Pil.fromarray(decode_scaled(data, max(1, round(shorter * scale)), info))
    image.thumbnail((longest, longest), Pil.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=2)
    return file.getvalue()


def _here(request: Request, seq: int) -> str:
    """The frame's page within the set it was opened from."""
    address = form_of(request).get("address", "")
    query = FrameQuery.parse(address if isinstance(address, str) else "").address()
    return f"{PATH}/{seq}" + (f"?{query}" if query else "")


def _box(text: str) -> list[float] | None:
    if not text.strip():
        return None
    try:
        return [float(part) for part in text.replace(";", ",").split(",")]
    except ValueError as error:
        raise ConfigError(
            f"report: box: expected four numbers x1, y1, x2, y2 in pixels, got {text[:80]!r}"
        ) from error


def _model(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ConfigError(f"report: model: expected its number, got {text[:40]!r}")
    return int(text)
