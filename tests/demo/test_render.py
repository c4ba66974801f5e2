from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from demo.captions import VOCABULARY, captions
from demo.render import CAMERAS, CLASSES, QUALITIES, SITES, SIZE, TIMES, VIEWS, WEATHERS, SceneSpec, render

PLAIN = SceneSpec("depot", "depot-1", "day", "clear", "sharp", None, 5, 0)
SOLID = ("car", "truck", "pallet", "extinguisher", "forklift", "person")
CONDITIONS = [
    ("night", "clear", "sharp"),
    ("dusk", "clear", "blurred"),
    ("day", "fog", "compressed"),
    ("day", "rain", "low resolution"),
    ("night", "snow", "dirty lens"),
]


@pytest.mark.parametrize(("time", "weather", "quality"), [("day", "clear", "sharp"), *CONDITIONS])
def test_same_spec_gives_same_bytes_and_another_seed_others(time: str, weather: str, quality: str) -> None:
    spec = replace(PLAIN, time=time, weather=weather, quality=quality)
    one, two = render(spec), render(spec)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.xyxy.tobytes() == two.xyxy.tobytes()
    assert render(replace(spec, seed=6)).image.tobytes() != one.image.tobytes()


@pytest.mark.parametrize("camera", ["depot-1", "street-8", "construction-8"])
def test_boxes_have_the_promised_types_and_lie_inside_the_picture(camera: str) -> None:
    site = CAMERAS[camera].site
    scenes = [render(SceneSpec(site, camera, "day", "clear", "sharp", None, seed, 0)) for seed in range(25)]
    boxes = np.concatenate([scene.xyxy for scene in scenes])
    assert len(boxes) > 40
    assert scenes[0].image.shape == (SIZE[1], SIZE[0], 3)
    assert scenes[0].image.dtype == np.uint8
    assert (boxes.dtype, scenes[0].class_ids.dtype) == (np.float32, np.int64)
    assert (boxes >= 0).all()
    assert (boxes <= np.array([*SIZE, *SIZE])).all()
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 5


@pytest.mark.parametrize("name", SOLID)
def test_a_box_covers_what_its_object_changes_in_the_picture(name: str) -> None:
    spec = replace(PLAIN, camera="depot-2", objects=(name,))
    scene, empty = _unobstructed(spec)
    changed = np.abs(scene.image.astype(int) - empty.image).sum(axis=2) > 60
    x1, y1, x2, y2 = np.rint(scene.xyxy[0]).astype(int)
    inside = changed[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1]
    assert CLASSES[scene.class_ids[0]] == name
    assert inside.mean() > 0.3
    assert inside.any(axis=0).mean() > 0.85
    assert inside.any(axis=1).mean() > 0.85


def test_a_helmet_has_a_box_of_its_own_at_the_top_of_its_person() -> None:
    found = 0
    for seed in range(20):
        scene = render(replace(PLAIN, objects=("helmet",), seed=seed))
        names = [CLASSES[i] for i in scene.class_ids]
        if "helmet" in names:
            person, helmet = scene.xyxy[names.index("person")], scene.xyxy[names.index("helmet")]
            assert helmet[1] == pytest.approx(person[1], abs=0.5)
            assert helmet[3] < (person[1] + person[3]) / 2
            found += 1
    assert found >= 15
    bare = [render(replace(PLAIN, objects=("person",), seed=seed)).class_ids for seed in range(20)]
    assert CLASSES.index("helmet") not in np.concatenate(bare)


def test_hidden_objects_get_no_box() -> None:
    crowd = (
        "truck",
        "truck",
        "truck",
        "person",
        "person",
        "person",
        "person",
        "extinguisher",
        "extinguisher",
    )
    counts = [len(render(replace(PLAIN, objects=crowd, seed=seed)).class_ids) for seed in range(12)]
    assert min(counts) < len(crowd) <= max(counts) + 3


def test_a_burst_shows_the_same_objects_moving_slightly() -> None:
    spec = replace(PLAIN, objects=("car", "person", "pallet"), seed=9)
    frames = [render(replace(spec, burst_index=i)) for i in range(6)]
    steps = [np.abs(a.image.astype(int) - b.image).mean() for a, b in pairwise(frames)]
    other = np.abs(frames[0].image.astype(int) - render(replace(spec, seed=10)).image).mean()
    assert max(steps) < other / 2
    assert len({frame.image.tobytes() for frame in frames}) > 1


