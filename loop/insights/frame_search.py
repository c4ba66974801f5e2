"""The frames most like a sentence, a picture or another frame, among those of a set."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Array, Embedder
from db.analysis import load_embeddings
from db.analysis import producer as stored_producer
from db.engine import read
from db.sentences import load_sentences
from loop.analysis.producers import embedder_of_vectors
from loop.base.arrays import Bools, Ints
from loop.base.errors import ConfigError, ProjectError
from loop.insights.frame_query import FrameQuery
from loop.project.project import Project

if TYPE_CHECKING:
    from db.vector_scan import Alike, VectorScan

MOST = 1000
"""Frames that a search finds: every frame is more or less like a sentence."""
KEPT_SENTENCES = 500


class FrameSearch:
    """Searches of one project. Safe from several threads.

    embedder: is asked what a sentence means that it was not asked before.
    """

    def __init__(self, project: Project, embedder: Callable[[], Embedder]) -> None:
        self._project, self._embedder = project, embedder
        self._lock = threading.Lock()
        self._sentences: OrderedDict[tuple[int, str], Array] = OrderedDict()

    @cached_property
    def scan(self) -> VectorScan:
        """The stored vectors."""
        from db.vector_scan import VectorScan

        return VectorScan(self._project.engine, self._project.indexes)

    def prepare(self) -> None:
        """Makes what searching many vectors needs, so that the first search need not wait for it."""
        with read(self._project.engine) as session:
            producer = embedder_of_vectors(session, self._project)
            if producer is not None:
                self.scan.prepare(session, producer)

    def vector_of(self, session: Session, producer: int | None, query: FrameQuery) -> Array:
        """(D,) unit vector of what a query looks for.

        Raises ConfigError for a frame without a vector, and for words that the embedder never met;
        ProjectError before the first analysis, and for words where another embedder has seen the frames.
        """
        if producer is None:
            raise ProjectError(
                "expected frames that the embedder has seen, found none; run `fieldloop analyze` first"
            )
        if query.near is not None:
            found = load_embeddings(session, producer, [query.near])[1]
            if not len(found):
                raise ConfigError(
                    f"frames: near: expected a frame that the embedder has seen, got {query.near}; run"
                    " `fieldloop analyze`, or name another"
                )
            vector: Array = found[0]
            return vector
        return self._meant(session, producer, query.text or "")

    def among(
        self,
        session: Session,
        producer: int,
        vector: Array,
        inside: Callable[[Ints], Bools],
        most: int | None = None,
    ) -> Alike:
        """The frames most like a vector among those that are inside; MOST of them for None."""
        return self.scan.most_alike(session, producer, vector, inside, MOST if most is None else most)

    def _meant(self, session: Session, producer: int, sentence: str) -> Array:
        with self._lock:
            kept = self._sentences.get((producer, sentence))
        if kept is not None:
            return kept
        known = load_sentences(session, producer, [sentence]).get(sentence)
        if known is not None:
            vector, unknown = known.vector, tuple(known.unknown_words)
        else:
            embedder = self._embedder()
            seen_by = stored_producer(session, producer).name
            if embedder.name != seen_by:
                raise ProjectError(
                    f"expected frames seen by {embedder.name}, found those of {seen_by}; run"
                    " `fieldloop analyze`, or look for what is like a frame"
                )
            vector, unknown = embedder.embed_text([sentence])[0], embedder.unknown_words([sentence])
        if unknown:
            raise ConfigError(
                f"frames: q: expected words that the embedder knows, got {', '.join(unknown)}; say it"
                " otherwise"
            )
        found: Array = np.asarray(vector, np.float32)
        with self._lock:
            self._sentences[producer, sentence] = found
            while len(self._sentences) > KEPT_SENTENCES:
                self._sentences.popitem(last=False)
        return found
