"""Which option of a prompt group a frame shows, by CLIP; or none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from connectors.ports import Array
from loop.base.arrays import Bools, Ints, Reals
from loop.math.coverage.frame_arrays import BLOCK, Vectors, blocks
from loop.settings.conditions import PromptGroup

NONE = -1


@dataclass(frozen=True, eq=False)
class Assignment:
    """option: (N,) int64 index of the group's options, -1 for none of these, -2 where it is unknown.

    probability: (N, O) float64, of the options.
    """

    option: Ints
    probability: Reals


def similarities(images: Vectors, texts: Reals) -> Array:
    """(N, T) float32 cosine of images (N, D) and texts (T, D), both of unit norm."""
    found = np.empty((len(images), len(texts)), dtype=np.float32)
    for rows, part in blocks(images):
        found[rows] = part @ texts.T.astype(np.float32)
    return found


def assign(
    similarity: Array, group: PromptGroup, logit_scale: float, unlike: Bools | None = None
) -> Assignment:
    """Zero-shot classification with prompt ensembles (Radford et al. 2021) among the options and
    the background, if any.

    similarity: (N, R) cosine to what `option_vectors` gives.
    logit_scale: the model's own; a larger one would make every frame sure of something.
    unlike: (N,) frames that texts say nothing of: none of these, whatever text is nearest.
    """
    probability = np.empty((len(group.options), len(similarity)))
    for start in range(0, len(similarity), BLOCK):
        rows = slice(start, start + BLOCK)
        by_rival = np.ascontiguousarray(similarity[rows].T, dtype=np.float64)  # so that sums are quick
        by_rival *= logit_scale
        by_rival -= by_rival.max(axis=0)
        np.exp(by_rival, out=by_rival)
        by_rival /= by_rival.sum(axis=0)
        probability[:, rows] = by_rival[: len(group.options)]
    if unlike is not None:
        probability[:, unlike] = 0
    return decide(probability.T, group)


def option_vectors(group: PromptGroup, texts: Mapping[str, Array]) -> Reals:
    """(O, D), or (O + 1, D) with a background: the normalized mean of each option's sentences.

    texts: (D,) unit norm by sentence.
    Raises KeyError for a sentence without a vector.
    """
    sets = [*group.prompts, group.background] if group.background else list(group.prompts)
    means = np.stack([np.mean([texts[sentence] for sentence in sentences], axis=0) for sentences in sets])
    vectors: Reals = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return vectors


def decide(probability: Reals, group: PromptGroup) -> Assignment:
    """The most probable option; none where it is below `none_below`, or the background is more
    probable.
    """
    best, top = np.zeros(len(probability), dtype=np.int64), probability[:, 0].copy()
    for option, column in enumerate(probability.T):
        best[column > top] = option
        np.maximum(top, column, out=top)
    background = 1 - probability.T.sum(axis=0)
    sure = (top >= group.none_below) & (top >= background)
    return Assignment(np.where(sure, best, NONE).astype(np.int64), probability)


def smooth_by_sequence(assignment: Assignment, group: PromptGroup, sequence: Ints) -> Assignment:
    """Frames of one sequence decide together, by their mean probabilities; a sequence of -1 is a
    frame on its own.

    Errors on a large share of ordinary frames would otherwise swamp a condition of 3 %.
    """
    probability = assignment.probability.copy(order="F")
    shared = sequence >= 0
    if shared.any():
        code = sequence[shared]
        sizes = np.maximum(np.bincount(code), 1)
        for column in probability.T:
            column[shared] = (np.bincount(code, weights=column[shared]) / sizes)[code]
    return decide(probability, group)
