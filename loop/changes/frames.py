"""What people do with frames: send them to be labeled, choose from a set, report a model's mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Progress, Purpose
from db.engine import read, write
from db.errors import StateError
from db.frames import FrameRow, frames
from db.models import deployed, model
from db.reports import add_report, close_report, open_report
from db.states import Origin, ReportKind, Role, TaskStatus
from db.tasks import (
    NewTask,
    add_tasks,
    batches,
    close_batches,
    create_batch,
    engaged_frames,
    move,
    queue_batch,
    tasks,
)
from loop.base.errors import ConfigError
from loop.base.wording import counted
from loop.changes.audit import Who, note
from loop.insights.frame_facts import known_producers
from loop.insights.frame_list import within_of
from loop.insights.frame_query import FrameQuery
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.selection import select as selection
from loop.selection.select import SelectReport

MOST_SENT = 500
"""Frames that are sent to be labeled at once."""
HAND = "hand"
"""Strategy and component of frames that a person picked."""
LONGEST_NOTE = 2000


@dataclass
class Sent:
    """What came of sending frames to be labeled.

    batch: None where none went.
    frames: that went.
    left_out: why others did not, with how many.
    """

    batch: int | None = None
    frames: list[int] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{counted(len(self.frames), 'frame')} sent to be labeled",
            *(f"{count} left out: {why}" for why, count in self.left_out.items()),
        ]


def send_to_desk(project: Project, who: Who, seqs: Sequence[int], why: str = "") -> Sent:
    """Puts frames that a person picked before the labelers, in this order, to train on.

    Left out are frames that were asked about before, and those that judge: chance alone draws them,
    or verdicts would be about what was picked. Raises ConfigError for none or too many.
    """
    wanted = list(dict.fromkeys(int(seq) for seq in seqs))
    if not 1 <= len(wanted) <= MOST_SENT:
        raise ConfigError(f"frames: expected 1 to {MOST_SENT} frames to send, got {len(wanted)}; pick others")
    sent = Sent()
    with write(project.engine) as session:
        rows = {row.seq: row for row in frames(session, seqs=wanted)}
        taken, kept = engaged_frames(session), []
        for seq in wanted:
            reason = _why_not(rows.get(seq), taken)
            if reason:
                sent.left_out[reason] = sent.left_out.get(reason, 0) + 1
            else:
                kept.append(rows[seq])
        if not kept:
            return sent
        said = f"picked by {who.name}" + (f": {why}" if why else "")
        batch = create_batch(session, HAND, 0, len(kept), {"by": who.name, "via": who.via})
        detector = known_producers(session, project).detector
        add_tasks(
            session,
            batch,
            [_task(row, place, len(kept), batch, said, detector) for place, row in enumerate(kept)],
        )
        queue_batch(session, batch)
        sent.batch, sent.frames = batch, [row.seq for row in kept]
        note(
            session,
            who,
            "frames sent to be labeled",
            f"batch {batch}",
            after={"frames": len(kept), "why": why},
        )
    return sent


def _why_not(row: FrameRow | None, taken: set[int]) -> str:
    if row is None:
        return "there is no such frame"
    if row.seq in taken:
        return "labeled, queued, answered or skipped before"
    if row.origin != Origin.PRODUCTION:
        return "they came with the training set"
    return "they judge models, and chance alone chooses those" if row.role != Role.POOL else ""


def _task(row: FrameRow, rank: int, total: int, batch: int, why: str, detector: int | None) -> NewTask:
    return NewTask(
        frame=row.seq,
        purpose=Purpose.TRAIN,
        key=f"{row.content_hash[:20]}-b{batch}-{Purpose.TRAIN}",
        rank=rank,
        priority=round(1 - rank / total, 6),
        reason=why[:400],
        component=HAND,
        detector=detector,
    )


def take_back_sent(project: Project, who: Who, batch: int) -> int:
    """How many tasks of a batch that a person sent are withdrawn: those that are not in Label Studio
    yet. Raises ConfigError for another batch.
    """
    with write(project.engine) as session:
        if not any(row.id == batch and row.strategy == HAND for row in batches(session)):
            raise ConfigError(f"expected a batch that a person sent, got {batch}; see the page Queue")
        waiting = [task.id for task in tasks(session, status=TaskStatus.PENDING, batch=batch)]
        moved = move(session, waiting, TaskStatus.PENDING, TaskStatus.CANCELLED)
        close_batches(session)
        note(
            session,
            who,
            "frames taken back from the labelers",
            f"batch {batch}",
            {"frames": moved},
            {"frames": 0},
        )
    return moved


def select_within(
    parts: Parts,
    who: Who,
    query: FrameQuery,
    progress: Progress,
    budget: int | None = None,
    work: int | None = None,
) -> SelectReport:
    """Chooses a batch from a set, and records who asked for it. Raises ConfigError, ProjectError.

    work: the number of the work that asks for it, which `batch_of_work` finds again.
    """
    within = replace(within_of(parts, query), work=work)
    report = selection.select(parts, progress, budget=budget, within=within)
    if report.batch is not None:
        with write(parts.project.engine) as session:
            chosen = {"frames": len(report.chosen), "within": query.address()}
            note(session, who, "batch chosen within a set", f"batch {report.batch}", after=chosen)
    return report


def batch_of_work(project: Project, work: int) -> int | None:
    """The batch that was chosen for this work; None where there is none yet."""
    with read(project.engine) as session:
        return next((row.id for row in batches(session) if row.settings.get(selection.WORK) == work), None)


def report_error(
    project: Project,
    who: Who,
    seq: int,
    kind: str,
    *,
    class_name: str = "",
    box: Sequence[float] | None = None,
    text: str = "",
    model_id: int | None = None,
) -> int:
    """The id of the report of a model's mistake on a frame; of the deployed model's for None.

    box: (x1, y1, x2, y2) px.
    Raises ConfigError for what is no frame, kind, class or box, StateError for no model.
    """
    kinds = [str(each) for each in ReportKind]
    if kind not in kinds:
        raise ConfigError(f"report: kind: expected one of {', '.join(kinds)}, got {kind[:80]!r}")
    if class_name and class_name not in project.classes:
        raise ConfigError(
            f"report: class: expected one of {', '.join(project.classes)}, got {class_name[:80]!r}"
        )
    if len(text) > LONGEST_NOTE:
        raise ConfigError(f"report: expected a note of at most {LONGEST_NOTE} characters, got {len(text)}")
    if kind == ReportKind.OTHER and not text.strip():
        raise ConfigError("report: expected a note that says what is wrong, got none")
    with write(project.engine) as session:
        row = one_frame(session, seq)
        _check_box(box, row)
        meant = deployed(session) if model_id is None else model(session, model_id)
        number = add_report(
            session,
            seq,
            ReportKind(kind),
            who.name,
            model_id=meant.id if meant else None,
            class_name=class_name or None,
            box=box,
            note=text.strip(),
        )
        told = {"kind": kind, "class": class_name, "note": text.strip(), "model": meant.id if meant else None}
        note(session, who, "error reported", f"frame {seq}", after={"report": number} | told)
    return number


def _check_box(box: Sequence[float] | None, row: FrameRow) -> None:
    if box is None:
        return
    if len(box) != 4 or not np.isfinite(box).all():
        raise ConfigError(f"report: box: expected four numbers x1, y1, x2, y2 in pixels, got {list(box)[:8]}")
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= row.width and 0 <= y1 < y2 <= row.height):
        raise ConfigError(
            f"report: box: expected corners within {row.width} x {row.height} pixels, got {[x1, y1, x2, y2]}"
        )


def close_error(project: Project, who: Who, seq: int, report: int, again: bool = False) -> bool:
    """A report of this frame needs nobody any more; with `again` it does. False where nothing changed."""
    with write(project.engine) as session:
        changed = (open_report if again else close_report)(session, seq, report)
        if changed:
            said = "report opened again" if again else "report closed"
            before, after = ({"report": report, "open": held} for held in (not again, again))
            note(session, who, said, f"frame {seq}", before, after)
    return changed


def one_frame(session: Session, seq: int) -> FrameRow:
    """Raises StateError when there is none of that number."""
    found = frames(session, seqs=[seq]) if 0 <= seq < 2**63 else []
    if not found:
        raise StateError(f"expected the number of a frame, got {seq}; `fieldloop frames` lists them")
    return found[0]
