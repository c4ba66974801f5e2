import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image as PilImage
from PIL import ImageDraw

import config
from connectors.clip.embedder import ClipEmbedder, load_embedder
from connectors.ports import Array, Image
from demo import clip_report as report
from demo.clip_export import stock_vectors
from demo.clip_scenes import stored
from demo.render import CAMERAS, SceneSpec, render
from loop.math.coverage.prompts import assign, option_vectors, similarities
from loop.settings.conditions import load_conditions
from tests.studio import absent

pytestmark = pytest.mark.slow

FOLDER = Path(config.__path__[0]) / "clip_small"
CAMERA_NAMES = (
    "depot-1",
    "street-1",
    "construction-2",
    "harbor-2",
    "parking-3",
    "street-8",
    "harbor-4",
    "depot-8",
)
LEAST = {"time": 0.9, "weather": 0.75, "view": 0.85}


@pytest.fixture(scope="module")
def embedder() -> ClipEmbedder:
    return load_embedder(str(FOLDER), batch=32)


@pytest.fixture(scope="module")
def scenes() -> report.FreshScenes:
    return report.fresh_scenes(320, 77_001, {name: CAMERAS[name] for name in CAMERA_NAMES})


@pytest.fixture(scope="module")
def vectors(embedder: ClipEmbedder, scenes: report.FreshScenes) -> Array:
    return embedder.embed(scenes.images)


@pytest.fixture(scope="module")
def known(embedder: ClipEmbedder, scenes: report.FreshScenes) -> dict[str, float]:
    return report.accuracies(embedder, scenes)


@pytest.fixture(scope="module")
def kept() -> Iterator[Any]:
    with np.load(FOLDER / "vectors.npz") as file:
        yield file


def jpegs(kept: Any) -> list[bytes]:
    return [kept[name].tobytes() for name in sorted(kept.files) if name.startswith("jpeg")]


def least_cosine(ours: Array, theirs: Array) -> float:
    return float((ours * theirs).sum(axis=1).min())


def test_the_folder_is_at_most_6_mb() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 6_000_000


def test_stock_open_clip_reproduces_the_stored_vectors(kept: Any) -> None:
    images, texts = stock_vectors(FOLDER, jpegs(kept), [str(prompt) for prompt in kept["prompts"]])
    assert len(images) == 12
    assert least_cosine(images, kept["images"]) >= 0.999
    assert least_cosine(texts, kept["texts"]) >= 0.999


def test_the_embedder_reproduces_the_stored_vectors(embedder: ClipEmbedder, kept: Any) -> None:
    frames = [np.asarray(PilImage.open(io.BytesIO(file)).convert("RGB")) for file in jpegs(kept)]
    assert least_cosine(embedder.embed(frames), kept["images"]) >= 0.999
    assert least_cosine(embedder.embed_text([str(p) for p in kept["prompts"]]), kept["texts"]) >= 0.999


def test_the_stored_scenes_still_look_as_they_did(embedder: ClipEmbedder, kept: Any) -> None:
    specs = [json.loads(str(text)) for text in kept["specs"]]
    specs = [{**each, "objects": each["objects"] and tuple(each["objects"])} for each in specs]
    frames = [stored(render(SceneSpec(**each)).image) for each in specs]
    assert least_cosine(embedder.embed(frames), kept["images"]) >= 0.999


@pytest.mark.parametrize("attribute", list(LEAST))
def test_conditions_are_told_without_an_example(known: dict[str, float], attribute: str) -> None:
    assert known[attribute] >= LEAST[attribute]


@pytest.mark.parametrize(
    ("attribute", "first", "second"), [("time", 0, 2), ("weather", 1, 3), ("view", 0, 1)]
)
def test_exchanged_texts_exchange_their_shares(
    embedder: ClipEmbedder,
    scenes: report.FreshScenes,
    vectors: Array,
    attribute: str,
    first: int,
    second: int,
) -> None:
    rows = (scenes.column(attribute) != second) | (np.arange(len(vectors)) % 4 == 0)
    texts = list(report.PROMPTS[attribute].values())
    before = report.shares(vectors[rows], embedder.embed_text(texts))
    texts[first], texts[second] = texts[second], texts[first]
    after = report.shares(vectors[rows], embedder.embed_text(texts))
    assert before[first] > before[second] + 0.1
    assert (after[first], after[second]) == (before[second], before[first])


