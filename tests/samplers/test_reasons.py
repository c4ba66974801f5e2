"""Every component that any strategy makes has a sentence that a stranger understands."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import numpy as np
import pytest

from samplers import STRATEGIES, Pool, Selection, strategies
from samplers.engine import covering
from samplers.engine.covering import Cells
from samplers.reason import LONGEST, ChosenFrame, Reason
from samplers.strategies.class_balanced import CLASS_BALANCED
from samplers.strategies.coverage_deficit import COVERAGE
from samplers.strategies.herding import HERDING, HerdingSettings, herding
from samplers.strategies.ppal import PPAL
from samplers.strategies.targeted import TARGETED
from samplers.strategies.uncertainty import UNCERTAIN

OUR_OWN = re.compile(
    r"\b(arm|pool|frames?|strat\w+|quotas?|floors?|deficit|doubt\w*|novelty|herd\w*|k.center|medoids?|covers?|coverage"
    r"|clusters?|embedd\w+|vectors?|gains?|entropy|admissi\w+|sampl\w+|greedy|production|gaps?|priors?|box(es)?)\b",
    re.IGNORECASE,
)
"""Words that whoever labels need not know."""
FAR_FRAME = ChosenFrame(
    gap="time of day: night (3.0% of new images, 0.0% of training images)",
    novelty=123.45,
    surer=0.995,
    values={"similarity": 0.25, "uncertainty": 0.5, "classes": 1.5},
)


def unit(rng: np.random.Generator, size: int, width: int = 8) -> np.ndarray:
    rows = rng.normal(size=(size, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def everything(seed: int) -> Pool:
    """A pool that has all that a pool can have."""
    rng, size = np.random.default_rng(seed), 120
    return Pool.of(
        unit(rng, size),
        labeled=unit(rng, 10),
        scores=[rng.random((count, 3)) for count in rng.integers(0, 4, size)],
        cluster=np.where(rng.random(size) < 0.3, rng.integers(0, 12, size), -1),
        sequence=np.arange(size) // 5,
        slices=np.where(rng.random(size) < 0.4, rng.integers(0, 2, size), -1),
        names=("night", "fog"),
        deficit=(0.02, 0.01),
        novelty=rng.random(size) * 3,
        novel_above=1.5,
        excluded=rng.random(size) < 0.1,
        seconds=1 + rng.random(size),
        max_per_sequence=3,
        wanted=(6, -1),
        quotas=(-1, 9),
        queries=unit(rng, 2),
        class_counts=(5, 50, 2),
        trust=0.5,
    )


def selections() -> Iterator[Selection]:
    for strategy in STRATEGIES.values():
        for budget in (20, 120):
            yield strategy(everything(0), budget, np.random.default_rng(0))
    one_of_each = Pool.of(
        unit(np.random.default_rng(1), 200), sequence=np.arange(200) // 20, max_per_sequence=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(covering, "ROWS_PER_PICK", 1)
        few = HerdingSettings(cells=Cells(most_rows=1, neighbors=1))
        yield herding(one_of_each, 10, np.random.default_rng(0), few)


@pytest.fixture(scope="module")
def emitted() -> set[Reason]:
    return {reason for selection in selections() for reason in selection.reasons}


def stated() -> set[Reason]:
    """The reasons that stand in the modules of the strategies."""
    names = [found.name for found in pkgutil.iter_modules(strategies.__path__, "samplers.strategies.")]
    held = [value for name in names for value in vars(importlib.import_module(name)).values()]
    return {value for value in held if isinstance(value, Reason)}


def test_every_component_that_a_strategy_makes_is_met_here_once(emitted: set[Reason]) -> None:
    """So that the tests below look at every sentence there is."""
    assert emitted == stated()
    assert len({reason.component for reason in emitted}) == len(emitted) == 15


def test_sentences_are_short_plain_and_different(emitted: set[Reason]) -> None:
    said = {reason.component: reason.of(FAR_FRAME) for reason in emitted}
    assert len(set(said.values())) == len(said)
    for component, sentence in said.items():
        assert_plain(component, sentence)


@pytest.mark.parametrize(
    ("reason", "values", "sentence"),
    [
        (
            UNCERTAIN,
            "uncertainty",
            "The model found nothing here, and no image is left in which it is unsure",
        ),
        (
            PPAL,
            "uncertainty",
            "The model found nothing here, and too few images are left in which it is unsure",
        ),
        (
            CLASS_BALANCED,
            "classes",
            "The model found no object here, and no image with rarer objects is left",
        ),
        (TARGETED, "similarity", "No image is left that resembles what was searched for"),
    ],
)
def test_a_sentence_says_no_more_than_the_strategy_found(reason: Reason, values: str, sentence: str) -> None:
    assert reason.of(ChosenFrame(values={values: 0.0})) == sentence
    assert reason.of(ChosenFrame(values={values: 0.1})) != sentence
    assert_plain(reason.component, sentence)


def test_what_is_chosen_last_finds_nothing_any_more() -> None:
    """The strategies tell their component's sentence by these names: nothing found is a value of 0."""
    scores = [np.array([0.5]), np.zeros(0)]
    pool = Pool.of(np.eye(2, 3), scores=scores, queries=[[1.0, 0.0, 0.0]])
    for name in ("entropy", "ppal", "class_balanced", "targeted"):
        chosen = STRATEGIES[name](pool, 2, np.random.default_rng(0))
        assert chosen.indices.tolist() == [0, 1]
        told = [{name: float(value[at]) for name, value in chosen.contributions.items()} for at in (0, 1)]
        lines = [
            reason.of(ChosenFrame(values=each)) for reason, each in zip(chosen.reasons, told, strict=True)
        ]
        assert re.search(r"\b(nothing|no object|No image)\b", lines[1])
        assert not re.search(r"\b(nothing|no object|No image)\b", lines[0])


def test_that_the_model_is_surer_elsewhere_is_said_where_it_is() -> None:
    alone = "Stands for the most images that look like nothing labeled yet"
    assert HERDING.of(ChosenFrame(surer=0.4)) == alone
    assert HERDING.of(ChosenFrame(surer=0.758)) == f"{alone}; the model likely does better on 75% of images"


def test_a_component_without_a_sentence_is_refused_by_name() -> None:
    for reason in (Reason("mine", ""), Reason("mine", lambda frame: frame.gap)):
        with pytest.raises(ValueError, match="component mine: expected a sentence that says why"):
            reason.of(ChosenFrame())
    with pytest.raises(ValueError, match="component coverage: expected a sentence"):
        COVERAGE.of(ChosenFrame(gap=""))


def assert_plain(component: str, sentence: str) -> None:
    assert 30 < len(sentence) <= LONGEST, component
    assert sentence[0].isupper(), component
    assert not sentence.endswith("."), component
    assert "\n" not in sentence, component
    assert not OUR_OWN.search(sentence), component
