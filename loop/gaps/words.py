"""The conditions as an embedder reads them. What a sentence means to it is stored, so that
comparing needs no model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from connectors.ports import Embedder
from db.analysis import producer
from db.engine import read, write
from db.sentences import SentenceRow, load_sentences, record_sentences
from loop.analysis.load import StoredFacts, similarities_of
from loop.analysis.producers import LOGIT_SCALE, register_embedder
from loop.math.coverage.comparison import Words
from loop.project.wiring import Parts, resolve
from loop.settings.conditions import Conditions, load_conditions
from loop.settings.settings import Settings


def words_of(embedder: Embedder, conditions: Conditions, settings: Settings) -> Words:
    """By the embedder itself."""
    sentences = _asked(conditions, settings)
    return _words(conditions, sentences, read_sentences(embedder, sentences), embedder.logit_scale)


def stored_words(parts: Parts, facts: StoredFacts) -> Words:
    """By what the embedder once made of each sentence; of those that are new it is asked."""
    project, settings, embedder = parts.project, parts.project.settings, facts.made.embedder
    conditions = load_conditions(resolve(project, settings.conditions) if settings.conditions else None)
    sentences = _asked(conditions, settings)
    with read(project.engine) as session:
        known = load_sentences(session, embedder, sentences)
        scale = producer(session, embedder).details.get(LOGIT_SCALE)
    new = [sentence for sentence in sentences if sentence not in known]
    if new or scale is None:
        model = parts.embedder()
        fresh, scale = read_sentences(model, new), model.logit_scale
        with write(project.engine) as session:
            if register_embedder(session, project, model) == embedder:
                record_sentences(session, embedder, fresh)
        known |= fresh
    words = _words(conditions, sentences, known, float(scale))
    return replace(words, similar=partial(similarities_of, facts))


def _asked(conditions: Conditions, settings: Settings) -> tuple[str, ...]:
    return tuple(conditions.sentences()) if settings.gaps.prompts else ()


def read_sentences(embedder: Embedder, sentences: list[str] | tuple[str, ...]) -> dict[str, SentenceRow]:
    """What each means to the embedder, and which of its words it never met."""
    vectors = embedder.embed_text(sentences) if sentences else ()
    return {
        sentence: SentenceRow(vector, embedder.unknown_words([sentence]))
        for sentence, vector in zip(sentences, vectors, strict=True)
    }


def _words(
    conditions: Conditions, sentences: tuple[str, ...], known: dict[str, SentenceRow], logit_scale: float
) -> Words:
    unknown = dict.fromkeys(word for sentence in sentences for word in known[sentence].unknown_words)
    return Words(
        conditions, {sentence: known[sentence].vector for sentence in sentences}, logit_scale, tuple(unknown)
    )