def test_a_randomized_text_tower_knows_nothing(scenes: report.FreshScenes, vectors: Array) -> None:
    model = open_clip.create_model(f"local-dir:{FOLDER}", require_pretrained=True).eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{FOLDER}")
    found: dict[str, list[float]] = {attribute: [] for attribute in LEAST}
    for seed in range(24):
        shuffle_text_tower(model, seed)
        for attribute in LEAST:
            with torch.inference_mode():
                tokens = tokenizer(list(report.PROMPTS[attribute].values()))
                answer = report.nearest(vectors, model.encode_text(tokens, normalize=True).numpy())
            found[attribute].append(report.balanced_accuracy(scenes.column(attribute), answer))
    for attribute, values in found.items():
        assert np.mean(values) == pytest.approx(1 / len(report.PROMPTS[attribute]), abs=0.1)


def test_fresh_scenes_are_known(embedder: ClipEmbedder, vectors: Array) -> None:
    assert embedder.unlike(vectors).mean() <= 0.03


def noise(rng: np.random.Generator) -> Image:
    return rng.integers(0, 256, (192, 320, 3), dtype=np.uint8)


def page(rng: np.random.Generator) -> Image:
    picture = PilImage.new("RGB", (320, 240), "white")
    for row in range(8, 232, 14):
        words = "".join(chr(letter) for letter in rng.integers(97, 123, 44))
        ImageDraw.Draw(picture).text((10, row), words, fill="black")
    return np.asarray(picture)


def cells(rng: np.random.Generator) -> Image:
    picture = PilImage.new("RGB", (320, 240), (226, 218, 205))
    for x, y in rng.uniform((0, 0), (320, 240), (70, 2)):
        ImageDraw.Draw(picture).ellipse((x - 17, y - 17, x + 17, y + 17), (214, 168, 160), (190, 138, 138))
    return np.asarray(picture)


def fade(rng: np.random.Generator) -> Image:
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return np.asarray(PilImage.fromarray(corners).resize((320, 192), PilImage.Resampling.BILINEAR))


@pytest.mark.parametrize("draw", [noise, page, cells, fade])
def test_of_foreign_pictures_no_condition_is_claimed(
    embedder: ClipEmbedder, draw: Callable[[np.random.Generator], Image]
) -> None:
    rng = np.random.default_rng(20)
    vectors = embedder.embed([draw(rng) for _ in range(24)])
    unlike = embedder.unlike(vectors)
    assert unlike.mean() >= 0.9
    conditions = load_conditions()
    texts = dict(zip(conditions.sentences(), embedder.embed_text(conditions.sentences()), strict=True))
    claimed = [
        [
            assign(
                similarities(vectors, option_vectors(group, texts)), group, embedder.logit_scale, mask
            ).option
            for group in conditions.groups
        ]
        for mask in (None, unlike)
    ]
    assert np.mean(np.array(claimed[0]) >= 0) > 0.4, "without it, conditions are claimed of them"
    assert np.mean(np.array(claimed[1]) >= 0) <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "least"), [("bccd/JPEGImages", 0.9), ("fod_a/images", 0.75), ("street_cam/images", 0.95)]
)
def test_of_photographs_most_are_unlike_all_that_it_knows(
    embedder: ClipEmbedder, folder: str, least: float
) -> None:
    data = Path(os.environ.get("FIELDLOOP_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (data / folder).is_dir():
        absent(f"the real data is not in {data}; FIELDLOOP_DATA names its folder")
    vectors = embedder.embed(report.photographs(data / folder, 120))
    assert embedder.unlike(vectors).mean() >= least


def shuffle_text_tower(model: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("visual.") and parameter.ndim:
                order = torch.randperm(parameter.numel(), generator=generator)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))


def test_unnamed_conditions_lie_far_from_daylight(
    scenes: report.FreshScenes, vectors: Array, embedder: ClipEmbedder
) -> None:
    usual = [spec for spec in scenes.specs if spec.camera in CAMERA_NAMES[:4]]
    bright = [
        SceneSpec(s.site, s.camera, "day", "clear", "sharp", None, s.seed + n, 0)
        for s in usual
        for n in (1, 2)
    ]
    daylight = embedder.embed([stored(render(spec).image) for spec in bright[::3]])
    known, fresh = daylight[::2], daylight[1::2]  # in turn: they are sorted by camera
    limit = np.quantile(report.novelty(known, fresh), 0.95)
    strange = report.novelty(known, vectors) > limit
    truth = {name: scenes.column(name) for name in ("time", "weather", "view")}
    assert strange[truth["time"] == 2].mean() >= 0.9
    assert strange[truth["weather"] == 1].mean() >= 0.9
    assert strange[truth["view"] >= 2].mean() >= 0.9
