"""Label files of the YOLO layout: where they lie, what their lines say, and those of no image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connectors.data_yaml import SUFFIXES, files_below, label_path
from connectors.documents import decoded
from connectors.files import is_file
from loop.datasets.imported import SLACK, DatasetError, LabelReport, PixelBox, Report, checked_box

NOT_READ = frozenset([".gif", ".jfif", ".jpe", ".jxl", ".pgm", ".pnm", ".ppm", ".tga"])
"""Of pictures that the trainer does not take for images."""
BOX_NUMBERS = 5
BESIDE = 0.25
"""How far beside its box a keypoint may lie, in sides of the box."""
_PREDICTIONS = {
    6: "; six are a prediction with its confidence",
    7: "; seven are a prediction with its confidence and track",
}
MAX_BYTES = 5_000_000
"""Of one label file: 300,000 boxes, or 300 outlines of a thousand points."""


@dataclass(slots=True)
class LabelFolders:
    """Finds the label files of images; each folder is listed once.

    claimed: what was found, with the images that it was found for.
    """

    claimed: dict[Path, set[Path]] = field(default_factory=lambda: defaultdict(set))
    _listed: dict[Path, dict[str, Path]] = field(default_factory=dict)

    def of(self, image: Path) -> Path | None:
        """Where the trainer looks; otherwise in a folder Labels, beside the image, or under the
        image's whole name before .txt. None where there is none.
        """
        for folder in self._places(image):
            names = self._names(folder)
            for name in (f"{image.stem}.txt", f"{image.name}.txt"):
                if found := names.get(name) or names.get(name.lower()):
                    self.claimed[found].add(image)
                    return found
        return None

    def _places(self, image: Path) -> Iterator[Path]:
        yield label_path(image).parent
        parts = image.parts
        for place in range(len(parts) - 2, 0, -1):
            if parts[place].lower() == "images":
                above = Path(*parts[:place])
                for name in ("labels", "Labels", "LABELS"):
                    if (above / name).is_dir():
                        yield (above / name).joinpath(*parts[place + 1 : -1])
        yield image.parent

    def _names(self, folder: Path) -> dict[str, Path]:
        """The text files of a folder, each by its name and by that in small letters."""
        if folder not in self._listed:
            try:
                files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".txt")
            except OSError:
                files = []
            small = {file.name.lower(): file for file in reversed(files)}
            self._listed[folder] = small | {file.name: file for file in files}
        return self._listed[folder]


def read_labels(
    path: Path, classes: int, size: tuple[int, int], keypoints: int, report: Report
) -> list[PixelBox] | None:
    """The boxes of a label file, [] for an empty one, None where nothing of it can be read.

    size: (width, height) px of the upright image.
    keypoints: numbers of each line after its box, 0 where the layout has none.
    """
    try:
        size_in_bytes = path.stat().st_size
        text = _decoded(path.read_bytes()) if size_in_bytes <= MAX_BYTES else None
    except (OSError, UnicodeDecodeError) as error:
        report.add(
            path,
            0,
            "label",
            f"left out, it cannot be read: {error}; save it as UTF-8. Its image counts as unlabeled",
        )
        return None
    if text is None:
        report.add(
            path,
            0,
            "label",
            f"left out: expected at most {MAX_BYTES:,} bytes of labels for one image, got"
            f" {size_in_bytes:,}; see what wrote it. Its image counts as unlabeled",
        )
        return None
    label = LabelReport(report, path)
    found = [
        (number, box)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and (box := _box(line, number, classes, size, keypoints, label)) is not None
    ]
    return label.known(found)


def check_counted_from_0(names: Sequence[str], where: Path, report: Report) -> None:
    """Raises DatasetError where the ids in label files are those of classes counted from 1."""
    if len(names) in report.ids and 0 not in report.ids:
        raise DatasetError(
            f"{where}: expected class ids 0..{len(names) - 1} in the label files, got {len(names)} and no 0;"
            " they seem to be counted from 1: subtract 1 from each, or put a name for 0 before the others"
        )


def tell_shared(folders: LabelFolders, report: Report) -> None:
    """Reports label files of several images, such as a.txt of a.jpg and of a.png."""
    for label, images in folders.claimed.items():
        if len(images) > 1:
            shown = ", ".join(sorted(image.name for image in images))
            report.add(
                label,
                0,
                "shared",
                f"it is the label of {len(images)} images, {shown}; where they show different things, give"
                " each its own name",
                0,
            )


def tell_unclaimed(root: Path, folders: LabelFolders, report: Report) -> set[Path]:
    """Reports label files below root that belong to no image of the dataset; the folders of those
    that have no image at all.

    A file whose image is there, in folders of which others are taken, is left out by a list: no
    split names it, and that is meant.
    """
    taken = {file.parent for file in folders.claimed}
    orphans: list[Path] = []
    unnamed: list[Path] = []
    unread: list[Path] = []
    for file in files_below(root):
        if file.suffix.lower() != ".txt" or file in folders.claimed or not looks_like_labels(file):
            continue
        if not _image_of(file, SUFFIXES):
            picture = _image_of(file, NOT_READ)
            unread += [picture] if picture else []
            orphans += [] if picture else [file]
        elif file.parent not in taken:
            unnamed.append(file)
    if unread:
        report.add(
            unread[0],
            0,
            "image",
            f"{len(unread)} labeled pictures such as this one are of a kind that is not read; convert them to"
            " JPEG or PNG",
            len(unread),
        )
    if orphans:
        report.add(
            orphans[0],
            0,
            "unclaimed",
            f"{len(orphans)} label files such as this one have no image of their name; put their images"
            " there, under the same names",
            len(orphans),
        )
    if unnamed:
        report.add(
            unnamed[0].parent,
            0,
            "unclaimed",
            f"{len(unnamed)} labeled images whose labels lie here are in no split; name their folder in the"
            " data.yaml, or each image in the list of a split",
            len(unnamed),
        )
    return {file.parent for file in orphans}


def looks_like_labels(path: Path) -> bool:
    """Whether the first line is a class and at least four numbers."""
    try:
        with path.open("rb") as file:
            text = _decoded(file.read(4096))
    except (OSError, UnicodeDecodeError):
        return False
    line = next((line.split() for line in text.replace(",", " ").splitlines() if line.strip()), [])
    return len(line) >= BOX_NUMBERS and all(_number(word) is not None for word in line[:BOX_NUMBERS])


def _image_of(label: Path, suffixes: Iterable[str]) -> Path | None:
    """The picture with one of these endings that a label file would be of."""
    parts = list(label.parts)
    places = [label.parent]
    for place, part in enumerate(parts[:-1]):
        if part.lower() == "labels":
            places += [Path(*parts[:place], name, *parts[place + 1 : -1]) for name in ("images", "Images")]
    wanted = [label.stem + end for suffix in sorted(suffixes) for end in (suffix, suffix.upper())]
    if Path(label.stem).suffix.lower() in suffixes:
        wanted.append(label.stem)
    files = (place / name for place in places if place.is_dir() for name in wanted)
    return next((file for file in files if is_file(file)), None)


def _decoded(data: bytes) -> str:
    text = decoded(data)
    if "\0" in text:
        raise UnicodeDecodeError("utf-8", data, 0, len(data), "it holds zero bytes")
    return text


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _box(
    line: str, number: int, classes: int, size: tuple[int, int], keypoints: int, label: LabelReport
) -> PixelBox | None:
    def say(code: str, text: str) -> None:
        label.add(number, code, text)

    values = [value for word in line.split() if (value := _number(word)) is not None]
    if len(values) != len(line.split()):
        say("number", f"box left out: expected numbers, got {line.strip()[:80]!r}")
        return None
    if values and values[0].is_integer():
        label.report.ids.add(int(values[0]))
    if not (values and values[0].is_integer() and 0 <= values[0] < classes):
        got = f"{values[0]:g}" if values else "none"
        say("class", f"box left out: expected a class id 0..{classes - 1}, got {got}")
        return None
    corners = _corners(values[1:], keypoints)
    if corners is None:
        hint = _PREDICTIONS.get(len(values), "")
        say("label", f"box left out: expected class x y w h or a polygon, got {len(values)} numbers{hint}")
        return None
    width, height = size
    scaled = [corners[0] * width, corners[1] * height, corners[2] * width, corners[3] * height]
    return checked_box(int(values[0]), scaled, size, say)


def _corners(values: list[float], keypoints: int) -> list[float] | None:
    """Of x y w h, with keypoints after it or none; or around a polygon."""
    if len(values) == 4 or (keypoints and len(values) == 4 + keypoints) or _has_visible_points(values):
        return _around_middle(values)
    if keypoints or len(values) < 6 or len(values) % 2 or _has_track(values):
        return None
    return [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]


def _around_middle(values: Sequence[float]) -> list[float]:
    x, y, w, h = values[:4]
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def _has_visible_points(values: Sequence[float]) -> bool:
    """Whether a box within the picture is followed by keypoints x y v in it. v is 0, 1 or 2; points
    with 0 are nowhere.

    Polygons along two sides of a picture have such numbers at each third place as well.
    """
    rest = values[4:]
    if len(rest) < 6 or len(rest) % 3 or not all(v in {0.0, 1.0, 2.0} for v in rest[2::3]):
        return False
    left, top, right, bottom = _around_middle(values)
    if not _within(left, top, right, bottom):
        return False
    across, down = BESIDE * (right - left), BESIDE * (bottom - top)
    points = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    return all(
        (v == 0 and x == y == 0)
        or (left - across <= x <= right + across and top - down <= y <= bottom + down)
        for x, y, v in points
    )


def _has_track(values: Sequence[float]) -> bool:
    """Whether a box within the picture is followed by a confidence and the number of a track, as
    trackers write them; a triangle that ends on the lower edge may look the same.
    """
    return len(values) == 6 and values[5].is_integer() and _within(*_around_middle(values))


def _within(left: float, top: float, right: float, bottom: float) -> bool:
    return -SLACK <= left < right <= 1 + SLACK and -SLACK <= top < bottom <= 1 + SLACK
