"""Frames that come in: analyzed, and counted with the slices that they show."""

from __future__ import annotations

import numpy as np

from connectors.ports import Progress, Purpose
from db.engine import read
from db.labels import labeled_ids
from loop.analysis import analyze as analysis
from loop.analysis import producers
from loop.analysis.analyze import AnalyzeReport
from loop.analysis.load import load_side, nearest, open_facts
from loop.base.arrays import Ints
from loop.gaps import slices
from loop.gaps.collections import read_new_sentences
from loop.gaps.imported import described
from loop.gaps.words import stored_words
from loop.project.wiring import Parts


def analyze(parts: Parts, progress: Progress) -> AnalyzeReport:
    """Computes what the current models have not computed yet. What came in since a comparison is
    told how novel it is, and counted with the slices that it shows.
    """
    report = analysis.analyze(parts, progress)
    if report.frames and not report.failures:
        _count(parts, np.array(sorted(report.frames), dtype=np.int64), progress)
    return report


def _count(parts: Parts, seqs: Ints, progress: Progress) -> None:
    project, made = parts.project, producers.producers(parts)
    if not slices.are_recorded(project, made):
        return
    facts = open_facts(project, made)
    with read(project.engine) as session:
        training = facts.embedded(np.array(labeled_ids(session, Purpose.TRAIN), dtype=np.int64))
    production, _ = facts.production()
    new = np.intersect1d(production, seqs)
    if not len(training) or not len(new):
        return
    nearest(facts, new, training, project.settings.gaps.neighbors, progress)
    words, around = stored_words(parts, facts), facts.beside(production, new)
    here, there = (load_side(facts, frames, lambda: parts.embedder().unlike) for frames in (around, training))
    # frames of a sequence decide together, so that all of their camera-days are described
    day = described(parts, facts, here, there, words)
    read_new_sentences(project, made, parts.embedder)
    slices.add(project, day.take(np.searchsorted(around, new)), words.conditions, made, here)
