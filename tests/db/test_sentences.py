"""What a sentence means to an embedder is stored once, to the bit."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Engine

from db.analysis import producer_id
from db.engine import read, write
from db.sentences import SentenceRow, load_sentences, record_sentences
from tests.db.world import unit_vectors

ODD = "ein Foto bei Nacht; 'für' \"immer\"\n\U0001f319 %s"


def test_sentences_are_those_of_their_embedder(engine: Engine) -> None:
    here, there = unit_vectors(3, 8), unit_vectors(3, 8, seed=1)
    with write(engine) as session:
        clip, other = (producer_id(session, "embedder", name) for name in ("clip", "other"))
        own = {"at night": SentenceRow(here[0], ()), ODD: SentenceRow(here[1], ("Foto", "bei"))}
        record_sentences(session, clip, own)
        record_sentences(session, other, {"at night": SentenceRow(there[0], ("night",))})
        record_sentences(session, other, {})
    with read(engine) as session:
        found = load_sentences(session, clip, ["at night", ODD, "At night", "by day", "at night"])
        assert found.keys() == {"at night", ODD}
        for sentence, row in found.items():
            np.testing.assert_array_equal(row.vector, own[sentence].vector)
            assert row.unknown_words == own[sentence].unknown_words
            assert row.vector.dtype == np.float32
        (row,) = load_sentences(session, other, ["at night", ODD]).values()
        np.testing.assert_array_equal(row.vector, there[0])
        assert row.unknown_words == ("night",)
        assert load_sentences(session, clip, []) == {}


def test_what_is_stored_stays(engine: Engine) -> None:
    vectors = unit_vectors(3, 8)
    with write(engine) as session:
        clip = producer_id(session, "embedder", "clip")
        record_sentences(session, clip, {"at night": SentenceRow(vectors[0], ())})
        record_sentences(
            session, clip, {"at night": SentenceRow(vectors[1], ("at",)), "fog": SentenceRow(vectors[2], ())}
        )
        found = load_sentences(session, clip, ["fog", "at night"])
    np.testing.assert_array_equal(found["at night"].vector, vectors[0])
    np.testing.assert_array_equal(found["fog"].vector, vectors[2])


def test_a_sentence_longer_than_an_index_takes_is_not_stored(engine: Engine) -> None:
    """It is read anew each time; PostgreSQL refused it."""
    words = np.random.default_rng(0).integers(0, 36**5, 1500)
    long = " ".join(np.base_repr(word, 36) for word in words)
    wide = "\U0001f319" * 600
    rows = {text: SentenceRow(unit_vectors(1, 8)[0], ()) for text in (long, "fog", wide)}
    with write(engine) as session:
        clip = producer_id(session, "embedder", "clip")
        record_sentences(session, clip, rows)
        assert load_sentences(session, clip, rows).keys() == {"fog", wide}
