"""Why a batch is not full: every frame that was left out is counted once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from connectors.ports import Purpose
from loop.base.errors import PurposeError
from loop.selection.exclusions import Asked, Rules, why_fewer


def rules(strategy: str = "random", engaged: int = 0) -> Rules:
    """Ten frames, two a near-duplicate cluster, five a sequence; the first `engaged` are labeled or
    queued.
    """
    numbers = np.arange(10)
    return Rules(strategy, numbers >= 0, numbers < engaged, numbers // 2, numbers // 5, per_sequence=2)


def asked(wanted: int, *chosen: int) -> Asked:
    return Asked(Purpose.TRAIN, wanted, np.ones(10, dtype=bool), np.array(chosen, dtype=np.int64))


def test_a_full_part_explains_nothing() -> None:
    assert why_fewer(asked(2, 0, 2), rules(), 1) == []


def test_every_frame_is_counted_by_its_first_reason() -> None:
    assert why_fewer(asked(8, 2, 5), rules("streaming", engaged=2), 3) == [
        "2 of 8 training frames: of 10 in the pool, 2 labeled or queued, 2 nearly the same as one that is"
        " labeled, queued or in this batch, 4 passed over by streaming"
    ]
    assert why_fewer(asked(8, 0, 2), rules(), 3) == [
        "2 of 8 training frames: of 10 in the pool, 2 nearly the same as one that is labeled, queued or in"
        " this batch, 1 beyond 2 of one sequence (select.max_per_sequence), 5 passed over by random"
    ]


def test_where_all_there_are_were_chosen_the_sentence_ends_there() -> None:
    few = Asked(Purpose.TRAIN, 8, np.arange(10) < 2, np.array([0, 1]))
    assert why_fewer(few, rules(), 3) == ["2 of 8 training frames: no more are in the pool"]
    judging = replace(few, purpose=Purpose.EVALUATION)
    assert why_fewer(judging, rules(), 3) == ["2 of 8 evaluation frames: no more are kept for evaluation"]


def test_what_resembles_a_frame_that_judges_is_counted() -> None:
    judged = replace(rules(), judging=np.array([3, 4]))
    assert why_fewer(asked(8, 0, 2), judged, 3) == [
        "2 of 8 training frames: of 10 in the pool, 2 nearly the same as one that is labeled, queued or in"
        " this batch, 4 nearly the same as one that judges models, 1 beyond 2 of one sequence"
        " (select.max_per_sequence), 1 passed over by random"
    ]


def test_frames_without_a_sequence_are_never_beyond_it() -> None:
    alone = Rules(
        "random",
        np.ones(10, dtype=bool),
        np.zeros(10, dtype=bool),
        np.arange(10),
        np.full(10, -1),
        per_sequence=1,
    )
    assert why_fewer(asked(8, 0), alone, 3) == [
        "1 of 8 training frames: of 10 in the pool, 9 passed over by random"
    ]


def test_evaluation_frames_may_be_near_duplicates() -> None:
    judged = Asked(Purpose.EVALUATION, 4, np.arange(10) < 3, np.array([1, 2]))
    assert why_fewer(judged, rules(engaged=1), 3) == [
        "2 of 4 evaluation frames: of 3 kept for evaluation, 1 labeled or queued"
    ]


@pytest.mark.parametrize("purpose", [Purpose.CONSENSUS, Purpose.SUSPECT, Purpose.INSPECTION, Purpose.REPORT])
def test_no_other_purpose_is_taken_for_training(purpose: Purpose) -> None:
    with pytest.raises(PurposeError, match=f"select: expected frames to train .*, got one for {purpose}"):
        why_fewer(replace(asked(8, 0), purpose=purpose), rules(), 3)
