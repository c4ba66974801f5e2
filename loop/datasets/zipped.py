"""A dataset in a zip, unpacked for as long as it is read."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from connectors.litter import is_litter
from loop.datasets.imported import DatasetError


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder that a zip holds, in a folder that goes away again; any other path as it is.

    Names that lead out of the zip are not followed; backslashes of Windows part folders. A
    DatasetError of what is done with the folder names the zip in its place. Raises DatasetError where
    the zip is damaged, locked, or larger than the space that is left.
    """
    if path.suffix.lower() != ".zip" or not path.is_file():
        yield path
        return
    with TemporaryDirectory(prefix="fieldloop-") as folder:
        _unpack(path, Path(folder))
        try:
            yield _only_folder(Path(folder))
        except DatasetError as error:
            raise DatasetError(str(error).replace(folder, str(path))) from error


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
            free = shutil.disk_usage(folder).free
            if size > free:
                raise DatasetError(
                    f"{path}: expected at most {free:,} bytes in it, for so many are free in {folder.parent},"
                    f" got {size:,}; unpack it yourself and name the folder, or set TMPDIR"
                )
            for info in archive.infolist():
                info.filename = info.filename.replace("\\", "/")
                archive.extract(info, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError) as error:
        raise DatasetError(
            f"{path}: expected a zip that can be unpacked, got: {error}; export it again, or unpack it"
            " yourself and name the folder"
        ) from error


def _only_folder(folder: Path) -> Path:
    """The folder in which all lies, where a zip has one above its files."""
    inside = [each for each in folder.iterdir() if not (each.name.startswith(".") or is_litter(each.name))]
    return _only_folder(inside[0]) if len(inside) == 1 and inside[0].is_dir() else folder
