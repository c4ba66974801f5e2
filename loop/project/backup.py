"""One file that holds a whole project, taken while it is used; and the project made of it again.

It is a tar of the project folder. Databases in it are copies of one moment, taken first: files are only ever
added, each whole, so that those copied later hold all that these name. `backup.json`, its
last member, says what every file must be like.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from connectors.files import draft_of, make_folder, move_durably, sha256_of_file
from connectors.ports import Progress
from db.engine import database_file, schema_head
from db.errors import StateError
from db.saved import counts, files_named, forget_the_present, save_copy
from db.tables import utcnow
from db.trouble import damage
from loop.base.errors import ProjectError
from loop.base.moments import SECOND, shown
from loop.base.wording import counted
from loop.project.project import CONFIG_NAME, Project

MANIFEST = "backup.json"
DATABASE = "fieldloop.db"
STUDIO = "labelstudio/label_studio.sqlite3"
MADE_AGAIN = frozenset({"index", "pages", "logs", "thumbs", "folds"})
OF_THE_PRESENT = frozenset({"labelstudio/server.json", "labelstudio/start.lock"})
SHOWN = 3


@dataclass(frozen=True)
class Backup:
    """file: the backup.
    made_at: UTC; what changed later is not in it.
    counts: rows of its database by what they are.
    """

    file: Path
    made_at: datetime
    files: int
    bytes: int
    counts: dict[str, int]

    def lines(self, timezone: str) -> list[str]:
        """For people, the time in this zone."""
        held = ", ".join(counted(count, what.removesuffix("s")) for what, count in self.counts.items())
        return [
            f"{self.file}: {counted(self.files, 'file')}, {self.bytes / 1e6:.1f} MB, checked; {held}",
            f"state of {shown(self.made_at, timezone, SECOND)}",
        ]


def back_up(project: Project, target: Path, progress: Progress) -> Backup:
    """Writes the backup to the file `target`, and reads it again to check it.

    Raises ProjectError where the database is none of SQLite's, `target` exists or lies within the
    project, or stored files are missing; StateError where the database is damaged; OSError.
    """
    database = database_file(project.engine)
    if database != project.root / DATABASE:
        raise ProjectError(
            f"expected the project's database in {project.root / DATABASE}, got another by database_url; back"
            " that up by its own means first (pg_dump), then the folder with tar: docs/howto/backup.md"
        )
    target = target.expanduser().absolute()
    if target.exists() or target.is_relative_to(project.root):
        raise ProjectError(
            f"expected a new file outside {project.root}, got {target}; give another name, such as one"
            " with the date in it"
        )
    make_folder(target.parent)
    with tempfile.TemporaryDirectory(prefix=".fieldloop-backup-", dir=target.parent) as folder:
        made_at = utcnow()
        progress(0, 0, "the database")
        copies = {DATABASE: Path(folder) / "project.db"}
        save_copy(database, copies[DATABASE])
        if (project.root / STUDIO).is_file():
            copies[STUDIO] = Path(folder) / "studio.db"
            save_copy(project.root / STUDIO, copies[STUDIO])
        known = counts(copies[DATABASE])
        with draft_of(target, private=True) as draft:
            files = _write(project.root, draft, copies, made_at, known, progress)
            _check(draft, files, progress)
            _check_named(copies[DATABASE], files)
    return Backup(target, made_at, len(files), target.stat().st_size, known)


def restore(file: Path, root: Path, progress: Progress) -> Backup:
    """Makes the project in `root` from a backup; nothing is written where the backup is damaged.

    The next pull reads all of Label Studio's answers again.
    Raises ProjectError where `root` is no new or empty folder, or the file no sound backup; OSError.
    """
    root = root.expanduser().absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ProjectError(
            f"expected a new or empty folder, got {root}, which holds something; move that aside: a restore"
            " replaces nothing"
        )
    make_folder(root.parent)
    draft = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        manifest = _extract(file, draft, progress)
        database = draft / DATABASE
        if found := damage(database):
            raise ProjectError(f"{file}: expected a sound database in it, got: {found}; take another backup")
        forget_the_present(database)
        (draft / MANIFEST).unlink()
        draft.chmod(0o755)
        move_durably(draft, root)
    except (tarfile.TarError, StateError, sqlite3.DatabaseError, KeyError, TypeError, ValueError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise ProjectError(f"{file}: expected a whole backup of fieldloop's, got: {error!r}") from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    made_at = datetime.fromisoformat(manifest["made_at"])
    return Backup(file, made_at, len(manifest["files"]), file.stat().st_size, dict(manifest["counts"]))


def _write(
    root: Path,
    draft: Path,
    copies: dict[str, Path],
    made_at: datetime,
    known: dict[str, int],
    progress: Progress,
) -> dict[str, tuple[int, str]]:
    """(bytes, sha256) of every file, by its name in the archive."""
    files: dict[str, tuple[int, str]] = {}
    with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in copies.items():
            files[name] = _add(archive, name, path, files)
        for name, path in _files_of(root, copies.keys()):
            with suppress(FileNotFoundError):  # a draft that was finished meanwhile
                files[name] = _add(archive, name, path, files)
            progress(len(files), 0, "files")
        manifest = {
            "made_at": made_at.isoformat(),
            "version": version("fieldloop"),
            "schema": schema_head(),
            "counts": known,
            "files": files,
        }
        data = json.dumps(manifest).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(data), 0o600
        archive.addfile(info, BytesIO(data))
    return files


def _files_of(root: Path, taken: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Everything below the project but what is copied already, what is made again, and drafts."""
    yield CONFIG_NAME, root / CONFIG_NAME
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        if here == root:
            folders[:] = sorted(name for name in folders if name not in MADE_AGAIN)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(names):
            path = here / name
            shown = path.relative_to(root).as_posix()
            draft = name.startswith(".") and name.endswith((".part", ".pulse"))
            beside = name.endswith(("-wal", "-shm", "-journal"))
            if draft or beside or shown in (*taken, *OF_THE_PRESENT, CONFIG_NAME) or not path.is_file():
                continue
            yield shown, path


