"""Which model is deployed: the database says so, models/deployed.pt is swapped to match."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from db.engine import read, write
from db.models import ModelRow, deploy, deployed, model, models, previous_deployment
from loop.base.errors import ProjectError
from loop.ingest.ingest import write_atomically
from loop.project.project import Project


def promote(project: Project, model_id: int, reason: str, expected: int | None = None) -> ModelRow:
    """Puts a model into production. Raises Conflict when another model than `expected` is there now."""
    with write(project.engine) as session:
        chosen = model(session, model_id)
        check_weights(project, chosen)
        deploy(session, model_id, reason, expected)
    sync_deployed(project)
    return chosen


def rollback(project: Project) -> ModelRow:
    """Brings the former model back. Raises ProjectError when there is none."""
    with write(project.engine) as session:
        former = previous_deployment(session)
        if former is None:
            raise ProjectError(
                "expected a formerly deployed model, found none; nothing has been promoted yet"
            )
        check_weights(project, former)
        deploy(session, former.id, "rollback")
    sync_deployed(project)
    return former


def sync_deployed(project: Project) -> None:
    """Makes models/deployed.pt the deployed model's bytes, whatever a stop left there.

    Raises ProjectError where they would have to be copied from a file that was changed.
    """
    with read(project.engine) as session:
        current = deployed(session)
    if current is None:
        return
    target = project.deployed_weights
    if not target.is_file() or file_sha256(target) != current.sha256:
        check_weights(project, current)
        write_atomically(target, (project.root / current.path).read_bytes())


def find_model(project: Project, name: str) -> ModelRow:
    """A model by id or by the beginning of its hash. Raises ProjectError."""
    with read(project.engine) as session:
        known = models(session)
    found = [row for row in known if name == str(row.id) or (len(name) >= 6 and row.sha256.startswith(name))]
    if len(found) != 1:
        listed = ", ".join(f"{row.id} ({row.sha256[:12]})" for row in known)
        raise ProjectError(f"expected one model by id or hash, got {name!r}; there are {listed}")
    return found[0]


def check_weights(project: Project, row: ModelRow) -> None:
    """Raises ProjectError when the checkpoint's file is missing or changed."""
    path = project.root / row.path
    if not path.is_file() or _known_sha256(path) != row.sha256:
        raise ProjectError(
            f"expected the weights of model {row.id} in {path}, found them missing or changed; copy them back"
        )


def _known_sha256(path: Path) -> str:
    """Reads a file again only where its size or a time changed."""
    now = path.stat()
    return _sha256_at(path, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@lru_cache(maxsize=64)
def _sha256_at(path: Path, *state: int) -> str:
    del state
    return file_sha256(path)


def file_sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
