"""A YOLO data.yaml: class names and the images of each split, found where the trainer finds them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

from connectors.documents import decoded, parse_yaml
from connectors.errors import DataYamlError
from connectors.files import is_file
from connectors.litter import is_litter

SPLITS = ("train", "val", "test")
SUFFIXES = frozenset({
    ".avif", ".bmp", ".dng", ".heic", ".heif", ".jp2", ".jpeg",
    ".jpg", ".mpo", ".pfm", ".png", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""Of files that the trainer takes for images."""
MOST_LISTED = 10
"""Names in one message."""
_ALSO = {"validation": "val", "valid": "val", "training": "train", "testing": "test"}
"""What others call the splits."""
_KEYS = frozenset([
    *SPLITS, *_ALSO, "path", "names", "nc", "kpt_shape", "flip_idx", "kpt_names", "channels", "download",
    "roboflow", "task", "author", "date", "description", "license", "version", "url", "yaml_file",
])  # fmt: skip
"""Keys that are known, though some say nothing of the images."""


@dataclass(frozen=True, slots=True)
class DataYaml:
    """names: by class id.
    root: where relative places begin.

    places: by split that is named, the folders, lists and images named there.
    empty: splits that are named without a place.
    unread: keys that mean nothing here.
    keypoints: numbers of each label line after its box.
    """

    path: Path
    names: tuple[str, ...]
    root: Path
    places: Mapping[str, tuple[str, ...]]
    empty: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    keypoints: int = 0


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image file that is there.

    folder: where it lies below the folder named, None directly in it.
    """

    path: Path
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class MissingImage:
    """A name in a list, or a link in a folder, that leads nowhere; or a test split that is not there.

    listing: the list, the folder, or the YAML.
    line: from 1; 0 where it is no list.
    """

    listing: Path
    line: int
    name: str


def read_data_yaml(path: Path) -> DataYaml:
    """Raises DataYamlError when there is none, or its classes or splits cannot be used."""
    tree = _load(path)
    places = {split: tuple(_places(tree[split], split, path)) for split in SPLITS if tree.get(split)}
    if not places:
        raise DataYamlError(
            f"{path}: expected 'train', 'val' or 'test', got {', '.join(map(str, tree))}; name a folder"
        )
    return DataYaml(
        path,
        _names(tree, path),
        _root(tree, path, places),
        places,
        tuple(split for split in SPLITS if split in tree and not tree[split]),
        tuple(str(key) for key in tree if key not in _KEYS),
        _keypoints(tree.get("kpt_shape"), path),
    )


def images_of(data: DataYaml, split: str) -> Iterator[ListedImage | MissingImage]:
    """The images of a split in the order named, those of a folder by name; repeats are kept.

    Raises DataYamlError where a place is not there.
    """
    for named in data.places.get(split, ()):
        place = _found(data.root, named) or data.root / named
        if place.is_dir():
            yield from _in_folder(place)
        elif place.suffix.lower() in SUFFIXES and place.is_file():
            yield ListedImage(place)
        elif place.is_file():
            yield from _in_list(place, data.root)
        elif split == "test" and len(data.places) > 1:
            yield MissingImage(data.path, 0, named)  # exporters name a test split where there is none
        else:
            raise DataYamlError(
                f"{data.path}: expected a folder or list for '{split}: {named}', got nothing at {place}; "
                "create it or correct the YAML"
            )


def label_path(image: Path) -> Path:
    """Where the trainer looks for labels: the last folder named images becomes labels, the suffix
    .txt.
    """
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _load(path: Path) -> dict[str, Any]:
    try:
        tree = parse_yaml(decoded(path.read_bytes()))
    except FileNotFoundError:
        raise DataYamlError(f"expected a data.yaml, got no file at {path}; check the path") from None
    except (ValueError, OSError) as error:
        raise DataYamlError(
            f"{path}: expected YAML, got {' '.join(str(error).split())}; mend the file"
        ) from None
    if not isinstance(tree, dict):
        raise DataYamlError(
            f"{path}: expected keys such as train, val and names, got {type(tree).__name__}; "
            "is this a YOLO data.yaml?"
        )
    tree = {_usual(key): value for key, value in tree.items()}
    for other, split in _ALSO.items():
        if tree.get(other):
            tree[split] = tree.get(split) or tree[other]
    return tree


def _usual(key: Any) -> str:
    """The key in small letters where it is then one that is known."""
    text = str(key)
    return text.lower() if text.lower() in _KEYS else text


def _places(named: Any, split: str, path: Path) -> Iterator[str]:
    for entry in named if isinstance(named, list) else [named]:
        if not isinstance(entry, str):
            raise DataYamlError(
                f"{path}: expected a path under '{split}', got {entry!r}; name a folder or a list"
            )
        yield entry


def _names(tree: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    names, count = tree.get("names"), tree.get("nc")
    if names is None and isinstance(count, int):
        raise DataYamlError(
            f"{path}: expected 'names', got only nc: {count}; add the class names in id order"
        )
    if isinstance(names, dict):
        names = _by_id(names, path)
    if not isinstance(names, list) or not names:
        raise DataYamlError(
            f"{path}: expected 'names' as a list or a dict of ids, got {names!r:.200}; list the"
            " detector's classes"
        )
    if wrong := [name for name in names if not _is_name(name)]:
        raise DataYamlError(
            f"{path}: expected class names as text, got {wrong[0]!r:.60}; put quotes around it if it is one:"
            " YAML makes something else of words such as no, yes, on, off and null"
        )
    out = tuple(str(name).strip() for name in names)
    if len(set(out)) != len(out) or not all(out):
        times = Counter(out)
        doubles = _listed([name for name in out if times[name] > 1 or not name])
        raise DataYamlError(f"{path}: expected distinct class names, got {doubles}; rename the doubles")
    if isinstance(count, int) and count != len(out):
        raise DataYamlError(
            f"{path}: expected nc: {len(out)} for its {len(out)} names, got {count}; mend one of them"
        )
    return out


def _by_id(names: Mapping[Any, Any], path: Path) -> list[Any]:
    if {str(key) for key in names} != {str(number) for number in range(len(names))}:
        ids = _listed([str(key) for key in sorted(names, key=str)])
        raise DataYamlError(
            f"{path}: expected names with ids 0..{len(names) - 1}, got {ids}; number the classes from 0"
        )
    by_id = {int(key): name for key, name in names.items()}
    return [by_id[number] for number in range(len(by_id))]


def _is_name(value: Any) -> bool:
    """YAML takes yes, no, on and off for truth, and an empty place for nothing."""
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return False
    return not isinstance(value, float) or isfinite(value)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(f"{name:.60}" or "''" for name in names[:MOST_LISTED]) + more


def _root(tree: Mapping[str, Any], path: Path, places: Mapping[str, tuple[str, ...]]) -> Path:
    """The folder of `path`; the YAML's own where that of another machine is written and all lies here."""
    named = tree.get("path")
    if named is None or named == "":
        return path.parent
    root = path.parent / Path(str(named)).expanduser()
    if not root.is_dir():
        needed = [split for split in places if split != "test"] or [*places]  # exporters name tests at random
        if all(_found(path.parent, place) for split in needed for place in places[split]):
            return path.parent
        raise DataYamlError(
            f"{path}: expected the folder of 'path: {named}', got nothing at {root}; "
            "correct it, or take it out where the images lie beside the YAML"
        )
    return root