class _Hashing:
    """A file whose content is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def _add(
    archive: tarfile.TarFile, name: str, path: Path, files: Mapping[str, tuple[int, str]]
) -> tuple[int, str]:
    """An image that a dataset shares with the store is a link in the archive, too."""
    with path.open("rb") as opened:
        info = archive.gettarinfo(arcname=name, fileobj=opened)
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        if info.islnk():
            archive.addfile(info)
            return files[info.linkname]
        reading = _Hashing(opened)
        archive.addfile(info, reading)
    return info.size, reading.digest.hexdigest()


def _check(draft: Path, files: dict[str, tuple[int, str]], progress: Progress) -> None:
    """Raises ProjectError where what lies on the disk is not what was read."""
    with tarfile.open(draft) as archive:
        for done, member in enumerate(archive, 1):
            progress(done, len(files) + 1, "files checked")
            if member.name == MANIFEST:
                continue
            content = archive.extractfile(member)
            found = hashlib.file_digest(content, "sha256").hexdigest() if content else ""  # type: ignore[arg-type]
            if found != files[member.name][1]:
                raise ProjectError(
                    f"{member.name}: expected what was copied, got other bytes; see whether the disk is"
                    " sound, and take the backup again"
                )


def _check_named(database: Path, files: dict[str, tuple[int, str]]) -> None:
    """Raises ProjectError where the database names files that are not there, or are of another size."""
    lost = [
        path
        for path, size in files_named(database)
        if path not in files or (size is not None and files[path][0] != size)
    ]
    if lost:
        shown = ", ".join(lost[:SHOWN])
        raise ProjectError(
            f"expected all files that the database names, found {len(lost)} missing or cut short, such as"
            f" {shown}; copy them back (a round fetches what its source still has), then take the"
            " backup again"
        )


def _extract(file: Path, draft: Path, progress: Progress) -> dict[str, Any]:
    with tarfile.open(file) as archive:
        for done, member in enumerate(archive, 1):
            archive.extract(member, draft, filter="data")
            progress(done, 0, "files")
    if not (draft / MANIFEST).is_file():
        raise ProjectError(f"{file}: expected {MANIFEST} at its end, got none; take another backup")
    manifest: dict[str, Any] = json.loads((draft / MANIFEST).read_text(encoding="utf-8"))
    for done, (name, (size, sha256)) in enumerate(manifest["files"].items(), 1):
        path = draft / name
        if not path.is_file() or path.stat().st_size != size or sha256_of_file(path) != sha256:
            raise ProjectError(f"{file}: expected {name} as it was saved, got another; take another backup")
        progress(done, len(manifest["files"]), "files checked")
    return manifest
