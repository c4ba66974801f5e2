"""What people decide of rounds and models: start, cancel, approve, reject, promote, roll back.

The reason stands in the audit log, and with the deployment that it led to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from db.engine import read
from db.errors import Conflict
from db.models import ModelRow, deployed
from db.rounds import RoundRow
from db.states import RoundStatus
from loop.base.errors import ConfigError, RoundError
from loop.changes.audit import Who, note
from loop.changes.tasks import clean
from loop.insights.rounds import STATUS_WORDS, subject_of
from loop.project.wiring import Parts
from loop.rounds import deploy, rounds

BY_HAND = "by hand"


def start_round(parts: Parts, who: Who, chosen: Mapping[str, Any] | None = None) -> int:
    """The number of the new round; `fieldloop serve` or `fieldloop round advance` does the work.

    chosen: settings by which it differs from those of the project.
    Raises Conflict while another is open, ProjectError, ConfigError.
    """

    def also(session: Session, number: int) -> None:
        note(session, who, "round started", subject_of(number), {}, dict(chosen or {}))

    return rounds.start(parts, chosen, also)


def cancel_round(parts: Parts, who: Who, reason: str = "", number: int | None = None) -> RoundRow:
    """Stops the open round, a training at its next batch; a candidate that waits for a person is rejected.

    number: of the round that is meant, None for whichever is open.
    Raises RoundError when it is not open.
    """
    row = _open(parts, number)
    waits = row.status is RoundStatus.AWAITING_APPROVAL
    what = "candidate rejected" if waits else "round cancelled"
    said = {"status": "rejected" if waits else "cancelled"} | _because(reason)

    def also(session: Session, number: int) -> None:
        note(session, who, what, subject_of(number), {"status": row.status}, said)

    return rounds.cancel(parts, also)


def reject(parts: Parts, who: Who, number: int, reason: str) -> RoundRow:
    """The candidate of a round that waits for a person does not go into production. Raises RoundError,
    ConfigError without a reason.
    """
    _waiting(parts, number)
    return cancel_round(parts, who, need_reason(reason), number)


def approve(parts: Parts, who: Who, number: int, reason: str) -> ModelRow:
    """Promotes the candidate of a round that waits for a person. Raises RoundError, ConfigError without a
    reason, Conflict where another model went into production meanwhile, ProjectError where its weights
    were changed.
    """
    return _approved(parts, who, _waiting(parts, number), need_reason(reason))


def promote(parts: Parts, who: Who, model: ModelRow, reason: str = "") -> None:
    """Deploys any model; the round that waits for it is thereby approved. Raises ProjectError."""
    row = rounds.current(parts.project)
    if row and row.status is RoundStatus.AWAITING_APPROVAL and row.candidate_id == model.id:
        _approved(parts, who, row, clean(reason))
        return

    def also(session: Session, now: int, former: int | None) -> None:
        note(
            session,
            who,
            "model promoted",
            f"model {now}",
            _deployed(former),
            _deployed(now) | _because(reason),
        )

    said = f"{BY_HAND}: {clean(reason)}" if clean(reason) else BY_HAND
    deploy.promote(parts.project, model.id, said, also=also)


def roll_back(parts: Parts, who: Who, reason: str = "", expected: int | None = None) -> ModelRow:
    """Brings the former model back.

    expected: the model that is in production as far as whoever asks knows.
    Raises ProjectError where there is no former one, Conflict where another than expected is deployed.
    """

    def also(session: Session, now: int, former: int | None) -> None:
        what = _deployed(now) | _because(reason)
        note(session, who, "model rolled back", f"model {now}", _deployed(former), what)

    return deploy.rollback(parts.project, clean(reason), expected, also)


def need_reason(reason: str) -> str:
    """The reason on one line. Raises ConfigError where there is none."""
    text = clean(reason)
    if not text:
        raise ConfigError("expected a reason, got none; say in a few words why, for those who look later")
    return text


def _approved(parts: Parts, who: Who, row: RoundRow, reason: str) -> ModelRow:
    def also(session: Session, number: int) -> None:
        before = {"status": row.status} | _deployed(row.base_model_id)
        after = {"status": RoundStatus.PROMOTED} | _deployed(row.candidate_id) | _because(reason)
        note(session, who, "candidate approved", subject_of(number), before, after)

    if row.candidate_id is None or not rounds.approve(parts, row.candidate_id, reason, also):
        raise Conflict(f"expected {subject_of(row.id)} to wait for a person, but somebody decided meanwhile")
    with read(parts.project.engine) as session:
        now = deployed(session)
    assert now is not None
    return now


def _open(parts: Parts, number: int | None) -> RoundRow:
    row = rounds.current(parts.project)
    if row is None:
        raise RoundError("expected an open round, found none; `fieldloop round show` lists those that ended")
    if number is not None and row.id != number:
        was = STATUS_WORDS[rounds.reread(parts.project, number).status]
        raise RoundError(f"expected {subject_of(number)} to be open, got one that is {was}; look at it again")
    return row


def _waiting(parts: Parts, number: int) -> RoundRow:
    row = rounds.reread(parts.project, number)
    if row.status is not RoundStatus.AWAITING_APPROVAL:
        raise RoundError(
            f"expected {subject_of(number)} to wait for a person, got one that is"
            f" {STATUS_WORDS[row.status]}; look at it again"
        )
    return row


def _deployed(number: int | None) -> dict[str, Any]:
    return {"deployed": number}


def _because(reason: str) -> dict[str, str]:
    return {"reason": clean(reason)} if clean(reason) else {}
