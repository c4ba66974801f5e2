"""What sentences mean to an embedder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.sql import in_chunks, insert_new
from db.tables import Sentence

Array = NDArray[np.float32]
LONGEST = 600
"""Characters; PostgreSQL takes not many more into an index, and no embedder reads as many."""


@dataclass(frozen=True, eq=False)
class SentenceRow:
    """vector: (D,) float32, unit norm.
    unknown_words: that the embedder never met.
    """

    vector: Array
    unknown_words: tuple[str, ...]


def load_sentences(session: Session, producer: int, sentences: Iterable[str]) -> dict[str, SentenceRow]:
    """By sentence; one that this embedder has not read is absent."""
    found = {}
    for chunk in in_chunks(sentences):
        rows = select(Sentence).where(Sentence.producer == producer, Sentence.text.in_(chunk))
        for row in session.execute(rows).scalars():
            vector = np.frombuffer(row.vector, "<f4").astype(np.float32)
            found[row.text] = SentenceRow(vector, tuple(row.unknown_words))
    return found


def record_sentences(session: Session, producer: int, read: Mapping[str, SentenceRow]) -> None:
    """Those that are stored stay as they are; of more than LONGEST characters none is stored."""
    rows = [
        {
            "producer": producer,
            "text": sentence,
            "vector": row.vector.astype("<f4").tobytes(),
            "unknown_words": list(row.unknown_words),
        }
        for sentence, row in read.items()
        if len(sentence) <= LONGEST
    ]
    insert_new(session, Sentence, rows)
