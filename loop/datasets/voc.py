"""Pascal VOC layout: Annotations/*.xml, JPEGImages/, ImageSets/Main/*.txt; or XML beside images, as
labelImg writes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from connectors.data_yaml import SUFFIXES, files_below
from connectors.files import is_file
from loop.base.wording import counted
from loop.datasets.image_files import ImageFiles
from loop.datasets.imported import DatasetError, ImportedDataset, Report
from loop.datasets.named import Annotated, NamedObject, assembled, tell_unlabeled
from loop.datasets.splits import split_of

_SPLITS = ("test", "val", "train", "trainval")


def read_voc(path: Path, max_pixels: int) -> ImportedDataset:
    """path: the folder with Annotations and JPEGImages. Classes are the names met, in alphabetical
    order.

    An image without an annotation has boxes None: nobody labeled it. Corners are taken as written,
    for today's tools count pixels from 0. Where the size that the XML gives is that of the picture
    before its EXIF rotation, the boxes are turned with it. Raises DatasetError when a folder is
    missing or nothing is usable.
    """
    for name in ("Annotations", "JPEGImages"):
        if not (path / name).is_dir():
            raise DatasetError(
                f"expected a VOC folder with {name}/, got none in {path}; name the folder above it"
            )
    report = Report()
    images: dict[str, list[Path]] = defaultdict(list)
    for file in ImageFiles(path / "JPEGImages").all:
        images[file.relative_to(path / "JPEGImages").with_suffix("").as_posix()].append(file)
    labels = {
        file.relative_to(path / "Annotations").with_suffix("").as_posix(): file
        for file in _xml_files(path / "Annotations")
    }
    splits = _listed(path / "ImageSets" / "Main", report) or dict.fromkeys(sorted(images), "train")
    found = []
    for stem, split in splits.items():
        label = labels.get(stem, path / "Annotations" / f"{stem}.xml")
        read = _read(label, report)
        if stem not in images:
            report.add(path / "JPEGImages" / stem, 0, "missing_image", f"left out: no image file for {stem}")
        else:
            image = images[stem][0] if len(images[stem]) == 1 else _meant(label, images[stem], report)
            found.append(Annotated(label, image, split, *read))
    _tell_unlisted(path, [file for stem, file in labels.items() if stem not in splits], report)
    if not any(each.objects for each in found):
        raise DatasetError(
            f"{path}: expected objects in Annotations/*.xml, got none{report.first};"
            " name the folder that holds the labeled images"
        )
    return assembled(found, path, report, max_pixels)


def read_voc_beside(path: Path, max_pixels: int) -> ImportedDataset:
    """path: a folder with VOC files anywhere below it, their images below it too, as labelImg writes
    them. The split is the one that a folder's name says, otherwise train.

    An image without an XML is not taken. Raises DatasetError when nothing is usable.
    """
    report = Report()
    files = ImageFiles(path)
    found = []
    for label in _xml_files(path):
        root = _root(label, report)
        if root is None or root.tag != "annotation":
            continue
        image = _beside(label, report) or files.find(
            _text(root, "filename") or f"{label.stem}.jpg", near=label
        )
        if image is None:
            report.add(label, 0, "missing_image", f"left out: no image file for {label.stem}")
            continue
        below = label.relative_to(path)
        found.append(Annotated(label, image, split_of(below.parent.as_posix()), *_contents(root)))
    tell_unlabeled(path, files, found, report)
    return assembled(found, path, report, max_pixels)


def _meant(label: Path, images: Sequence[Path], report: Report) -> Path:
    """Of images that share a name but for its end, the one that the XML names, else the first; the
    others are told.
    """
    root = _root(label, Report()) if label.is_file() else None
    named = "" if root is None else PurePosixPath(_text(root, "filename").replace("\\", "/")).name
    image = next((one for one in images if one.name == named), images[0])
    others = ", ".join(one.name for one in images if one != image)
    report.add(image, 0, "shared", f"taken for {label.name}; of the same name and not taken: {others}", 0)
    return image


def _xml_files(folder: Path) -> Iterable[Path]:
    return (file for file in files_below(folder) if file.suffix.lower() == ".xml")


def _beside(label: Path, report: Report) -> Path | None:
    names = (label.with_suffix(suffix) for suffix in sorted(SUFFIXES))
    found = [
        file for name in names for file in (name, name.with_suffix(name.suffix.upper())) if is_file(file)
    ]
    return _meant(label, found, report) if len(found) > 1 else next(iter(found), None)


def _listed(folder: Path, report: Report) -> dict[str, str]:
    """Stem to split by the lists of a folder; a stem in two of them stays with evaluation."""
    out: dict[str, str] = {}
    usual = [file for split in _SPLITS if (file := folder / f"{split}.txt").is_file()]
    for listing in usual or sorted(folder.glob("*.txt")):
        split = split_of(listing.stem)
        for number, line in enumerate(
            listing.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1
        ):
            words = line.split()
            if not words:
                continue
            path = PurePosixPath(words[0].replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or str(path) == ".":
                report.add(
                    listing, number, "missing_image", f"left out: expected a plain name, got {words[0]!r}"
                )
                continue
            stem = str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else str(path)
            owner = out.setdefault(stem, split)
            if split == "train" and owner != "train" and listing.stem != "trainval":
                report.add(
                    listing, number, "split", f"{stem} is listed in train and {owner}: kept in {owner} only"
                )
    return out


def _tell_unlisted(path: Path, labels: Sequence[Path], report: Report) -> None:
    if labels:
        report.add(
            path,
            0,
            "unclaimed",
            f"{counted(len(labels), 'annotation belongs', 'annotations belong')} to no image that is listed"
            f" or there, such as {labels[0].name};"
            " add them to ImageSets/Main, or put their images into JPEGImages",
            len(labels),
        )


def _root(path: Path, report: Report) -> Element | None:
    try:
        root: Element = fromstring(path.read_bytes())
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        report.add(
            path,
            0,
            "label",
            f"annotation left out, it cannot be read: {error}; the image counts as unlabeled",
        )
        return None
    return root


def _read(path: Path, report: Report) -> tuple[tuple[int, int] | None, list[NamedObject] | None]:
    """Size and objects of one annotation file, None when there is none that can be read."""
    if not path.is_file():
        report.add(path, 0, "label", "no annotation: the image counts as unlabeled", 0)
        return None, None
    root = _root(path, report)
    return (None, None) if root is None else _contents(root)


def _contents(root: Element) -> tuple[tuple[int, int] | None, list[NamedObject]]:
    objects = [
        NamedObject(
            number,
            _text(one, "name"),
            _corners(one),
            "expected xmin, ymin, xmax, ymax as numbers",
            (_says(one, "occluded"), _says(one, "truncated")),
        )
        for number, one in enumerate(root.findall("object"), start=1)
    ]
    return _size(root), objects


def _text(one: Element, name: str) -> str:
    return (one.findtext(name) or "").strip()


def _says(one: Element, name: str) -> bool:
    """Whether a flag of an object is set; some tools write how much of it is hidden."""
    return _text(one, name).lower() not in {"", "0", "0.0", "false", "unspecified"}


def _size(root: Element) -> tuple[int, int] | None:
    """None where it is not said, or as 0."""
    try:
        width, height = (int(float(_text(root, f"size/{side}"))) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width and height else None


def _corners(one: Element) -> list[float] | None:
    try:
        return [float(one.findtext(f"bndbox/{k}") or "") for k in ("xmin", "ymin", "xmax", "ymax")]
    except ValueError:
        return None
