"""Files that outlive a stop of the process or the machine: whole or not there, and on disk.

Everybody who keeps files writes them with this, the database as well.
It needs nothing but the standard library.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

NOT_SYNCED = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP}
"""What some file systems answer when a folder is to be synced; its files are synced all the same."""
SYNCED_AT_ONCE = 16


def write_atomically(path: Path, data: bytes | str, *, private: bool = False) -> None:
    """Makes `path` a file of this content, whatever lay there.

    data: text is written as UTF-8, its line ends as they are.
    private: for its owner alone (mode 0600); otherwise the umask decides.
    Missing folders are made.
    Raises OSError, and then nothing is torn.
    """
    with draft_of(path, private=private) as draft:
        draft.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def draft_of(path: Path, *, private: bool = False) -> Iterator[Path]:
    """An empty file beside `path` to write to.

    It is moved to `path` at the end of the block, and removed where the block raises. An OSError names
    `path` where it names no file, as that of a full disk does not.
    For code that writes a file by its name; else as `write_atomically`.
    """
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
    try:
        yield draft
        move_durably(draft, path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def move_durably(source: Path, target: Path) -> None:
    """Moves a file, or a folder with all that lies in it, to `target`. Raises OSError.

    A file that lies at `target` is replaced.
    """
    if source.is_dir():
        with ThreadPoolExecutor(SYNCED_AT_ONCE) as pool:  # a disk writes at once what is asked for at once
            list(pool.map(_sync, [source, *source.rglob("*")]))
    else:
        _sync(source)
    source.replace(target)
    _sync(target.parent)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, unless they are there. Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for a name that is longer than names can be."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def sha256_of_file(path: Path) -> str:
    """In hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in NOT_SYNCED or not path.is_dir():
            raise
