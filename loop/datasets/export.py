"""YOLO layout on disk, written whole or not at all, and checked by us before a trainer sees it.

A trainer drops an image with a bad label in silence; `validate_export` names it instead.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from connectors.data_yaml import SPLITS, read_data_yaml
from connectors.errors import DataYamlError, ImageRejected
from connectors.files import move_durably, sha256_of_file
from connectors.images import content_hash, decode
from loop.datasets.freeze import Entry, Manifest, check_trainable
from loop.datasets.imported import SMALLEST_SIDE, DatasetError, PixelBox


def export_yolo(manifest: Manifest, store: Path, out: Path) -> Path:
    """Writes the dataset to the folder `out` and returns its data.yaml.

    store: the folder below which the entries' paths lie.
    Images are named by content hash, hard-linked where possible; train.txt repeats a line per
    repeat. A folder that already holds this very manifest is used as it is.
    Raises DatasetError when the dataset cannot be trained on, a stored file is gone or changed, or
    `out` holds something else.
    """
    check_trainable(manifest)
    if out.exists():
        return _existing(manifest, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _write(manifest, store, draft)
        draft.chmod(0o755)
        move_durably(draft, out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return out / "data.yaml"


def validate_export(out: Path) -> list[str]:
    """Everything wrong with an exported dataset, empty when it can be trained on; every image is
    decoded.
    """
    try:
        data = read_data_yaml(out / "data.yaml")
    except DataYamlError as error:
        return [f"expected an exported dataset in {out}, got: {error}; export again"]
    listed = {split: _lines(out / f"{split}.txt") for split in data.places}
    problems = [
        f"{split}.txt: expected images, got none" for split in ("train", "val") if not listed.get(split)
    ]
    problems += _overlaps(listed)
    for split, lines in listed.items():
        for line in dict.fromkeys(lines):
            problems += _image_problems(out, line, len(data.names))
        if (
            split == "train"
            and lines
            and not any(_label_file(out, line).stat().st_size for line in _there(out, lines))
        ):
            problems.append("train.txt: expected boxes, got none in any label file")
    return problems


def listed_images(out: Path, split: str) -> list[Path]:
    """The images of a split of an exported dataset, each once."""
    return [out / line for line in dict.fromkeys(_lines(out / f"{split}.txt"))]


def label_line(box: PixelBox, width: int, height: int) -> str:
    """class x y w h, normalized; 8 decimals keep a thousandth of a pixel in any image."""
    class_id, x1, y1, x2, y2 = box
    values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join([str(class_id), *(f"{min(max(v, 0.0), 1.0):.8f}" for v in values)])


def _existing(manifest: Manifest, out: Path) -> Path:
    held = out / "manifest.json"
    if held.is_file() and held.read_text(encoding="utf-8") == manifest.to_json():
        return out / "data.yaml"
    raise DatasetError(f"expected {out} to be free, it holds something else; remove it or export elsewhere")


def _write(manifest: Manifest, store: Path, draft: Path) -> None:
    lines: dict[str, list[str]] = {}
    for entry in manifest.entries:
        name = f"{entry.content_hash}{PurePosixPath(entry.path).suffix.lower()}"
        _place_image(_stored(entry, store), draft / "images" / entry.split / name)
        labels = "".join(f"{label_line(box, entry.width, entry.height)}\n" for box in entry.boxes)
        _write_text(draft / "labels" / entry.split / f"{entry.content_hash}.txt", labels)
        lines.setdefault(entry.split, []).extend([f"./images/{entry.split}/{name}"] * entry.repeats)
    for split, names in lines.items():
        _write_text(draft / f"{split}.txt", "\n".join(names) + "\n")
    _write_text(draft / "manifest.json", manifest.to_json())
    _write_text(draft / "data.yaml", _data_yaml(manifest, [s for s in SPLITS if s in lines]))


def _data_yaml(manifest: Manifest, splits: list[str]) -> str:
    tree: dict[str, Any] = {split: f"{split}.txt" for split in splits}
    tree["names"] = dict(enumerate(manifest.classes))
    head = f"# dataset {manifest.sha256}\n"
    return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _stored(entry: Entry, store: Path) -> Path:
    relative = PurePosixPath(entry.path)
    if relative.is_absolute() or ".." in relative.parts:
        raise DatasetError(f"frame {entry.frame}: expected a path below the store, got {entry.path!r}")
    file = store / relative
    if not file.is_file():
        raise DatasetError(
            f"frame {entry.frame}: expected its image at {file}, got nothing; restore the file"
        )
    found = sha256_of_file(file)
    if found != entry.content_hash:
        raise DatasetError(
            f"frame {entry.frame}: expected content {entry.content_hash} in {file}, got {found}; restore the"
            " file"
        )
    return file


def _place_image(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if _left_alone(source):
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)


def _left_alone(source: Path) -> bool:
    """The trainer rewrites, in place, a JPEG that does not end in its end marker: never through a
    link.
    """
    with source.open("rb") as file:
        start = file.read(2)
        file.seek(-2, os.SEEK_END)
        return start != b"\xff\xd8" or file.read(2) == b"\xff\xd9"


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _overlaps(listed: dict[str, list[str]]) -> Iterator[str]:
    owner: dict[str, str] = {}
    for split, lines in listed.items():
        for line in dict.fromkeys(lines):
            first = owner.setdefault(PurePosixPath(line).stem, split)
            if first != split:
                yield f"{line}: stands in {first} and in {split}; export again"


def _there(out: Path, lines: list[str]) -> list[str]:
    return [line for line in lines if _label_file(out, line).is_file()]


def _label_file(out: Path, line: str) -> Path:
    return out / "labels" / PurePosixPath(line).relative_to("images").with_suffix(".txt")


def _image_problems(out: Path, line: str, classes: int) -> list[str]:
    file, labels = out / line, _label_file(out, line)
    if not file.is_file():
        return [f"{line}: no such image"]
    problems = []
    data = file.read_bytes()
    if content_hash(data) != file.stem:
        problems.append(f"{line}: its content is not what its name says")
    try:
        shape = decode(data).shape
        if min(shape[:2]) < SMALLEST_SIDE:
            problems.append(f"{line}: expected at least {SMALLEST_SIDE} px a side, got {shape[1]}x{shape[0]}")
    except ImageRejected as error:
        problems.append(f"{line}: {error}")
    if not labels.is_file():
        return [*problems, f"{line}: no label file {labels.relative_to(out)}"]
    return problems + _label_problems(labels, classes, out)


def _label_problems(path: Path, classes: int, out: Path) -> list[str]:
    problems, rows = [], path.read_text(encoding="utf-8").splitlines()
    for number, row in enumerate(rows, start=1):
        wrong = _row_problem(row, classes)
        if wrong:
            problems.append(f"{path.relative_to(out)}:{number}: {wrong}")
    if len(set(rows)) != len(rows):
        problems.append(f"{path.relative_to(out)}: the same box twice")
    return problems


def _row_problem(row: str, classes: int) -> str:
    try:
        class_id, *xywh = (float(word) for word in row.split())
    except ValueError:
        return f"expected five numbers, got {row[:80]!r}"
    if len(xywh) != 4 or not all(isfinite(v) for v in xywh):
        return f"expected class x y w h, got {row[:80]!r}"
    if not (class_id.is_integer() and 0 <= class_id < classes):
        return f"expected a class id 0..{classes - 1}, got {class_id:g}"
    if min(xywh) < 0 or max(xywh) > 1:
        return f"expected values in 0..1, got {row[:80]!r}"
    return "" if min(xywh[2:]) > 0 else "the box has no area"