def test_conditions_change_the_picture_as_they_should() -> None:
    def mean(**changes: str) -> float:
        return float(np.mean([render(replace(PLAIN, seed=s, **changes)).image.mean() for s in range(4)]))  # type: ignore[arg-type]

    def detail(**changes: str) -> float:
        return float(
            np.mean(
                [
                    np.abs(
                        np.diff(render(replace(PLAIN, seed=s, **changes)).image.astype(int), axis=1)
                    ).mean()  # type: ignore[arg-type]
                    for s in range(4)
                ]
            )
        )

    assert mean(time="night") < mean(time="dusk") < mean()
    assert mean(weather="snow") > mean() > mean(weather="rain")
    assert detail(weather="fog") < detail() / 1.5
    assert detail(quality="blurred") < detail() / 1.5


def test_objects_stay_where_they_are_when_light_and_weather_change() -> None:
    plain = render(PLAIN)
    for time, weather, quality in CONDITIONS:
        assert (
            render(replace(PLAIN, time=time, weather=weather, quality=quality)).xyxy.tobytes()
            == plain.xyxy.tobytes()
        )


def test_attributes_tell_the_scene() -> None:
    scene = render(SceneSpec("street", "street-8", "dusk", "fog", "blurred", ("car", "person"), 3, 0))
    told = scene.attributes
    assert (told["site"], told["time"], told["weather"], told["quality"]) == (
        "street",
        "dusk",
        "fog",
        "blurred",
    )
    assert told["view"] == "wide angle"
    assert told["density"] == "few"
    assert told["objects"] == "car, person"


def test_every_site_and_view_has_cameras() -> None:
    assert {camera.site for camera in CAMERAS.values()} == set(SITES)
    assert {camera.view for camera in CAMERAS.values()} == set(VIEWS)
    assert {camera.site for camera in CAMERAS.values() if camera.known} == set(SITES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": "moon"}, "site: expected one of depot, construction"),
        ({"camera": "street-1"}, "camera at depot: expected one of depot-1, depot-2"),
        ({"weather": "hail"}, "weather: expected one of clear, fog, rain, snow; got 'hail'"),
        ({"objects": ("cat",)}, "objects: expected one of person, helmet"),
        ({"burst_index": 6}, "burst_index: expected 0 to 5; got 6"),
    ],
)
def test_a_wrong_spec_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(replace(PLAIN, **change))  # type: ignore[arg-type]


def test_projection_and_its_inverse_agree_through_every_lens() -> None:
    pixels = np.stack(np.meshgrid(np.linspace(40, 600, 9), np.linspace(330, 380, 4)), axis=-1).reshape(-1, 2)
    for camera in CAMERAS.values():
        spots = camera.ground(pixels)
        back, _ = camera.project(np.column_stack([spots, np.zeros(len(spots))]))
        assert np.abs(back - pixels).max() < 0.01


def test_captions_stay_within_their_vocabulary() -> None:
    rng = np.random.default_rng(0)
    texts: set[str] = set()
    for time in TIMES:
        for weather in WEATHERS:
            for quality in QUALITIES:
                told = {
                    "site": "street",
                    "time": time,
                    "weather": weather,
                    "quality": quality,
                    "view": "tilted",
                    "density": "many",
                    "objects": ", ".join(CLASSES),
                }
                texts.update(captions(told, rng))
    words = {word for text in texts for word in text.split()}
    assert words <= set(VOCABULARY)
    assert len(VOCABULARY) <= 160
    assert len(texts) > 200


def test_captions_name_what_the_scene_shows_and_nothing_else() -> None:
    told = {
        "site": "harbor",
        "time": "night",
        "weather": "rain",
        "quality": "sharp",
        "view": "overhead",
        "density": "empty",
        "objects": "",
    }
    texts = [text for seed in range(30) for text in captions(told, np.random.default_rng(seed))]
    joined = " ".join(texts)
    assert any("night" in text for text in texts)
    assert not {"fog", "snow", "sunset", "tilted", "truck", "daylight"} & set(joined.split())


def _unobstructed(spec: SceneSpec):  # type: ignore[no-untyped-def]
    """The first scene whose single object has a box, with the same scene without it."""
    for seed in range(40):
        scene = render(replace(spec, seed=seed))
        if (
            len(scene.class_ids) == 1
            and scene.xyxy[0].min() > 2
            and (scene.xyxy[0, 2:] < np.array(SIZE) - 2).all()
        ):
            return scene, render(replace(spec, seed=seed, objects=()))
    raise AssertionError("no scene shows the whole object")
