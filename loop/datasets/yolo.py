"""YOLO layout: a data.yaml, image folders or lists, one text file of normalized boxes per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from connectors.data_yaml import DataYaml, ListedImage, MissingImage, images_of, label_path, read_data_yaml
from connectors.errors import DataYamlError
from loop.base.wording import counted, either
from loop.datasets.imported import (
    DatasetError,
    ImportedDataset,
    ImportedImage,
    Report,
    image_info,
    tell_rotation,
)
from loop.datasets.label_files import (
    LabelFolders,
    check_counted_from_0,
    read_labels,
    tell_shared,
    tell_unclaimed,
)
from loop.datasets.usable import once

Place = list[ListedImage | MissingImage]


def read_yolo(path: Path, max_pixels: int) -> ImportedDataset:
    """path: the data.yaml. An image without a label file is a background, as for the trainer; where
    no image of a folder has one, all of them are unlabeled.

    Label files and images that no split names are reported. Raises DatasetError when the YAML, a
    named folder or list is missing or says nothing usable.
    """
    report = Report()
    try:
        data = read_data_yaml(path)
        places = {split: _places(data, split) for split in data.places}
    except DataYamlError as error:
        raise DatasetError(str(error)) from error
    _tell_keys(data, report)
    folders = LabelFolders()
    images = read_places(places, len(data.names), data.keypoints, folders, report, max_pixels)
    if not images:
        raise DatasetError(
            f"{path}: expected images under {', '.join(data.places)}, none can be "
            f"read{report.first}; check the folders named in it"
        )
    check_counted_from_0(data.names, path, report)
    images = certain_backgrounds(images, folders, data.root, report)
    return ImportedDataset(data.names, images, report.problems)


def read_places(
    places: Mapping[str, Sequence[Place]],
    classes: int,
    keypoints: int,
    folders: LabelFolders,
    report: Report,
    max_pixels: int,
) -> list[ImportedImage]:
    """The images of each split, by the folder or list that names them, with their labels; each file
    once.
    """
    found = [
        image
        for split, of_split in places.items()
        for place in of_split
        for image in _images(place, split, classes, keypoints, folders, report, max_pixels)
    ]
    tell_shared(folders, report)
    return once(found, report)


def certain_backgrounds(
    images: Sequence[ImportedImage], folders: LabelFolders, root: Path, report: Report
) -> list[ImportedImage]:
    """The images; one without a label file is no background where label files without an image lie
    in the folder that should hold its own.
    """
    if not any(image.path.is_relative_to(root) for image in images):
        return list(images)
    uncertain = tell_unclaimed(root, folders, report)
    out = [
        replace(image, boxes=None)
        if image.boxes == [] and label_path(image.path).parent in uncertain and not folders.of(image.path)
        else image
        for image in images
    ]
    if count := sum(new is not old for new, old in zip(out, images, strict=True)):
        report.add(
            root,
            0,
            "label",
            f"{counted(count, 'image')} without a label file {either(count, 'counts', 'count')} as unlabeled,"
            " for some of those label files may be theirs",
            count,
        )
    return out


def _places(data: DataYaml, split: str) -> list[Place]:
    one_each = (replace(data, places={**data.places, split: (named,)}) for named in data.places[split])
    return [list(images_of(one, split)) for one in one_each]


def _tell_keys(data: DataYaml, report: Report) -> None:
    for split in data.empty:
        report.add(data.path, 0, "key", f"{split} is empty: no image is taken for it", 0)
    if data.unread:
        report.add(
            data.path,
            0,
            "key",
            f"nothing is made of {', '.join(data.unread)}; splits are train, val and test",
            0,
        )


def _images(
    place: Place,
    split: str,
    classes: int,
    keypoints: int,
    folders: LabelFolders,
    report: Report,
    max_pixels: int,
) -> list[ImportedImage]:
    for gone in (one for one in place if isinstance(one, MissingImage)):
        if gone.line or gone.listing.is_dir():
            report.add(gone.listing, gone.line, "missing_image", f"left out: no file at {gone.name}")
        else:
            report.add(gone.listing, 0, "key", f"{split}: nothing at {gone.name}, so it is left out", 0)
    found = [one for one in place if isinstance(one, ListedImage)]
    labels = {one.path: folders.of(one.path) for one in found}
    unlabeled = bool(found) and not any(labels.values())
    if unlabeled:
        report.add(
            found[0].path.parent,
            0,
            "label",
            f"none of {counted(len(found), 'image')} of {split} here has a label file, beside it or, for one"
            " below a folder images, at the same place below labels:"
            f" {either(len(found), 'it counts', 'they count')} as unlabeled; give an empty"
            " one to each image that shows nothing",
            len(found),
        )
    out = []
    for one in found:
        info = image_info(one.path, report, max_pixels)
        if info is None:
            continue
        size = info.width, info.height
        label = labels[one.path]
        boxes = read_labels(label, classes, size, keypoints, report) if label else (None if unlabeled else [])
        if boxes:
            tell_rotation(one.path, info, None, report)
        out.append(ImportedImage(one.path, split, boxes, *size, one.folder))
    return out
