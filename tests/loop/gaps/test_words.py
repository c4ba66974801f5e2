"""The conditions are read by a model once, and are what it would say of them ever after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from connectors.errors import ModelError
from connectors.ports import Array
from db.analysis import producer
from db.engine import read, write
from db.tables import Producer
from loop.analysis.load import open_facts
from loop.analysis.producers import LOGIT_SCALE, producers
from loop.gaps.words import stored_words, words_of
from loop.math.coverage.comparison import Words
from loop.project.wiring import resolve
from loop.settings.conditions import load_conditions
from tests.fakes import FakeEmbedder, FakeParts

SENTENCES = """
prompts:
  time of day:
    none_below: 0.5
    options: {{day: [by day, in the sun], night: ["{night}"]}}
    background: [something]
"""


@pytest.fixture
def asked(parts: FakeParts, tmp_path: Path) -> FakeParts:
    """Prompts of its own, read by an embedder that counts the sentences."""
    settings = parts.project.settings
    own = {
        "conditions": str(tmp_path / "own.yaml"),
        "gaps": settings.gaps.model_copy(update={"prompts": True}),
    }
    made = FakeParts(replace(parts.project, settings=settings.model_copy(update=own)))
    made.clip = Reader()
    word(made, "at night")
    return made


class Reader(FakeEmbedder):
    def __init__(self, name: str = "fake-clip") -> None:
        super().__init__(name)
        self.read: list[str] = []

    def embed_text(self, prompts: object) -> Array:
        self.read += list(prompts)  # type: ignore[call-overload]
        return super().embed_text(prompts)  # type: ignore[arg-type]


def word(parts: FakeParts, night: str) -> None:
    Path(parts.project.settings.conditions or "").write_text(SENTENCES.format(night=night))


def read_by(parts: FakeParts) -> Words:
    return stored_words(parts, open_facts(parts.project, producers(parts)))


def same(parts: FakeParts, found: Words) -> None:
    settings = parts.project.settings
    conditions = load_conditions(resolve(parts.project, settings.conditions or ""))
    truth = words_of(FakeEmbedder(), conditions, settings)
    assert found.vectors.keys() == truth.vectors.keys()
    for sentence, vector in truth.vectors.items():
        np.testing.assert_array_equal(found.vectors[sentence], vector)
    assert (found.logit_scale, found.unknown) == (truth.logit_scale, truth.unknown)
    assert found.conditions == truth.conditions


def test_a_sentence_is_read_once(asked: FakeParts) -> None:
    same(asked, read_by(asked))
    assert asked.clip.read == ["by day", "in the sun", "at night", "something"]
    asked.clip.read.clear()
    asked.dead = {"embedder", "detector"}
    same(asked, read_by(asked))
    asked.dead.clear()
    word(asked, "in the xyzzy dark")
    found = read_by(asked)
    same(asked, found)
    assert found.unknown == ("xyzzy",)
    assert asked.clip.read == ["in the xyzzy dark"]
    asked.dead = {"embedder", "detector"}
    assert read_by(asked).unknown == ("xyzzy",)
    word(asked, "at night")
    same(asked, read_by(asked))


def test_a_new_sentence_needs_the_model(asked: FakeParts) -> None:
    read_by(asked)
    word(asked, "in the dark")
    asked.dead = {"embedder"}
    with pytest.raises(ModelError):
        read_by(asked)


def test_each_embedder_reads_for_itself(asked: FakeParts) -> None:
    read_by(asked)
    other = again(asked, "other-clip")
    assert producers(other).embedder != producers(asked).embedder
    read_by(other)
    assert len(other.clip.read) == 4
    back = again(asked, "fake-clip")
    back.dead = {"embedder"}
    same(back, read_by(back))


def again(parts: FakeParts, name: str) -> FakeParts:
    chosen = parts.project.settings.embedder.model_copy(update={"pretrained": name})
    if name == "fake-clip":
        chosen = parts.project.settings.embedder
    settings = parts.project.settings.model_copy(update={"embedder": chosen})
    made = FakeParts(replace(parts.project, settings=settings))
    made.clip = Reader(name)
    return made


def test_what_another_model_says_is_not_stored(asked: FakeParts) -> None:
    """Its files were changed while the conditions were read."""
    facts = open_facts(asked.project, producers(asked))
    asked.clip.name = "changed-clip"
    stored_words(asked, facts)
    asked.clip.name = "fake-clip"
    asked.clip.read.clear()
    same(asked, read_by(asked))
    assert len(asked.clip.read) == 4


def test_an_embedder_of_an_older_version_is_asked_for_its_scale_once(asked: FakeParts) -> None:
    embedder = producers(asked).embedder
    read_by(asked)
    with write(asked.project.engine) as session:
        session.execute(update(Producer).where(Producer.id == embedder).values(details={"dim": 17}))
    same(asked, read_by(asked))
    with read(asked.project.engine) as session:
        assert producer(session, embedder).details == {"dim": 17, LOGIT_SCALE: 100.0}
    asked.dead = {"embedder"}
    same(asked, read_by(asked))


def test_without_prompts_no_sentence_is_read(asked: FakeParts) -> None:
    settings = asked.project.settings
    off = settings.model_copy(update={"gaps": settings.gaps.model_copy(update={"prompts": False})})
    silent = FakeParts(replace(asked.project, settings=off))
    found = read_by(silent)
    assert (found.vectors, found.unknown) == ({}, ())
    assert found.conditions.groups
