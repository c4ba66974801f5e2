"""Suspect labels of a dataset that is no project, as a page with pictures: one file."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connectors.errors import ImageRejected
from connectors.files import write_atomically
from loop.analysis.thumbnails import cropped
from loop.insights.suspects import KINDS, window
from loop.labeling.suspect_tasks import question
from loop.rounds.audit import Audit
from loop.rounds.judged_labels import FoundSuspect
from loop.web.environment import page_environment

SHOWN = 200
"""Suspects with a picture; a page of more is too heavy to look through."""
PAGE = "suspects.html"


@dataclass(frozen=True)
class AuditCard:
    """picture: a data URI, "" where the image cannot be read. window: what it shows, px."""

    suspect: FoundSuspect
    named: str
    question: str
    file: str
    picture: str
    window: tuple[int, int, int, int]


def write(found: Audit, out: Path) -> Path:
    """Writes the page into the folder `out`; its path. Raises OSError."""
    out.mkdir(parents=True, exist_ok=True)
    shown = found.suspects[:SHOWN]
    page = page_environment("UTC").get_template("audit.html")
    text = page.render(
        found=found,
        made=datetime.now(UTC),
        cards=[_card(found, one) for one in shown],
        left_out=len(found.suspects) - len(shown),
    )
    write_atomically((out / PAGE).resolve(), text)
    return out / PAGE


def _card(found: Audit, one: FoundSuspect) -> AuditCard:
    width, height = found.sizes[one.frame]
    around = window([place for place in (one.box, one.fix) if place], width, height)
    asked = question([one], width, height)
    path = found.paths[one.frame]
    return AuditCard(one, KINDS[one.kind], asked, path.name, _picture(path, around), around)


def _picture(path: Path, around: tuple[int, int, int, int]) -> str:
    try:
        return "data:image/webp;base64," + base64.b64encode(cropped(path, around)).decode("ascii")
    except (OSError, ImageRejected):
        return ""