def _found(root: Path, named: str) -> Path | None:
    """What a name leads to: from the root; with ../ before it, as the trainer does, from the root for
    exports that were meant to lie elsewhere; or, for a path of another machine, by its last folders.
    """
    if _is_there(root / named):
        return root / named
    path = PurePosixPath(named.replace("\\", "/"))
    if path.parts[:1] == ("..",) and ".." not in path.parts[1:]:
        below = root.joinpath(*path.parts[1:])
        return below if _is_there(below) else None
    if path.is_absolute() or named[1:2] == ":":
        return _by_its_end(root, path)
    return root / path if _is_there(root / path) else None


def _is_there(path: Path) -> bool:
    """False for a name that is longer than names can be."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _by_its_end(root: Path, path: PurePosixPath) -> Path | None:
    """What lies below the root under as many of the last names of the path as possible: two or more,
    or one below a folder called as the root is.
    """
    names = path.parts
    ends = [names[start:] for start in range(len(names) - 1)]
    if len(names) > 1 and names[-2] == root.name:
        ends.append(names[-1:])
    return next(
        (root.joinpath(*end) for end in ends if ".." not in end and _is_there(root.joinpath(*end))), None
    )


def _keypoints(shape: Any, path: Path) -> int:
    if shape is None:
        return 0
    if not (isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, int) and n > 0 for n in shape)):
        raise DataYamlError(
            f"{path}: expected kpt_shape: [points, 2 or 3], got {shape!r:.60}; mend it, or take it out where"
            " labels are boxes alone"
        )
    return int(shape[0] * shape[1])


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, links followed, no folder twice; hidden ones and litter are passed over."""
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not is_litter(name))
        yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))


def _in_folder(folder: Path) -> Iterator[ListedImage | MissingImage]:
    for file in sorted(files_below(folder)):
        if file.suffix.lower() not in SUFFIXES:
            continue
        if not is_file(file):
            yield MissingImage(folder, 0, str(file))  # a link that leads nowhere
        else:
            below = file.parent.relative_to(folder).as_posix()
            yield ListedImage(file, None if below in {".", "images"} else below)


def _in_list(listing: Path, root: Path) -> Iterator[ListedImage | MissingImage]:
    """As the trainer reads it: `./` starts at the list's folder; other relative paths at the root. What
    is not there may be meant by the end of its path.
    """
    text = listing.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if not name:
            continue
        file = (listing.parent if name.startswith("./") else root) / name
        if not is_file(file):
            file = listing.parent / name
        if not is_file(file):
            file = _by_its_end(root, PurePosixPath(name.replace("\\", "/"))) or file
        yield ListedImage(file) if is_file(file) else MissingImage(listing, number, name)
