"""Stored images that a round is about to use: what is missing or exchanged is fetched again from its
source, or left out and said.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from connectors.files import write_atomically
from db.engine import write
from db.frames import FrameRow, add_reject, forget_rejects
from loop.base.errors import RoundHeld
from loop.base.files import FRAMES, stored_problem
from loop.base.wording import counted
from loop.project.project import Project
from loop.project.wiring import fetch_again

log = logging.getLogger(__name__)
MOST_LOST = 0.5
"""Of the frames asked for: with more gone it is the disk of the store that is missing."""


def mend(project: Project, rows: Sequence[FrameRow]) -> dict[int, str]:
    """The frames that have to be left out, with the reason by seq; empty where all images are there.

    What the source still has is stored again first. Raises RoundHeld where the store is empty or more
    than MOST_LOST of the frames are lost, OSError where the store cannot be read or written.
    """
    wrong = {
        row: problem for row in rows if (problem := stored_problem(project.store, row.path, row.content_hash))
    }
    if not wrong:
        return {}
    if not any((project.store / FRAMES).glob("*")):
        raise _store_gone(project, rows, wrong)
    by_key = {row.source_key: row for row in wrong}
    for key, data in fetch_again(project, {key: row.content_hash for key, row in by_key.items()}):
        row = by_key[key]
        write_atomically(project.store / row.path, data, private=True)
        log.warning("%s: its stored image %s was %s; fetched again", row.source_key, row.path, wrong.pop(row))
        with write(project.engine) as session:
            forget_rejects(session, key)
    if len(wrong) > MOST_LOST * len(rows):
        raise _store_gone(project, rows, wrong)
    return {row.seq: _left_out(project, row, problem) for row, problem in wrong.items()}


def _store_gone(project: Project, rows: Sequence[FrameRow], wrong: Mapping[FrameRow, str]) -> RoundHeld:
    first = next(iter(wrong))
    return RoundHeld(
        f"expected the stored images of {counted(len(rows), 'frame')}, found {len(wrong)} of them missing or"
        f" exchanged, such as {project.store / first.path}; see whether the disk of {project.store} is there,"
        " or copy them back: the round goes on then"
    )


def _left_out(project: Project, row: FrameRow, problem: str) -> str:
    reason = (
        f"expected the stored image {row.path}, got one that is {problem}, and its source has it no more;"
        " left out of the round: copy it back"
    )
    with write(project.engine) as session:
        if add_reject(session, row.source_key, row.content_hash, "unreadable", reason):
            log.warning("%s: %s", row.source_key, reason)
    return reason
