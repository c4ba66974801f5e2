"""The files of a project's checkpoints: each holds the bytes that the database names.

models/deployed.pt holds those of the deployed one.
"""

from __future__ import annotations

import stat
from functools import lru_cache
from pathlib import Path

from connectors.files import sha256_of_file, write_atomically
from db.engine import read
from db.models import ModelRow, deployed
from loop.base.errors import ProjectError
from loop.project.project import Project

READABLE, WRITABLE = 0o444, 0o022
"""For all; for others than the owner. Whoever changes weights runs code where they are loaded."""
PASSABLE = 0o055


def sync_deployed(project: Project) -> None:
    """Makes models/deployed.pt the deployed model's bytes, whatever a stop left there, for all to
    read, as other programs do, and for its owner alone to write.

    Raises ProjectError where they would have to be copied from a file that was changed.
    """
    with read(project.engine) as session:
        current = deployed(session)
    if current is None:
        return
    target = project.deployed_weights
    if not target.is_file() or sha256_of_file(target) != current.sha256:
        check_weights(project, current)
        write_atomically(target, (project.root / current.path).read_bytes())
    if target.stat().st_mode & (READABLE | WRITABLE) != READABLE:
        target.chmod(0o644)
    if (folder := target.parent.stat().st_mode) & PASSABLE != PASSABLE:
        target.parent.chmod(stat.S_IMODE(folder) | PASSABLE)


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
    return sha256_of_file(path)
