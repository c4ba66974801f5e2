"""Collections that CLIP tells, on rendered scenes with the carried CLIP: weather, night, a sentence, and
examples.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image as Pil

from benchmarks.real_clips import small_clip
from connectors.ports import Image
from db.engine import read
from db.frames import frames
from db.slice_members import members
from db.slices import slices
from db.states import Origin, SliceKind
from demo.clip_report import fresh_scenes
from demo.clip_scenes import ATTRIBUTES
from loop.analysis.producers import producers
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.gaps import coverage_view
from loop.gaps.arrivals import analyze
from loop.ingest.ingest import ingest
from loop.insights.collections import one_collection
from tests.fakes import MONDAY, FakeParts, make_project, quiet

ANN = Who("ann", "page")
SCENES, SEED = 140, 20_261
EXAMPLES = 10


@dataclass(frozen=True)
class World:
    """shows: by frame, what the renderer says of it, such as "rain"."""

    parts: FakeParts
    shows: dict[int, set[str]]

    def inside(self, number: int) -> set[int]:
        with read(self.parts.project.engine) as session:
            found = members(session, producers(self.parts).measure, number)[0].tolist()
        return set(found) & set(self.shows)

    def number(self, name: str) -> int:
        with read(self.parts.project.engine) as session:
            return next(row.id for row in slices(session, [SliceKind.COLLECTION]) if row.name == name)

    def of(self, *values: str) -> set[int]:
        return {seq for seq, shows in self.shows.items() if shows & set(values)}

    def told(self, number: int, true: set[int], but: Iterable[int] = ()) -> tuple[float, float]:
        """Recall and precision, leaving some frames out."""
        found, wanted = self.inside(number).difference(but), true.difference(but)
        return len(found & wanted) / len(wanted), len(found & wanted) / max(len(found), 1)


def write(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    Pil.fromarray(image).save(file, "JPEG", quality=95)
    path.write_bytes(file.getvalue())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("scenes")
    scenes = fresh_scenes(SCENES, SEED)
    known: dict[str, set[str]] = {}
    for number, (spec, image, labels) in enumerate(
        zip(scenes.specs, scenes.images, scenes.labels.tolist(), strict=True)
    ):
        when = MONDAY + timedelta(days=number % 4, minutes=number)
        path = Path(spec.camera) / f"{when:%Y-%m-%d}" / f"{when:%H%M%S}-{number}.jpg"
        write(folder / "incoming" / path, image)
        values = zip(ATTRIBUTES.values(), labels, strict=True)
        known[path.as_posix()] = {names[value] for names, value in values}
    parts = FakeParts(make_project(folder / "project", overrides=["gaps.prompts=true", "gaps.regions=false"]))
    parts.clip = small_clip()  # type: ignore[assignment]
    ingest(parts, quiet)
    analyze(parts, quiet)
    coverage_view.build(parts, quiet)
    with read(parts.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
    yield World(parts, {row.seq: known[row.source_key] for row in rows})
    parts.project.engine.dispose()


def test_weather_is_gathered(world: World) -> None:
    recall, precision = world.told(world.number("weather"), world.of("fog", "rain", "snow"))
    assert recall >= 0.95
    assert precision >= 0.8


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("rain", "a photo taken in rain"),
        ("snow", "a scene in snowy weather"),
        ("fog", "a scene in foggy weather"),
        ("night", "a photo taken at night"),
    ],
)
def test_a_sentence_gathers_what_it_says(world: World, value: str, sentence: str) -> None:
    number = changing.make_by_sentence(world.parts, ANN, sentence, sentence)
    recall, precision = world.told(number, world.of(value))
    assert recall >= 0.9
    assert precision >= 0.9


@pytest.mark.parametrize("value", ["rain", "snow", "fog", "night"])
def test_examples_gather_those_like_them(world: World, value: str) -> None:
    """A quarter of all frames is of the kind, so that it sways what others are taken to be."""
    true = sorted(world.of(value))
    examples = true[:: len(true) // EXAMPLES][:EXAMPLES]
    number = changing.make_by_examples(world.parts, ANN, f"like {value}", examples)
    recall, precision = world.told(number, set(true), set(examples))
    foretold = one_collection(world.parts.project, number).found
    assert foretold is not None
    assert abs(recall - foretold) <= 0.35
    assert recall >= 0.4
    assert precision >= 0.7
