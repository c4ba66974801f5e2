"""The queue of label tasks: look through it, and drop, pin or hurry many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.ports import Box
from loop.base.errors import ConfigError
from loop.changes.audit import Who
from loop.changes.tasks import Report, drop, hurry, pin, undo
from loop.insights.queue import TABS, QueueQuery, queue
from loop.project.project import Project
from loop.web.site import Site, form_of

HERE = "/queue"
MOST_BOXES = 40
EMPTY = {
    "due": ("Nothing waits for a label.", "Tasks come here when frames are chosen and pushed."),
    "pinned": ("No task is pinned.", "A pinned task comes first, whatever is chosen later."),
    "mend": ("No answer needs mending.", "Answers that contradict one another, or name an unknown class."),
    "sending": ("Nothing is on its way to Label Studio.", ""),
    "answered": ("Nothing was answered yet.", "Answers are fetched by themselves while the service runs."),
    "dropped": ("Nothing was dropped.", ""),
}
Act = Callable[[Project, Who, Sequence[int]], Report]


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        query = QueueQuery.parse(request.query_params)
        found = queue(site.project, query)
        text, hint = EMPTY[query.tab]
        return site.render(
            request,
            "queue.html",
            page=found,
            query=query,
            cleared=QueueQuery(tab=query.tab),
            tabs=list(TABS.values()),
            empty_text=text,
            empty_hint=hint,
            back=_address(query),
            outline=outline,
        )

    def acting(act: Act) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            report = act(site.project, site.who(request), numbers(form_of(request).getlist("task")))
            return _done(site, request, report)

        return answer

    def dropping(request: Request) -> Response:
        form = form_of(request)
        chosen, reason = numbers(form.getlist("task")), str(form.get("reason", ""))
        return _done(site, request, drop(site.project, site.who(request), chosen, reason))

    def undoing(request: Request) -> Response:
        changes = spread(str(form_of(request).get("changes", "")))
        return _done(site, request, undo(site.project, site.who(request), changes))

    return [
        Route(HERE, page),
        Route(f"{HERE}/drop", dropping, methods=["POST"]),
        Route(f"{HERE}/pin", acting(pin), methods=["POST"]),
        Route(f"{HERE}/unpin", acting(_unpin), methods=["POST"]),
        Route(f"{HERE}/hurry", acting(hurry), methods=["POST"]),
        Route(f"{HERE}/undo", undoing, methods=["POST"]),
    ]


def numbers(given: Sequence[object], what: str = "task") -> list[int]:
    """The tasks, or what else, that a form names. Raises ConfigError for one that is no number."""
    texts = [str(one) for one in given]
    if wrong := [text for text in texts if not (text.isascii() and text.isdigit() and len(text) < 19)]:
        raise ConfigError(f"{what}: expected a whole number, got {wrong[0]!r}; open the page again")
    return [int(text) for text in texts]


def outline(boxes: Sequence[Box]) -> str:
    """The boxes as one path of an SVG whose units are the pixels of the image; the surest MOST_BOXES."""
    return "".join("M{} {}H{}V{}H{}z".format(*_rounded(box)) for box in boxes[:MOST_BOXES])


def _rounded(box: Box) -> tuple[int, int, int, int, int]:
    x1, y1, x2, y2 = (round(value) for value in box.xyxy)
    return x1, y1, x2, y2, x1


def gathered(ids: Sequence[int]) -> str:
    """Whole numbers in little room: 7-9,12."""
    parts: list[list[int]] = []
    for number in sorted(ids):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in parts)


def spread(text: str) -> list[int]:
    """What `gathered` wrote. Raises ConfigError for anything else, or more than a page can change."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = numbers([first, last or first])
        if len(found) + end - begin > 10_000:
            raise ConfigError("changes: expected those of one page, got more; take them back in parts")
        found += range(begin, end + 1)
    return found


def _unpin(project: Project, who: Who, ids: Sequence[int]) -> Report:
    return pin(project, who, ids, pinned=False)


def _done(site: Site, request: Request, report: Report) -> Response:
    """Back to where the form stood. Label Studio is told now where somebody can."""
    waits = site.soon("push") if report.done else ""
    back = str(form_of(request).get("back", ""))
    to = back if back == HERE or back.startswith(f"{HERE}?") else HERE
    said = ". ".join([*report.lines(), *([waits] if waits else [])])
    if not report.undoable:
        return site.done(request, to, said)
    fields = {"changes": gathered(report.changes), "back": to}
    return site.done(request, to, said, f"{HERE}/undo", fields)


def _address(query: QueueQuery) -> str:
    said = query.address()
    return f"{HERE}?{said}" if said else HERE
