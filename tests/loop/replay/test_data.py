"""What is replayed: read, grouped, divided; and what is refused, with the next step."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image as Pil

from loop.base.errors import ConfigError
from loop.datasets.imported import DatasetError
from loop.replay.data import ReplayData, load_data
from loop.replay.settings import given_settings, read_settings, settings_hash
from loop.replay.split import LABELED, POOL, TEST, TUNING
from tests.loop.replay.toy import PER_DAY, SIDE, make_dataset


def loaded(root: Path, **given: object) -> ReplayData:
    return load_data(root, read_settings(root, None, given))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize("seed", range(6))
def test_no_group_is_torn_apart(toy: Path, seed: int) -> None:
    data = loaded(toy, split_seed=seed)
    sides = defaultdict(set)
    for frame, part in zip(data.frames, data.parts, strict=True):
        sides[frame.group].add(part)
    assert all(len(parts) == 1 for parts in sides.values())
    assert {len(data.rows(part)) >= PER_DAY for part in (POOL, TUNING, TEST)} == {True}


def test_shares_are_kept_to_a_group(toy: Path) -> None:
    data = loaded(toy, test_share=0.25)
    assert 0 <= len(data.rows(TEST)) - 0.25 * 80 <= PER_DAY


def test_a_sequence_that_runs_over_midnight_is_one_group(tmp_path: Path) -> None:
    root = make_dataset(tmp_path)
    rewrite(
        root, lambda row, number: row | {"sequence": "shift" if number < 8 else f"s{number // 4}"}, "sequence"
    )
    rewrite(
        root,
        lambda row, number: (
            row
            | {
                "camera": "cam0",
                "captured_at": f"2026-03-0{1 + number // 4}T00:{10 * (number // 4):02d}:00Z",
            }
            if number < 8
            else row
        ),
    )
    rewrite(root, lambda row, number: row | {"captured_at": "2026-03-01T23:50:00Z"} if number < 4 else row)
    data = loaded(root)
    assert len({frame.group for frame in data.frames if frame.sequence == "shift"}) == 1


def test_slices_are_columns_or_joined_columns(toy: Path) -> None:
    data = loaded(toy, slices=["light", "camera+light"])
    assert data.slices["light=night"].sum() == 8
    assert np.array_equal(
        data.slices["light=night"],
        sum(
            data.slices[f"camera+light=cam{i}-night"]
            for i in range(3)
            if f"camera+light=cam{i}-night" in data.slices
        )
        > 0,
    )


def test_frames_named_by_a_selector_are_labeled_from_the_start(tmp_path: Path) -> None:
    data = loaded(make_dataset(tmp_path, labeled=8))
    assert len(data.rows(LABELED)) == 8


def test_what_it_is_does_not_depend_on_where_it_lies(toy: Path, tmp_path: Path) -> None:
    again = loaded(make_dataset(tmp_path))
    assert again.digest == loaded(toy).digest
    assert again.digest != loaded(toy, split_seed=1).digest


@pytest.mark.parametrize("column", ["sequence", "site", "captured_at"])
def test_what_a_sampler_is_shown_is_part_of_what_it_is(toy: Path, column: str) -> None:
    """Near-duplicates, the limit on a sequence and the time of day depend on them."""
    before = load_data(toy, read_settings(toy, None, {})).digest
    with (toy / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        hour = row["captured_at"].replace("T10:", "T22:")
        row[column] = hour if column == "captured_at" else f"{column}{number % 2}"
    with (toy / "frames.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert load_data(toy, read_settings(toy, None, {})).digest != before


def test_the_same_bytes_twice_are_one_frame(tmp_path: Path) -> None:
    root = make_dataset(tmp_path)
    (root / "images" / "0001.png").write_bytes((root / "images" / "0000.png").read_bytes())
    data = loaded(root)
    assert len(data.frames) == 79
    assert any("the same bytes" in each for each in data.left_out)


def test_paths_can_say_what_a_sidecar_would(tmp_path: Path) -> None:
    root = make_dataset(tmp_path)
    for number, image in enumerate(sorted((root / "images").glob("*.png"))):
        place = root / "images" / f"cam{number % 2}" / f"2026-03-{1 + number // 8:02d}"
        place.mkdir(parents=True, exist_ok=True)
        image.rename(place / image.name)
        label = root / "labels" / place.relative_to(root / "images") / f"{image.stem}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        (root / "labels" / f"{image.stem}.txt").rename(label)
    data = loaded(root, sidecar="", pattern="images/{camera}/{date:%Y-%m-%d}/{n}.png", slices=["camera"])
    assert {frame.camera for frame in data.frames} == {"cam0", "cam1"}
    assert len({frame.group for frame in data.frames}) == 20


def test_one_folder_as_two_splits_leaves_nothing_out(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "both")
    before = loaded(root)
    content = (root / "data.yaml").read_text()
    (root / "data.yaml").write_text(f"{content}\nval: images\n")
    after = loaded(root)
    assert [frame.key for frame in after.frames] == [frame.key for frame in before.frames]
    assert after.left_out == before.left_out


def test_a_bare_dataset_is_grouped_by_its_folders_or_by_what_lies_beside_the_images(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "beside")
    (root / "images" / "frames.csv").write_text((root / "frames.csv").read_text().replace("images/", ""))
    beside = loaded(root, sidecar="", slices=[])
    assert len({frame.group for frame in beside.frames}) == 20
    (root / "images" / "frames.csv").unlink()
    for part in ("images", "labels"):
        for number, file in enumerate(sorted((root / part).iterdir())):
            (root / part / f"video{number // 8}").mkdir(exist_ok=True)
            file.rename(root / part / f"video{number // 8}" / file.name)
    folders = loaded(root, sidecar="", slices=[])
    assert {frame.sequence for frame in folders.frames} == {f"video{i}" for i in range(10)}


def test_unrelated_frames_can_be_said_to_be(toy: Path) -> None:
    data = loaded(toy, ungrouped=True)
    assert len({frame.group for frame in data.frames}) == len(data.frames)


def rewrite(root: Path, change: Callable[[dict[str, str], int], dict[str, str]], *more: str) -> None:
    with (root / "frames.csv").open(newline="") as file:
        rows = [change(row, number) for number, row in enumerate(csv.DictReader(file))]
    with (root / "frames.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def without_boxes(root: Path) -> None:
    for label in (root / "labels").glob("*.txt"):
        label.write_text("")


def without_a_row(root: Path) -> None:
    lines = (root / "frames.csv").read_text().splitlines()
    (root / "frames.csv").write_text("\n".join(lines[:-1]) + "\n")


def one_day(root: Path) -> None:
    rewrite(root, lambda row, number: row | {"captured_at": "2026-03-01T10:00:00Z"})


def wrong_column(root: Path) -> None:
    (root / "frames.csv").write_text((root / "frames.csv").read_text().replace("file,", "image,", 1))


def wrong_time(root: Path) -> None:
    rewrite(root, lambda row, number: row | {"captured_at": "yesterday"})


def no_sidecar(root: Path) -> None:
    tree = yaml.safe_load((root / "replay.yaml").read_text())
    (root / "replay.yaml").write_text(yaml.safe_dump(tree | {"sidecar": "", "slices": []}))


def nothing(root: Path) -> None:
    """The dataset as it is."""


@pytest.mark.parametrize(
    ("break_it", "given", "said"),
    [
        (without_boxes, {}, "expected labeled objects, got 80 images without a box; replay needs the truth"),
        (
            without_a_row,
            {},
            "expected a row for each of 80 images, got none for 1, the first is .*0079.png; add them",
        ),
        (one_day, {}, "expected at least 8 groups .* got 3; name finer sequences"),
        (wrong_column, {}, "expected a column file or path, got image, camera.*; name the images there"),
        (wrong_time, {}, "captured_at: expected a time such as .*got 'yesterday'; correct the value"),
        (
            no_sidecar,
            {},
            (
                "expected a camera and a time, or a sequence, of every frame, got neither for 80 of 80 .*give"
                " --sidecar or --pattern"
            ),
        ),
        (nothing, {"sidecar": "/nowhere.csv"}, "expected a sidecar CSV, got nothing at /nowhere.csv"),
        (
            nothing,
            {"slices": ["weather"]},
            "expected a column of the sidecar \\(light, part\\), camera or site, got 'weather'",
        ),
        (
            nothing,
            {"labeled": ["part=old"]},
            (
                "labeled: expected column=value that fits some frames, got 'part=old'; there are part with"
                " production"
            ),
        ),
        (
            nothing,
            {"test": ["when=later"]},
            "test: expected column=value .*there are the columns camera, light, part, split",
        ),
        (
            nothing,
            {"budget": 40},
            "expected a pool of at least 86 frames for 2 rounds of 40, got 5.; lower the budget",
        ),
        (
            nothing,
            {"pattern": "{site}/{camera}/{n}.png", "sidecar": "", "slices": []},
            "expected paths that fit the pattern",
        ),
    ],
)
def test_bad_data_is_refused_with_what_to_do(
    tmp_path: Path, break_it: Callable[[Path], None], given: dict[str, object], said: str
) -> None:
    root = make_dataset(tmp_path)
    break_it(root)
    with pytest.raises(DatasetError, match=said):
        loaded(root, **given)


@pytest.mark.parametrize("part", ["test", "held out"])
def test_a_set_that_tears_a_group_apart_is_refused(tmp_path: Path, part: str) -> None:
    root = make_dataset(tmp_path)
    rewrite(root, lambda row, number: row | {"part": part if number % 8 == 0 else "production"})
    said = rf"expected every group on one side, got group 'cam.* in {part} and what is drawn"
    with pytest.raises(DatasetError, match=said):
        loaded(root, **{part.replace(" ", "_"): [f"part={part}"]})


def test_what_is_left_of_a_group_that_is_labeled_in_part_never_judges(tmp_path: Path) -> None:
    root = make_dataset(tmp_path)
    rewrite(root, lambda row, number: row | {"part": "labeled" if number < 48 and number % 2 else "rest"})
    data = loaded(root, labeled=["part=labeled"], test_share=0.7)
    assert len(data.rows(LABELED)) == 24
    begun = {data.frames[row].group for row in data.rows(LABELED)}
    rest = [
        part
        for frame, part in zip(data.frames, data.parts, strict=True)
        if frame.group in begun and part != LABELED
    ]
    assert rest == [POOL] * 24
    assert 0 <= len(data.rows(TEST)) - 0.7 * 32 <= PER_DAY


def test_one_class_is_enough(tmp_path: Path) -> None:
    assert loaded(make_dataset(tmp_path, classes=("red",))).classes == ("red",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"budgets": 3}, "expected a known key, got 'budgets'; the nearest is 'budget'"),
        (
            {"budget": 0},
            "replay setting budget: Input should be greater than or equal to 1, got 0; correct it",
        ),
        ({"judge": "me"}, "replay setting judge: .*got 'me'"),
        (
            {"test_share": 0.7, "tuning_share": 0.3},
            (
                "replay settings: expected test_share and tuning_share below 1 together, got 0.7 and 0.3, .*;"
                " lower one of them"
            ),
        ),
    ],
)
def test_wrong_settings_are_named(toy: Path, given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_settings(toy, None, given)


def test_options_are_read_as_yaml_and_go_over_the_file(toy: Path) -> None:
    settings = read_settings(toy, None, given_settings(["epochs=4", "train.lr0=0.002", "train.rect=false"]))
    assert (settings.epochs, settings.budget) == (4, 6)
    assert (settings.recipe["lr0"], settings.recipe["rect"], settings.recipe["nbs"]) == (0.002, False, 8)
    with pytest.raises(ConfigError, match=r"--set: expected key=value, got 'epochs'"):
        given_settings(["epochs"])


def test_a_form_is_the_same_wherever_it_lies_and_for_however_many_rounds(toy: Path) -> None:
    settings = read_settings(toy, None, {})
    moved = settings.model_copy(update={"weights": "/elsewhere/base.pt", "device": "0", "rounds": 9})
    assert settings_hash(moved, "a", "clip") == settings_hash(settings, "a", "clip")
    others = [
        (settings.model_copy(update={"budget": 7}), "a", "clip"),
        (settings, "b", "clip"),
        (settings, "a", "other"),
    ]
    assert settings_hash(settings, "a", "clip") not in [settings_hash(*other) for other in others]


def test_images_may_lie_apart_from_a_json_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    for number in range(20):
        Pil.fromarray(picture + number).save(tmp_path / f"images/{number}.png")
    boxes = [{"id": n, "image_id": n, "category_id": 0, "bbox": [4, 4, 9, 9]} for n in range(20)]
    tree = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(20)],
        "categories": [{"id": 0, "name": "red"}],
        "annotations": boxes,
    }
    (tmp_path / "apart").mkdir()
    file = tmp_path / "apart/a.json"
    file.write_text(json.dumps(tree))
    given = {"ungrouped": True, "budget": 2, "rounds": 1}
    with pytest.raises(DatasetError, match="name their folder with --images"):
        load_data(file, read_settings(file, None, given))
    there = given | {"images": str(tmp_path / "images")}
    assert len(load_data(file, read_settings(file, None, there)).frames) == 20
