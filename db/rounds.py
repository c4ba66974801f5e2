"""Retraining rounds and the dataset versions they freeze."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from db.errors import Conflict, StateError
from db.sql import changed_rows, insert_new, insert_one, table_of
from db.states import OPEN_ROUNDS, RoundStatus, TaskStatus
from db.tables import Dataset, DatasetMember, LabelTask, Round, utcnow

_BRIEF = frozenset(
    {
        *("id", "status", "base_model_id", "dataset_id", "candidate_id", "progress", "error", "created_at"),
        "changed_at",
    }
)
_SETTABLE = frozenset({"dataset_id", "candidate_id", "verdict", "progress", "error", "settings"})


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round as stored."""

    id: int
    status: RoundStatus
    settings: dict[str, Any]
    base_model_id: int
    dataset_id: int | None
    candidate_id: int | None
    verdict: dict[str, Any] | None
    progress: dict[str, Any]
    cancel_requested: bool
    error: str | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class RoundBrief:
    """One round but for its settings and its verdict, which are long.

    promote: what the gate said, None where it said nothing yet. reason: the first of its verdict, "" for
    none.
    """

    id: int
    status: RoundStatus
    base_model_id: int
    dataset_id: int | None
    candidate_id: int | None
    progress: dict[str, Any]
    error: str | None
    created_at: datetime
    changed_at: datetime
    promote: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One frozen dataset version. path: below the project folder."""

    id: int
    manifest_sha256: str
    path: str
    summary: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """One frame of a dataset version.

    split: train, val or test.
    repeats: appearances per epoch.
    """

    frame: int
    split: str
    repeats: int = 1


def start_round(session: Session, base_model: int, settings: Mapping[str, Any]) -> int:
    """A new round, freezing. Raises Conflict while another one is open."""
    started = insert_one(
        session, Round, status=RoundStatus.FREEZING, base_model_id=base_model, settings=dict(settings)
    )
    if started is None:
        running = open_round(session)
        name = f"round {running.id} ({running.status})" if running else "one that just ended"
        raise Conflict(
            f"expected no open round, got {name}; go on with it by `fieldloop round advance`, or end it by"
            " `fieldloop round cancel`"
        )
    return started


def open_round(session: Session) -> RoundRow | None:
    """The one round that is not finished, None when all are."""
    statement = select(*table_of(Round).columns).where(Round.status.in_(OPEN_ROUNDS))
    row = session.execute(statement).one_or_none()
    return None if row is None else _round_row(row)


def round_by_id(session: Session, round_id: int) -> RoundRow:
    """Raises StateError when there is none of that id."""
    row = session.execute(select(*table_of(Round).columns).where(Round.id == round_id)).one_or_none()
    if row is None:
        raise StateError(f"expected a round, got the unknown id {round_id}; see `fieldloop round show`")
    return _round_row(row)


def rounds(session: Session) -> list[RoundRow]:
    """All rounds, oldest first."""
    return [_round_row(row) for row in session.execute(select(*table_of(Round).columns).order_by(Round.id))]


def count_rounds(session: Session) -> int:
    """How many rounds there are."""
    return session.execute(select(func.count()).select_from(Round)).scalar_one()


def newest_round(session: Session) -> RoundRow | None:
    """The round that was opened last, None before the first."""
    statement = select(*table_of(Round).columns).order_by(Round.id.desc()).limit(1)
    row = session.execute(statement).one_or_none()
    return None if row is None else _round_row(row)


def round_briefs(
    session: Session, limit: int, candidates: Iterable[int] = (), before: int | None = None
) -> list[RoundBrief]:
    """The newest rounds, and those that gave one of these candidates; newest first.

    before: of the newest, those with a smaller id.
    """
    newest = select(Round.id).order_by(Round.id.desc()).limit(limit)
    if before is not None:
        newest = newest.where(Round.id < before)
    wanted = or_(Round.id.in_(newest.scalar_subquery()), Round.candidate_id.in_(list(candidates)))
    columns = [column for column in table_of(Round).columns if column.name in _BRIEF]
    said = Round.verdict["promote"].label("promote"), Round.verdict[("reasons", 0)].label("reason")
    rows = session.execute(select(*columns, *said).where(wanted).order_by(Round.id.desc()))
    return [_brief(row) for row in rows]


def brief_of(row: RoundRow) -> RoundBrief:
    """The same of a whole row."""
    values = {name: getattr(row, name) for name in _BRIEF}
    verdict = row.verdict or {}
    reason = next(iter(verdict.get("reasons", ())), "")
    return RoundBrief(**values, promote=verdict.get("promote"), reason=reason)


def advance(session: Session, round_id: int, frm: RoundStatus, to: RoundStatus, **fields: Any) -> bool:
    """Compare-and-set of a round's status, setting `fields` too; False when it was not in `frm` any
    more.
    """
    if unknown := set(fields) - _SETTABLE:
        raise ValueError(f"expected fields among {sorted(_SETTABLE)}, got {sorted(unknown)}")
    statement = update(Round).where(Round.id == round_id, Round.status == frm)
    return changed_rows(session.execute(statement.values(status=to, changed_at=utcnow(), **fields))) == 1


def update_progress(session: Session, round_id: int, progress: Mapping[str, Any]) -> bool:
    """Replaces the progress of an open round; False when it is finished."""
    statement = update(Round).where(Round.id == round_id, Round.status.in_(OPEN_ROUNDS))
    return changed_rows(session.execute(statement.values(progress=dict(progress)))) == 1


def request_cancel(session: Session, round_id: int) -> bool:
    """Asks an open round to stop; False when it is finished."""
    statement = update(Round).where(Round.id == round_id, Round.status.in_(OPEN_ROUNDS))
    return changed_rows(session.execute(statement.values(cancel_requested=True))) == 1


def add_dataset(
    session: Session, manifest_sha256: str, path: str, summary: Mapping[str, Any], members: Sequence[Member]
) -> int:
    """The id of the version with this manifest; a known one stays as it is."""
    row = {"manifest_sha256": manifest_sha256, "path": path, "summary": dict(summary)}
    insert_new(session, Dataset, [row])
    found = session.execute(select(Dataset.id).where(Dataset.manifest_sha256 == manifest_sha256)).scalar_one()
    insert_new(session, DatasetMember, [asdict(member) | {"dataset_id": found} for member in members])
    return found


def dataset(session: Session, dataset_id: int) -> DatasetRow:
    """Raises StateError when there is none of that id."""
    row = session.execute(select(*table_of(Dataset).columns).where(Dataset.id == dataset_id)).one_or_none()
    if row is None:
        raise StateError(f"expected a dataset version, got the unknown id {dataset_id}")
    return DatasetRow(**row._mapping)


def dataset_members(session: Session, dataset_id: int) -> list[Member]:
    """The frames of a dataset version, by ascending seq."""
    columns = (DatasetMember.frame, DatasetMember.split, DatasetMember.repeats)
    statement = select(*columns).where(DatasetMember.dataset_id == dataset_id).order_by(DatasetMember.frame)
    return [Member(*row) for row in session.execute(statement)]


def datasets_of(session: Session, frame: int) -> list[tuple[int, str, datetime]]:
    """The dataset versions that a frame is in, with its split and when each was frozen."""
    own = and_(DatasetMember.dataset_id == Dataset.id, DatasetMember.frame == frame)
    statement = select(Dataset.id, DatasetMember.split, Dataset.created_at).join(DatasetMember, own)
    return [(number, split, at) for number, split, at in session.execute(statement.order_by(Dataset.id))]


def dataset_counts(session: Session, dataset_id: int) -> dict[str, int]:
    """How many frames of a dataset version are in each split."""
    counted = select(DatasetMember.split, func.count()).where(DatasetMember.dataset_id == dataset_id)
    rows = session.execute(counted.group_by(DatasetMember.split).order_by(DatasetMember.split))
    return {split: count for split, count in rows}  # noqa: C416


def dataset_batches(session: Session, dataset_id: int) -> list[tuple[int, int]]:
    """The batches that frames of a dataset version were chosen in, newest first, each with how many."""
    counted = select(LabelTask.batch_id, func.count(LabelTask.frame.distinct()))
    joined = counted.join(DatasetMember, DatasetMember.frame == LabelTask.frame)
    meant = (DatasetMember.dataset_id == dataset_id, LabelTask.status == TaskStatus.DONE)
    rows = session.execute(joined.where(*meant).group_by(LabelTask.batch_id))
    return sorted(((batch, count) for batch, count in rows), reverse=True)


def _brief(row: Any) -> RoundBrief:
    values = dict(row._mapping)
    values |= {"status": RoundStatus(row.status), "reason": row.reason or ""}
    return RoundBrief(**values | {"promote": None if row.promote is None else bool(row.promote)})


def _round_row(row: Any) -> RoundRow:
    return RoundRow(**{**row._mapping, "status": RoundStatus(row.status)})
