import hashlib
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import demo.world
from demo.render import CAMERAS
from demo.world import World, WorldError, build, load_world, parse_world, rendered
from demo.world_plan import held_out_shots, production_shots, training_shots

pytestmark = pytest.mark.slow

CONFIG = Path(__file__).parents[2] / "config"
SMALL = {
    "seed": 3,
    "classes": ["person", "helmet", "car", "truck", "pallet", "extinguisher", "forklift"],
    "training": {
        "frames": 12,
        "validation": 4,
        "cameras": ["depot-1", "street-1"],
        "rare": {"class": "forklift", "instances": 2},
    },
    "production": {
        "frames": 48,
        "cameras": ["depot-1", "street-1"],
        "days": 3,
        "gaps": [
            {"name": "night", "share": 0.125, "where": {"time": "night"}},
            {"name": "new camera", "share": 0.125, "where": {"camera": "depot-9"}},
            {"name": "forklift", "share": 0.125, "where": {"object": "forklift", "camera": ["depot-1"]}},
        ],
    },
    "test": {"frames_per_condition": 2},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    seen: list[tuple[int, int]] = []
    build(parse_world(SMALL), root / "out", root / "truth", lambda done, total: seen.append((done, total)))
    assert seen[-1] == (72, 72)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    return root


def test_the_training_set_is_a_yolo_data_set_beside_its_yaml(built: Path) -> None:
    train = built / "out" / "train"
    content = yaml.safe_load((train / "data.yaml").read_text())
    assert content["names"] == dict(enumerate(SMALL["classes"]))
    assert "path" not in content
    for part, count in (("train", 12), ("val", 4)):
        images = sorted(p.stem for p in (train / content[part]).glob("*.jpg"))
        labels = sorted((train / "labels" / part).glob("*.txt"))
        assert images == [p.stem for p in labels]
        assert len(images) == count
    rows = [line.split() for p in train.glob("labels/*/*.txt") for line in p.read_text().splitlines()]
    values = np.array(rows, dtype=float)
    assert ((values[:, 1:] >= 0) & (values[:, 1:] <= 1)).all()
    assert Counter(values[:, 0].astype(int))[6] == 2


def test_truth_describes_every_production_frame_and_nothing_else(built: Path) -> None:
    lines = _truth(built)
    files = sorted((built / "out" / "production").rglob("*.jpg"))
    assert {line["sha256"] for line in lines} == {hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    assert len(lines) == len(files) == 48
    assert Counter(line["gap"] for line in lines) == {None: 30, "night": 6, "new camera": 6, "forklift": 6}
    assert all(line["conditions"]["time"] == "night" for line in lines if line["gap"] == "night")
    assert all(line["conditions"]["camera"] == "depot-9" for line in lines if line["gap"] == "new camera")
    assert any(box[0] == "forklift" for line in lines if line["gap"] == "forklift" for box in line["boxes"])
    assert not any(
        box[0] == "forklift" for line in lines if line["gap"] != "forklift" for box in line["boxes"]
    )


def test_names_and_exif_say_camera_site_and_time_and_nothing_of_the_truth(built: Path) -> None:
    production = built / "out" / "production"
    for path in production.rglob("*"):
        assert path.is_dir() or path.suffix == ".jpg"
    for path in production.rglob("*.jpg"):
        site, camera, day, name = path.relative_to(production).parts
        clock, number = Path(name).stem.split("-")
        moment = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H%M%S")
        with Image.open(path) as image:
            exif = image.getexif()
            taken = dict(exif.get_ifd(0x8769))
        assert CAMERAS[camera].site == site
        assert dict(exif) == {0x0110: camera, 0x010E: site, 0x8769: exif[0x8769]}
        assert taken == {0x9003: f"{moment:%Y:%m:%d %H:%M:%S}"}
        assert number in "012345"
        assert path.stat().st_size > 2000


def test_clocks_suit_the_light_and_frames_of_a_burst_are_a_second_apart(built: Path) -> None:
    for shot in production_shots(parse_world(SMALL)):
        assert shot.captured is not None
        hour = shot.captured.hour
        assert (hour < 5 or hour >= 20) if shot.spec.time == "night" else 8 <= hour < 17
        assert (built / "out" / "production" / f"{shot.path}.jpg").is_file()
    bursts: dict[int, list[datetime]] = {}
    for shot in production_shots(parse_world(SMALL)):
        bursts.setdefault(shot.spec.seed, []).append(shot.captured)  # type: ignore[arg-type]
    assert all(np.ptp([t.timestamp() for t in times]) == 5 for times in bursts.values())


def test_held_out_scenes_exist_for_daylight_and_each_gap_and_share_no_seed(built: Path) -> None:
    test = built / "truth" / "test"
    assert sorted(p.name for p in test.iterdir()) == ["daylight", "forklift", "new camera", "night"]
    for folder in test.iterdir():
        assert (
            len(list((folder / "images").glob("*.jpg"))) == len(list((folder / "labels").glob("*.txt"))) == 2
        )
    for label in (test / "forklift" / "labels").glob("*.txt"):
        assert any(line.startswith("6 ") for line in label.read_text().splitlines())
    world = parse_world(SMALL)
    held = {shot.spec.seed for shots in held_out_shots(world).values() for shot in shots}
    used = {
        shot.spec.seed
        for shot in [*production_shots(world), *training_shots(world, "train"), *training_shots(world, "val")]
    }
    assert not held & used


class _Inline:
    """A pool that draws in this process, which keeps its backdrops from one world to the next."""

    def __init__(self, *_: object, **__: object) -> None:
        self.shutdown = lambda **how: None

    def submit(self, act: Callable[..., dict[str, str]], *given: Any) -> Future[dict[str, str]]:
        done: Future[dict[str, str]] = Future()
        done.set_result(act(*given))
        return done


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.world, "ProcessPoolExecutor", _Inline)


@pytest.mark.usefixtures("_in_this_process")
def test_the_same_world_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """Drawn by one process as by two."""
    build(parse_world(SMALL), tmp_path / "out", tmp_path / "truth", lambda done, total: None, workers=1)
    assert _digest(tmp_path) == _digest(built)


@pytest.mark.usefixtures("_in_this_process")
def test_a_world_is_rendered_once_and_a_half_made_one_again(tmp_path: Path) -> None:
    section = json.loads(json.dumps(SMALL))
    section["production"] |= {"gaps": [], "frames": 6}
    section["training"] = {"frames": 2, "cameras": "depot-1"}
    world = parse_world(section)
    seen: list[int] = []
    assert rendered(world, tmp_path, lambda done, total: seen.append(done))
    assert not rendered(world, tmp_path, lambda done, total: seen.append(-1))
    assert -1 not in seen
    whole = _digest(tmp_path)
    (tmp_path / "world.sha256").unlink()
    next((tmp_path / "world" / "production").rglob("*.jpg")).unlink()
    assert rendered(world, tmp_path, lambda done, total: None)
    assert _digest(tmp_path) == whole
    assert rendered(parse_world(section | {"seed": 4}), tmp_path, lambda done, total: None)
    assert _digest(tmp_path) != whole


def test_nothing_is_overwritten(built: Path) -> None:
    with pytest.raises(FileExistsError, match="is there already: expected a folder without it"):
        build(parse_world(SMALL), built / "out", built / "elsewhere", lambda done, total: None)


@pytest.mark.parametrize("name", ["demo.yaml", "demo-night.yaml"])
def test_shipped_worlds_bring_each_gap_at_its_share_on_enough_camera_days(name: str) -> None:
    world = load_world(CONFIG / name)
    shots = production_shots(world)
    assert len(shots) == len({shot.path for shot in shots}) == world.production.frames
    counts = Counter(shot.gap for shot in shots)
    for gap in world.production.gaps:
        assert counts[gap.name] / len(shots) == pytest.approx(gap.share, abs=0.002)
        days = {shot.path.rsplit("/", 1)[0] for shot in shots if shot.gap == gap.name}
        assert len(days) >= 8
    assert world.training.rare is not None
    assert world.training.rare.instances <= world.training.frames / 100
    assert not any(
        name in (shot.spec.objects or ()) for name in world.scarce for shot in shots if shot.gap is None
    )


def test_the_night_world_is_the_other_way_round() -> None:
    world = load_world(CONFIG / "demo-night.yaml")
    assert {shot.spec.time for shot in training_shots(world, "train")} == {"night"}
    assert "day" in {shot.spec.time for shot in production_shots(world)}
    assert world.scarce == ("extinguisher",)
    assert world.seed != load_world(CONFIG / "demo.yaml").seed


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("seeed", 1, "world.seeed: no such key; did you mean seed?"),
        (
            "production.gaps.0.where.wether",
            "fog",
            "world.production.gaps.0.where.wether: no such key; did you mean weather?",
        ),
        (
            "production.gaps.0.where.time",
            "noon",
            "world.production.gaps.0.where.time: Input should be 'day', 'dusk' or 'night'; got 'noon'",
        ),
        (
            "production.gaps.0.share",
            1.5,
            "world.production.gaps.0.share: Input should be less than 1; got 1.5",
        ),
        ("production.frames", 50, "world.production: expected frames to be a multiple of burst (6), got 50"),
        ("training.cameras", ["depot-11"], "no camera 'depot-11'; known are depot-1"),
        (
            "production.gaps.1.name",
            "night",
            "expected the names of gaps and usual to differ, got daylight, night, night, forklift",
        ),
        ("production.gaps.0.where", {}, "expected at least one of time, weather, quality, camera, object"),
        (
            "production.gaps.0.share",
            0.01,
            "expected gap night to have a burst of 6 of the 48 frames at least, got a share of 0.01",
        ),
        (
            "production.gaps.0.where",
            {"time": "day", "camera": "depot-1"},
            "expected gap night to differ from usual production, got the same",
        ),
        (
            "training.rare.instances",
            13,
            "expected at most 12 instances of the rare class, one a frame, got 13",
        ),
        ("classes", ["person"], "expected classes to hold forklift, which is a rare class or a gap's object"),
    ],
)
def test_a_wrong_key_or_value_is_named(where: str, value: object, message: str) -> None:
    section = json.loads(json.dumps(SMALL))
    *path, last = where.split(".")
    place = section
    for key in path:
        place = place[int(key)] if key.isdigit() else place[key]
    place[int(last) if last.isdigit() else last] = value
    with pytest.raises(WorldError) as error:
        parse_world(section)
    assert message in str(error.value)


def test_a_yaml_without_a_world_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("rounds: 2\n")
    with pytest.raises(WorldError, match=r"expected a section `world:`, found keys rounds"):
        load_world(tmp_path / "other.yaml")


def test_classes_that_a_world_leaves_out_are_neither_placed_nor_labeled() -> None:
    section = json.loads(json.dumps(SMALL)) | {"classes": ["car", "forklift"]}
    world: World = parse_world(section)
    assert {name for shot in production_shots(world) for name in shot.spec.objects or ()} == {
        "car",
        "forklift",
    }


def _truth(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "truth" / "production.jsonl").read_text().splitlines()]  # type: ignore[misc]


def _digest(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }
