"""Pascal VOC layout: Annotations/*.xml, JPEGImages/, ImageSets/Main/*.txt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from loop.datasets.imported import (
    DatasetError,
    ImportedDataset,
    ImportedImage,
    PixelBox,
    Report,
    checked_box,
    image_size,
    without_duplicates,
)

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True, slots=True)
class _Object:
    number: int
    name: str
    corners: list[float] | None


def read_voc(path: Path, max_pixels: int) -> ImportedDataset:
    """path: the folder with Annotations and JPEGImages. Classes are the names met, in alphabetical
    order.

    An image without an annotation has boxes None: nobody labeled it. Corners are taken as written,
    for today's tools count pixels from 0. Raises DatasetError when a folder is missing or nothing
    is usable.
    """
    for name in ("Annotations", "JPEGImages"):
        if not (path / name).is_dir():
            raise DatasetError(
                f"expected a VOC folder with {name}/, got none in {path}; name the folder above it"
            )
    report = Report()
    splits = _splits(path, report)
    objects = {stem: _objects(path / "Annotations" / f"{stem}.xml", report) for stem in splits}
    classes = tuple(sorted({one.name for found in objects.values() for one in found or ()}))
    if not classes:
        raise DatasetError(
            f"{path}: expected objects in Annotations/*.xml, got none; is this the right folder?"
        )
    images = [
        image
        for stem, split in splits.items()
        if (image := _image(path, stem, split, objects[stem], classes, report, max_pixels)) is not None
    ]
    if not images:
        raise DatasetError(f"{path}: expected images in JPEGImages/ with the annotations' names, found none")
    return ImportedDataset(classes, images, report.problems, ordered=False)


def _splits(path: Path, report: Report) -> dict[str, str]:
    """Stem to split; without lists everything is train. A stem in two lists stays with evaluation."""
    out: dict[str, str] = {}
    for split in ("test", "val", "train", "trainval"):
        listing = path / "ImageSets" / "Main" / f"{split}.txt"
        if not listing.is_file():
            continue
        for number, line in enumerate(listing.read_text(encoding="utf-8-sig").splitlines(), start=1):
            stem = line.split()[0] if line.split() else ""
            if not stem:
                continue
            if stem in {".", ".."} or "/" in stem or "\\" in stem:
                report.add(listing, number, "missing_image", f"left out: expected a plain name, got {stem!r}")
                continue
            owner = out.setdefault(stem, "train" if split == "trainval" else split)
            if split == "train" and owner != "train":
                report.add(
                    listing, number, "split", f"{stem} is listed in train and {owner}: kept in {owner} only"
                )
    if out:
        return out
    return {
        file.stem: "train" for file in sorted((path / "JPEGImages").iterdir()) if file.suffix in _SUFFIXES
    }


def _objects(path: Path, report: Report) -> list[_Object] | None:
    """The objects of one annotation file, None when there is none that can be read."""
    if not path.is_file():
        report.add(path, 0, "label", "no annotation: the image counts as unlabeled")
        return None
    try:
        root: Element = fromstring(path.read_bytes())
    except (ParseError, DefusedXmlException, OSError, ValueError) as error:
        report.add(
            path,
            0,
            "label",
            f"annotation left out, it cannot be read: {error}; the image counts as unlabeled",
        )
        return None
    return [
        _Object(number, (one.findtext("name") or "").strip(), _corners(one))
        for number, one in enumerate(root.findall("object"), start=1)
        if _named(one, number, path, report)
    ]


def _named(one: Element, number: int, path: Path, report: Report) -> bool:
    if (one.findtext("name") or "").strip():
        return True
    report.add(path, number, "class", f"object {number}: box left out: it has no name")
    return False


def _corners(one: Element) -> list[float] | None:
    try:
        return [float(one.findtext(f"bndbox/{k}") or "") for k in ("xmin", "ymin", "xmax", "ymax")]
    except ValueError:
        return None


def _image(
    path: Path,
    stem: str,
    split: str,
    objects: list[_Object] | None,
    classes: tuple[str, ...],
    report: Report,
    max_pixels: int,
) -> ImportedImage | None:
    file = next((f for s in _SUFFIXES if (f := path / "JPEGImages" / f"{stem}{s}").is_file()), None)
    if file is None:
        report.add(path / "JPEGImages" / stem, 0, "missing_image", f"left out: no image file for {stem}")
        return None
    size = image_size(file, report, max_pixels)
    if size is None:
        return None
    label = path / "Annotations" / f"{stem}.xml"
    boxes = None if objects is None else _boxes(objects, classes, size, label, report)
    return ImportedImage(file, split, boxes, *size)


def _boxes(
    objects: list[_Object], classes: tuple[str, ...], size: tuple[int, int], path: Path, report: Report
) -> list[PixelBox]:
    found = []
    for one in objects:

        def say(code: str, text: str, one: _Object = one) -> None:
            report.add(path, one.number, code, f"object {one.number} ({one.name}): {text}")

        if one.corners is None:
            say("number", "box left out: expected xmin, ymin, xmax, ymax as numbers")
            continue
        box = checked_box(classes.index(one.name), one.corners, size, say)
        if box is not None:
            found.append((one.number, box))
    return without_duplicates(found, lambda line, code, text: report.add(path, line, code, text))
