"""When `init` goes on with a training set, and what it tells of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from loop.datasets.imported import (
    DatasetError,
    ImportedDataset,
    ImportedImage,
    PixelBox,
    Problem,
    Report,
)
from loop.datasets.usable import check_usable, each_once, once, problem_lines
from tests.loop.datasets.making import jpeg, write

BOX = (0, 1.0, 1.0, 9.0, 9.0)
HERE = Path("data.yaml")


def dataset(boxes: int, *problems: Problem) -> ImportedDataset:
    return ImportedDataset(
        ("a",), [ImportedImage(Path("a.jpg"), "train", [BOX] * boxes, 64, 48)], [*problems]
    )


def bad(line: int, code: str = "number", count: int = 1) -> Problem:
    return Problem(Path("a.txt"), line, code, "box left out", count)


def test_no_box_at_all_is_refused_whatever_is_accepted() -> None:
    with pytest.raises(DatasetError, match=r"got 0 boxes in 1 image; mend the labels.*\n  2 number: a.txt:1"):
        check_usable(dataset(0, bad(1), bad(2)), HERE, accepted=True)


def test_more_than_a_twentieth_lost_asks() -> None:
    check_usable(dataset(19, bad(1)), HERE, accepted=False)
    with pytest.raises(
        DatasetError, match=r"got 18 boxes and 1 label or image that cannot be \(5\.3%\)"
    ) as asked:
        check_usable(dataset(18, bad(1)), HERE, accepted=False)
    assert "--accept-problems\n  1 number: a.txt:1: box left out" in str(asked.value)
    check_usable(dataset(18, bad(1)), HERE, accepted=True)


@pytest.mark.parametrize("code", ["image", "missing_image", "size"])
def test_more_than_a_twentieth_of_the_images_lost_asks_however_many_labels_are_left(code: str) -> None:
    image = ImportedImage(Path("a.jpg"), "train", [BOX] * 50, 64, 48)
    gone = [bad(0, code)]
    check_usable(ImportedDataset(("a",), [image] * 19, gone), HERE, accepted=False)
    with pytest.raises(DatasetError, match=r"got 900 boxes and 1 label or image .* \(5\.3%\)"):
        check_usable(ImportedDataset(("a",), [image] * 18, gone), HERE, accepted=False)


def test_what_is_mended_or_noticed_does_not_ask() -> None:
    noticed = [bad(n, code) for n, code in enumerate(("clipped", "duplicate", "split", "key", "rotated"))]
    check_usable(dataset(1, *noticed), HERE, accepted=False)


def test_each_cause_is_told_once_with_its_count() -> None:
    lines = problem_lines([bad(1), bad(2), bad(3, "class"), bad(0, "unclaimed", 40)])
    assert lines == [
        "43 things were left out, mended or noticed:",
        "  2 number: a.txt:1: box left out (and 1 more)",
        "  1 class: a.txt:3: box left out",
        "  40 unclaimed: a.txt: box left out",
    ]


def test_a_picture_in_two_splits_stays_held_out_and_its_other_labels_are_told(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.jpg", jpeg(seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    images = [
        ImportedImage(paths[0], "train", [BOX, BOX], 64, 48),
        ImportedImage(paths[1], "val", [BOX], 64, 48),
        ImportedImage(paths[2], "train", [], 64, 48),
    ]
    kept, problems = each_once(images)
    assert kept == images[1:]
    assert [problem.message for problem in problems] == [
        f"left out: the same picture as {paths[1]}; its 2 boxes differ from the 1 that counts"
    ]


@pytest.mark.parametrize(
    ("labels", "boxes"),
    [([None, None], None), ([None, []], None), ([[], []], []), ([None, [BOX]], [BOX]), ([[], [BOX]], [BOX])],
)
def test_a_file_named_twice_counts_once(
    labels: list[list[PixelBox] | None], boxes: list[PixelBox] | None
) -> None:
    report = Report()
    images = [ImportedImage(Path("a.jpg"), "train", label, 64, 48) for label in labels]
    assert [image.boxes for image in once(images, report)] == [boxes]
    assert len(report.problems) == (labels[0] == [] and labels[1] == [BOX])
