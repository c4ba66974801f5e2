"""What a user can do wrong, and what the loop refuses.

LoopError
├── ConfigError      a key or a value of the configuration
├── ProjectError     no project here, or one that does not fit
├── DatasetError     a dataset that cannot be imported, frozen or trained on (loop.datasets)
├── PurposeError     a frame asked for with a purpose that a step cannot serve
├── RoundError       a round that cannot be started or moved
│   └── RoundHeld        it cannot go on now, and stays open: it is taken up again
└── Waiting          nothing is wrong: other work has to be done first
"""


class LoopError(Exception):
    """Base of everything that loop raises. Its text says what was expected, what was found and what
    to do.
    """


class ConfigError(LoopError):
    """A wrong key or value in the configuration."""


class ProjectError(LoopError):
    """There is no project here, or it does not fit what is asked."""


class PurposeError(LoopError):
    """A frame was asked for with a purpose that a step cannot serve; it is never taken for another."""

    def __init__(self, step: str, purpose: str) -> None:
        super().__init__(
            f"{step}: expected frames to train or to evaluate with, got one for {purpose}, "
            "which this version cannot serve; upgrade fieldloop"
        )


class RoundError(LoopError):
    """A round cannot be started or moved."""


class RoundHeld(RoundError):
    """A round that cannot go on now, such as on a full disk; it stays open and is taken up again."""


class Waiting(LoopError):
    """Nothing is wrong: what is asked has to wait for other work, and goes on by itself under
    `fieldloop serve`.
    """
