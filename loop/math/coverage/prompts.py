"""Which option of a prompt group a frame shows, by CLIP; or none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from connectors.ports import Array
from loop.base.arrays import Bools, Ints, Reals
from loop.settings.conditions import PromptGroup

NONE = -1


@dataclass(frozen=True, eq=False)
class Assignment:
    """option: (N,) int64 index of the group's options, -1 for none of these.

    probability: (N, O) float64, of the options.
    """

    option: Ints
    probability: Reals


def assign(
    images: Array,
    group: PromptGroup,
    texts: Mapping[str, Array],
    logit_scale: float,
    unlike: Bools | None = None,
) -> Assignment:
    """Zero-shot classification with prompt ensembles (Radford et al. 2021) among the options and
    the background, if any.

    images: (N, D) unit norm. texts: (D,) unit norm by sentence. logit_scale: the model's own; a
    larger one would make every frame sure of something. unlike: (N,) frames that texts say nothing
    of: none of these, whatever text is nearest. Raises KeyError for a sentence without a vector.
    """
    rivals = option_vectors(group, texts)
    logits = logit_scale * (np.asarray(images, dtype=np.float64) @ rivals.T)
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    if unlike is not None:
        probability[unlike] = 0
    return decide(probability[:, : len(group.options)], group)


def option_vectors(group: PromptGroup, texts: Mapping[str, Array]) -> Reals:
    """(O, D), or (O + 1, D) with a background: the normalized mean of each option's sentences."""
    sets = [*group.prompts, group.background] if group.background else list(group.prompts)
    means = np.stack([np.mean([texts[sentence] for sentence in sentences], axis=0) for sentences in sets])
    vectors: Reals = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return vectors


def decide(probability: Reals, group: PromptGroup) -> Assignment:
    """The most probable option; none where it is below `none_below`, or the background is more
    probable.
    """
    best = probability.argmax(axis=1)
    top = probability[np.arange(len(probability)), best]
    background = 1 - probability.sum(axis=1)
    sure = (top >= group.none_below) & (top >= background)
    return Assignment(np.where(sure, best, NONE).astype(np.int64), probability)


def smooth_by_sequence(assignment: Assignment, group: PromptGroup, sequence: Ints) -> Assignment:
    """Frames of one sequence decide together, by their mean probabilities; a sequence of -1 is a
    frame on its own.

    Errors on a large share of ordinary frames would otherwise swamp a condition of 3 %.
    """
    probability = assignment.probability.copy()
    shared = sequence >= 0
    if shared.any():
        _, code, sizes = np.unique(sequence[shared], return_inverse=True, return_counts=True)
        total = np.zeros((len(sizes), probability.shape[1]))
        np.add.at(total, code, probability[shared])
        probability[shared] = (total / sizes[:, None])[code]
    return decide(probability, group)
