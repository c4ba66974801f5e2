"""Detector checkpoints and which of them is in production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.errors import Conflict, StateError
from db.sql import changed_rows, insert_new, table_of
from db.states import ModelStatus
from db.tables import Deployment, Model

ROLLBACK = "rollback"
"""How the reason of a deployment begins that goes back to a former model."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One checkpoint. path: its file below the project folder."""

    id: int
    sha256: str
    path: str
    classes: tuple[str, ...]
    status: ModelStatus
    parent_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """One act of putting a model into production."""

    id: int
    model_id: int
    reason: str
    at: datetime


def add_model(
    session: Session,
    sha256: str,
    path: str,
    classes: Sequence[str],
    status: ModelStatus = ModelStatus.CANDIDATE,
    parent: int | None = None,
) -> int:
    """The id of the checkpoint with this hash; a known one keeps its path, classes and status."""
    row = {"sha256": sha256, "path": path, "classes": list(classes), "status": status, "parent_id": parent}
    insert_new(session, Model, [row])
    return session.execute(select(Model.id).where(Model.sha256 == sha256)).scalar_one()


def model(session: Session, model_id: int) -> ModelRow:
    """Raises StateError when there is none of that id."""
    found = [row for row in models(session) if row.id == model_id]
    if not found:
        raise StateError(f"expected a model, got the unknown id {model_id}; see `fieldloop models list`")
    return found[0]


def models(session: Session) -> list[ModelRow]:
    """All checkpoints, oldest first."""
    return [_model_row(row) for row in session.execute(select(*table_of(Model).columns).order_by(Model.id))]


def move_model(session: Session, model_id: int, frm: ModelStatus, to: ModelStatus) -> bool:
    """Compare-and-set of a status, such as candidate to rejected; deploying goes by `deploy` alone."""
    statement = update(Model).where(Model.id == model_id, Model.status == frm).values(status=to)
    return changed_rows(session.execute(statement)) == 1


def deployed(session: Session) -> ModelRow | None:
    """The model in production, None before the first deployment."""
    history = deployments(session)
    return model(session, history[-1].model_id) if history else None


def deploy(session: Session, model_id: int, reason: str, expected: int | None = None) -> bool:
    """Puts the model into production and retires the former one; False when it already is there.

    expected: the id that must be in production now.
    Raises Conflict when another one is.
    """
    model(session, model_id)
    now = deployed(session)
    if now is not None and now.id == model_id:
        return False
    if expected is not None and (now is None or now.id != expected):
        raise Conflict(
            f"expected model {expected} in production, got {now.id if now else 'none'}; judge again"
        )
    retire = update(Model).where(Model.status == ModelStatus.DEPLOYED).values(status=ModelStatus.RETIRED)
    session.execute(retire)
    session.execute(update(Model).where(Model.id == model_id).values(status=ModelStatus.DEPLOYED))
    session.add(Deployment(model_id=model_id, reason=reason))
    session.flush()
    return True


def deployments(session: Session) -> list[DeploymentRow]:
    """Every deployment, oldest first; the last one is in force."""
    rows = session.execute(select(*table_of(Deployment).columns).order_by(Deployment.id))
    return [DeploymentRow(**row._mapping) for row in rows]


def previous_deployment(session: Session) -> ModelRow | None:
    """The model that a rollback would bring back; going back twice goes back two steps."""
    line: list[int] = []
    for step in deployments(session):
        if step.reason.startswith(ROLLBACK) and step.model_id in line:
            line = line[: line.index(step.model_id)]
        line.append(step.model_id)
    return model(session, line[-2]) if len(line) > 1 else None


def _model_row(row: Any) -> ModelRow:
    return ModelRow(**{**row._mapping, "status": ModelStatus(row.status), "classes": tuple(row.classes)})
