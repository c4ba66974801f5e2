"""What the verdict of a round could show, kept with its date, for pages: telling it takes a second where
much is held out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from connectors.errors import ModelError
from connectors.ports import Progress
from db.engine import read, write
from db.facts import get_fact
from db.frame_sets import label_stamp
from db.labels import count_labels
from db.lots import lots
from db.models import deployed
from db.page_facts import add_page_fact, drop_page_facts, latest_page_fact, page_fact_dates
from db.rounds import newest_round, open_round
from db.slice_members import CHANGED
from db.tasks import task_counts
from loop.base.errors import LoopError
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.rounds.preflight import preflight

KIND = "preflight/1"
"""The number grows whenever what is kept would be read otherwise."""


@dataclass(frozen=True)
class KeptPreflight:
    """lines: for people, a line a fact. wrong: why there are none, "" where there are.

    made_at: when that was told. current: nothing that it rests on changed since.
    """

    lines: tuple[str, ...]
    wrong: str
    made_at: datetime
    current: bool


def kept_preflight(project: Project) -> KeptPreflight | None:
    """As it was told last; None where it never was."""
    with read(project.engine) as session:
        row = latest_page_fact(session, KIND)
        if row is None:
            return None
        value = row.value
        current = value["rests_on"] == _rests_on(session, project)
    return KeptPreflight(tuple(value["lines"]), value["wrong"], row.made_at, current)


def keep_preflight(parts: Parts, progress: Progress) -> str:
    """Tells it anew where what it rests on changed since, and no round is open; what was told, "" for
    nothing. What keeps it from being told is kept in its place.
    """
    project = parts.project
    with read(project.engine) as session:
        now, row = _rests_on(session, project), latest_page_fact(session, KIND)
        known = row is not None and not row.value["wrong"] and row.value["rests_on"] == now
        if known or open_round(session) is not None:
            return ""
    progress(0, 0, "what a round could show")
    value = {"rests_on": now, **_told(parts)}
    with write(project.engine) as session:
        drop_page_facts(session, [number for number, _ in page_fact_dates(session, KIND)])
        add_page_fact(session, KIND, value)
    return str(value["wrong"] or value["lines"][0])


def _told(parts: Parts) -> dict[str, Any]:
    try:
        return {"lines": preflight(parts).lines(), "wrong": ""}
    except (ModelError, LoopError) as error:
        return {"lines": [], "wrong": str(error)}


def _rests_on(session: Session, project: Project) -> str:
    """Another whenever a preflight may be another."""
    known, model, newest = label_stamp(session), deployed(session), newest_round(session)
    settings = project.settings
    return json.dumps(
        [
            [known.count, str(known.newest), count_labels(session, usable=True)],
            [[row.id, str(row.status)] for row in lots(session)],
            get_fact(session, CHANGED),
            {str(status): count for status, count in task_counts(session).items()},
            None if model is None else model.id,
            None if newest is None else [newest.id, str(newest.status)],
            settings.gate.model_dump(mode="json"),
            list(project.classes),
        ]
    )
