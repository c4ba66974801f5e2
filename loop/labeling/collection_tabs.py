"""Collections as tabs of Label Studio: each task says which of them its frame is in, and a tab shows
those of one. A push brings both up to date where something changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import LabelBackend
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.gathered import members_among_all, tasks_stamp
from db.slice_members import CHANGED
from db.slices import slices
from db.states import SliceKind, TaskStatus
from db.tasks import tasks
from loop.analysis.producers import current_measure
from loop.base.wording import counted
from loop.project.project import Project

COLLECTIONS = "collections"
"""Of what a task says: the collections that its frame is in."""
KEPT = "collection_tabs_kept"
"""Fact: what the tabs were last brought up to date with."""
OVER_THERE = (TaskStatus.CONFIRMED, TaskStatus.QUARANTINED, TaskStatus.DONE, TaskStatus.SKIPPED)


def mark_of(slice_id: int) -> str:
    """How a task names a collection; ends with a blank, so that no mark lies within another."""
    return f"#{slice_id} "


def titles_wanted(session: Session) -> dict[int, str]:
    """The title of the tab of each collection that has one, by its id."""
    rows = slices(session, [SliceKind.COLLECTION])
    return {row.id: row.name for row in rows if row.retired_at is None and row.definition.get("tab")}


def texts_of(session: Session, seqs: Sequence[int]) -> dict[int, str]:
    """By frame, which collections with a tab it is in, such as "#12 night; #14 crowds"."""
    titles, measure = titles_wanted(session), current_measure(session)
    if not titles or measure is None:
        return dict.fromkeys(seqs, "")
    frames = np.array(sorted(set(seqs)), dtype=np.int64)
    found: dict[int, list[str]] = {}
    for number, inside in sorted(members_among_all(session, measure, titles, frames).items()):
        for seq in inside.tolist():
            found.setdefault(seq, []).append(mark_of(number) + titles[number].replace("#", ""))
    return {seq: "; ".join(found.get(seq, ())) for seq in seqs}


def any_tab(session: Session) -> bool:
    """Whether tasks say which collections they are in: since the first tab was wanted."""
    return bool(titles_wanted(session)) or get_fact(session, KEPT) is not None


def anything_to_keep(session: Session) -> bool:
    """Whether tabs, or what tasks say, may have changed since the last push."""
    return any_tab(session) and get_fact(session, KEPT) != _stamp(session)


def keep_tabs(project: Project, backend: LabelBackend, number: int) -> str:
    """Brings the tabs of a Label Studio project up to date; what was done, "" for nothing.

    Raises LabelStudioError; what was not done is done by the next push.
    """
    with read(project.engine) as session:
        if not anything_to_keep(session):
            return ""
        stamp, titles = _stamp(session), titles_wanted(session)
        there = [task for task in tasks(session, status=OVER_THERE) if task.external_project == number]
        texts = texts_of(session, [task.frame for task in there])
    own = {task.external_id: texts[task.frame] for task in there if task.external_id is not None}
    marked = backend.say_of_tasks(number, COLLECTIONS, own)
    changed = backend.keep_tabs(number, COLLECTIONS, {mark_of(one): title for one, title in titles.items()})
    with write(project.engine) as session:
        set_fact(session, KEPT, stamp)
    done = [counted(changed, "tab")] if changed else []
    done += [f"{counted(marked, 'task')} in other collections"] if marked else []
    return f"{' and '.join(done)} brought up to date" if done else ""


def _stamp(session: Session) -> str:
    titles = titles_wanted(session)
    return json.dumps([sorted(titles.items()), get_fact(session, CHANGED), tasks_stamp(session)])
