"""Which model is deployed: the database says so, and models/deployed.pt follows."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from db.engine import read, write
from db.models import ROLLBACK, ModelRow, deploy, deployed, deployments, model, models, previous_deployment
from loop.base.errors import ProjectError
from loop.project.project import Project
from loop.project.weights import check_weights, sync_deployed

Also = Callable[[Session, int, int | None], object]
"""What is done in the same transaction: also(session, model that is deployed, model that was)."""


def nothing_else(session: Session, deployed: int, former: int | None) -> None:
    """Nothing."""


def promote(
    project: Project, model_id: int, reason: str, expected: int | None = None, also: Also = nothing_else
) -> ModelRow:
    """Puts a model into production. Raises Conflict when another model than `expected` is there
    now.
    """
    with write(project.engine) as session:
        chosen = model(session, model_id)
        check_weights(project, chosen)
        _deploy(session, model_id, reason, expected, also)
    sync_deployed(project)
    return chosen


def rollback(
    project: Project, reason: str = "", expected: int | None = None, also: Also = nothing_else
) -> ModelRow:
    """Brings the former model back. Raises ProjectError when there is none, Conflict when another model
    than `expected` is in production now.
    """
    with write(project.engine) as session:
        former = previous_deployment(session)
        if former is None:
            promoted = len({step.model_id for step in deployments(session)}) > 1
            raise ProjectError(
                "expected a formerly deployed model, found none; "
                + (
                    "the first one is deployed again: `fieldloop models promote` brings back any other"
                    if promoted
                    else "nothing has been promoted yet"
                )
            )
        check_weights(project, former)
        _deploy(session, former.id, f"{ROLLBACK}: {reason}" if reason else ROLLBACK, expected, also)
    sync_deployed(project)
    return former


def find_model(project: Project, name: str) -> ModelRow:
    """A model by id or by the beginning of its hash. Raises ProjectError."""
    with read(project.engine) as session:
        known = models(session)
    found = [row for row in known if name == str(row.id) or (len(name) >= 6 and row.sha256.startswith(name))]
    if len(found) != 1:
        listed = ", ".join(f"{row.id} ({row.sha256[:12]})" for row in known)
        raise ProjectError(f"expected one model by id or hash, got {name!r}; there are {listed}")
    return found[0]


def _deploy(session: Session, model_id: int, reason: str, expected: int | None, also: Also) -> None:
    before = deployed(session)
    if deploy(session, model_id, reason, expected):
        also(session, model_id, before.id if before else None)
