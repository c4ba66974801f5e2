"""Why a frame was chosen, said so that whoever labels it understands it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LONGEST = 120
"""Characters that a sentence may have: one line above the image."""


@dataclass(frozen=True)
class ChosenFrame:
    """What a sentence may say of a chosen frame.

    gap: the gap it is in, in words, with what tells that training lacks it; "" for a frame of none.
    novelty: its distance to the training set, in times of what is usual there.
    surer: 0..1, the part of the pool in which the detector is expected to get less wrong; 0 where
    what is expected has not shown to be so.
    values: what the strategy told of it, by name, such as `similarity`.
    """

    gap: str = ""
    novelty: float = 0.0
    surer: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def how_far(self) -> str:
        """Its novelty in words."""
        return f"{self.novelty:.1f} times as far from the training images as usual"


@dataclass(frozen=True)
class Reason:
    """Why a component of a strategy chooses a frame.

    component: the component's name, by which its frames are counted.
    sentence: what a labeler reads, or how it is made from what is known of the frame.
    One line of plain words, at most LONGEST characters: a labeler knows images and the model, no
    sampler.
    """

    component: str
    sentence: str | Callable[[ChosenFrame], str]

    def of(self, frame: ChosenFrame) -> str:
        """The sentence for this frame. Raises ValueError naming the component that has none."""
        said = self.sentence if isinstance(self.sentence, str) else self.sentence(frame)
        if not said:
            raise ValueError(
                f"component {self.component}: expected a sentence that says why a frame was chosen, got none;"
                " give its Reason one"
            )
        return said
