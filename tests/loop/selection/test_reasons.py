"""The line that a labeler reads, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loop.math.coverage.gaps import Candidate, Gap, Kind, rank_gaps
from loop.selection.reasons import LONGEST_NAME, evaluation_line, gap_in_words, reason_lines
from samplers import Pool, Selection
from samplers.reason import LONGEST, Reason
from samplers.strategies.coverage_deficit import COVERAGE
from samplers.strategies.discovery import DISCOVERY
from samplers.strategies.diversity import RANDOM
from samplers.strategies.herding import HERDING
from samplers.strategies.targeted import TARGETED


def gap(name: str = "time of day: night", kind: Kind = "prompt") -> Gap:
    """Shown by one frame of four, by no training frame."""
    inside, ones = np.arange(4) == 0, np.ones(4)
    found = Candidate(name, "prompt", inside, ones.astype(bool), ones, training_share=0.0)
    (ranked,) = rank_gaps([found], np.arange(4), ones, min_share=0.005, max_share=0.25)
    return replace(ranked, kind=kind)


def pool(trust: float = 0.4) -> Pool:
    return Pool.of(
        np.eye(4),
        slices=[0, -1, -1, -1],
        names=("time of day: night",),
        deficit=[0.2],
        novelty=[0.5, 2.345, 1, 0.8],
        expected_loss=[0, 0.1, 0.9, 0.1],
        trust=trust,
    )


def picked(reasons: tuple[Reason, ...], **told: list[float]) -> Selection:
    values = {name: np.array(value) for name, value in told.items()}
    return Selection(np.arange(len(reasons)), np.zeros(len(reasons)), values, reasons)


def test_every_frame_is_told_by_the_component_that_chose_it() -> None:
    chosen = picked((COVERAGE, DISCOVERY, HERDING, RANDOM))
    assert reason_lines(chosen, pool(), [gap()]) == [
        "Too rare in training: time of day: night (25.0% of new images, 0.0% of training images)",
        "Looks new, and no known condition explains it: 2.3 times as far from the training images as usual",
        (
            "Stands for the most images that look like nothing labeled yet; the model likely does better on"
            " 75% of images"
        ),
        "Chosen at random, to find what nobody expects",
    ]


def test_a_doubt_that_means_nothing_is_not_told() -> None:
    (line,) = reason_lines(picked((HERDING,)), pool(trust=0.0), [gap()])
    assert line == "Stands for the most images that look like nothing labeled yet"


def test_what_the_strategy_told_of_a_frame_is_told_of_that_frame() -> None:
    lines = reason_lines(picked((TARGETED, TARGETED), similarity=[0.25, 0.0]), pool(), [gap()])
    assert lines == [
        "Resembles what was searched for (similarity 0.25; 1 is the same)",
        "No image is left that resembles what was searched for",
    ]


def test_a_component_without_a_sentence_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="component of_tomorrow: expected a sentence"):
        reason_lines(picked((RANDOM, Reason("of_tomorrow", ""))), pool(), [gap()])
    with pytest.raises(ValueError, match="component coverage: expected a sentence"):
        reason_lines(picked((RANDOM, COVERAGE)), pool(), [gap()])


def test_a_class_is_only_suspected_and_shares_are_of_what_is_known() -> None:
    suspected = replace(gap("class: forklift", "class"), production_share=0.005, training_share=0.007)
    assert gap_in_words(suspected) == "forklift (perhaps in 0.5% of new images, in 0.7% of training images)"
    untold = replace(gap("camera: d", "metadata"), training_share=0.133, training_known=0.05)
    assert gap_in_words(untold) == "camera: d (25.0% of new images, 13.3% of known training images)"


@pytest.mark.parametrize("kind", ["prompt", "class", "region"])
def test_a_name_of_any_length_fits_on_one_line(kind: Kind) -> None:
    long = replace(gap("seen " * 60 + "\nby nobody", kind), production_share=1.0, training_known=0.5)
    (line,) = reason_lines(picked((COVERAGE,)), pool(), [long])
    assert len(line) <= LONGEST
    assert "\n" not in line
    assert "…" in line
    exact = gap("n" * LONGEST_NAME, kind)
    assert gap_in_words(exact).startswith("n" * LONGEST_NAME + " (")


def test_what_tests_models_is_said_to_test_models() -> None:
    said = "To test the model, not to train it: chosen at random from"
    assert evaluation_line("") == f"{said} ordinary images"
    assert evaluation_line("time of day: night") == f"{said} images with time of day: night"
    assert len(evaluation_line("long " * 60)) <= LONGEST
