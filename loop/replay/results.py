"""Results as files, one per (data, sampler, seed, round): written whole or not at all, and all that
a run is continued from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from connectors.files import write_atomically
from loop.base.errors import ConfigError

ABOUT = "replay.json"
START = "start"
"""Round 0 of every sampler: what is labeled before anything is chosen."""
Key = tuple[str, int, int]
"""Sampler, seed, round."""
CODE = ("connectors", "loop", "samplers")
"""Packages whose source may change what a replay finds."""


@dataclass(frozen=True, slots=True)
class Score:
    """Average precision, 0..1; None where no such object is shown."""

    ap: float | None
    ap50: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """One training.

    chosen: names of the frames labeled for this round, best first.
    frames, boxes, seconds: labeled in the replay so far.
    before: `labeled_digest` of what was labeled before it.
    code: `code_digest` of what chose and trained. Both are "" in files of earlier versions.
    shown: how many of the chosen frames lie in each slice.
    arms: how many each component of the strategy chose.
    trust: in expected loss, as it chose.
    rare: mean over the rare slices.
    spent: seconds of computing by step.
    """

    data: str
    digest: str
    settings: str
    sampler: str
    seed: int
    round: int
    chosen: tuple[str, ...]
    frames: int
    boxes: int
    seconds: float
    overall: Score
    rare: Score
    slices: Mapping[str, Score]
    classes: Mapping[str, Score]
    shown: Mapping[str, int] = field(default_factory=dict)
    arms: Mapping[str, int] = field(default_factory=dict)
    trust: float = 0.0
    spent: Mapping[str, float] = field(default_factory=dict)
    before: str = ""
    code: str = ""

    @property
    def key(self) -> Key:
        return self.sampler, self.seed, self.round


@dataclass(frozen=True, slots=True)
class About:
    """What a folder of results is about.

    parts: frames by part.
    shares: of the pool by slice.
    groups: by part.
    """

    data: str
    digest: str
    settings: str
    told: Mapping[str, Any]
    base: str
    embedder: str
    classes: tuple[str, ...]
    parts: Mapping[str, int]
    groups: Mapping[str, int]
    shares: Mapping[str, float]
    rare: tuple[str, ...]
    labeled_boxes: Mapping[str, int] = field(default_factory=dict)

    def covers(self, result: Result) -> bool:
        """Whether it is of this data and form."""
        return (result.digest, result.settings) == (self.digest, self.settings)


class Results:
    """The files of one data set in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._about: About | None = None

    def claim(self, about: About) -> None:
        """Says what the folder is about. Raises ConfigError where it is about other data or
        settings already.
        """
        file = self.folder / ABOUT
        if file.is_file():
            held = read_about(self.folder)
            for what, ours, theirs in (
                ("data", about.digest, held.digest),
                ("settings, weights and embedder", about.settings, held.settings),
            ):
                if ours != theirs:
                    raise ConfigError(
                        f"{self.folder}: expected results of the same {what} ({ours}), got those of others"
                        f" ({theirs}); give another folder with --out, or take the settings back that these"
                        " were made with (see replay.json there)"
                    )
        else:
            _write(file, asdict(about))
        self._about = about

    def path(self, key: Key) -> Path:
        sampler, seed, number = key
        return self.folder / f"{sampler}-seed{seed}-round{number}.json"

    def get(self, key: Key) -> Result | None:
        """None when there is no whole file. Raises ConfigError when there is one of something else."""
        file = self.path(key)
        if not file.is_file():
            return None
        found, about = read_result(file), self._about
        if about and not about.covers(found):
            raise ConfigError(
                f"{file}: expected a result of data {about.digest} and settings {about.settings}, got one of"
                f" {found.digest} and {found.settings}; take it out of the folder"
            )
        return found

    def put(self, result: Result) -> None:
        _write(self.path(result.key), asdict(result))


def read_about(folder: Path) -> About:
    """Raises ConfigError when the folder holds no results."""
    tree = _read(folder / ABOUT)
    try:
        return About(**tree | {"classes": tuple(tree["classes"]), "rare": tuple(tree["rare"])})
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder / ABOUT}: expected what a replay wrote, got {error!r}; run it again"
        ) from None


def read_result(file: Path) -> Result:
    """Raises ConfigError for a file that no replay wrote."""
    tree = _read(file)
    try:
        scores = {name: Score(**tree[name]) for name in ("overall", "rare")}
        tables = {
            name: {key: Score(**each) for key, each in tree[name].items()} for name in ("slices", "classes")
        }
        return Result(**tree | scores | tables | {"chosen": tuple(tree["chosen"])})
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file}: expected a result of a replay, got {error!r}; remove it and run again"
        ) from None


def read_results(folder: Path) -> list[Result]:
    """All of a folder, of the data and settings it is about. Raises ConfigError."""
    about = read_about(folder)
    found = [read_result(file) for file in sorted(folder.glob("*-seed*-round*.json"))]
    for each in found:
        if not about.covers(each):
            raise ConfigError(
                f"{folder}: expected results of one data set and one form, got {each.sampler} seed"
                f" {each.seed} round {each.round} of another; take it out"
            )
    return found


def result_folders(folder: Path) -> list[Path]:
    """The folder itself where it holds results, or those in it that do. Raises ConfigError when
    there are none.
    """
    found = (
        [folder] if (folder / ABOUT).is_file() else sorted(each.parent for each in folder.glob(f"*/{ABOUT}"))
    )
    if not found:
        raise ConfigError(
            f"expected results of a replay in {folder}, got none; run `fieldloop bench replay` first, or name"
            " its --out"
        )
    return found


def curve(results: Sequence[Result], sampler: str, seed: int) -> list[Result]:
    """The start and all rounds of a sampler that follow one another from it. Raises ConfigError
    where one does not follow.
    """
    by_key = {each.key: each for each in results}
    found = [by_key[START, seed, 0]] if (START, seed, 0) in by_key else []
    labeled = list(found[0].chosen) if found else []
    while found and (following := by_key.get((sampler, seed, len(found)))):
        check_follows(following, labeled)
        labeled += following.chosen
        found.append(following)
    return found


def check_follows(result: Result, labeled: Sequence[str]) -> None:
    """Raises ConfigError where a result was not made after these frames, by name in order, had been
    labeled.
    """
    again = sorted(set(result.chosen) & set(labeled))
    if again or result.before not in ("", labeled_digest(labeled)):
        why = f"it labels {again[0]} again" if again else "others had been labeled before it"
        raise ConfigError(
            f"{result.sampler} seed {result.seed} round {result.round}: expected a result that follows the"
            f" rounds before it, got one that does not ({why}); remove it and the later rounds of this"
            " sampler and seed, and run again"
        )


def labeled_digest(names: Sequence[str]) -> str:
    """Of frames by name, in the order in which they were labeled."""
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]


@cache
def code_digest() -> str:
    """Of the program's own source, as installed."""
    digest = hashlib.sha256()
    for package in CODE:
        root = Path(find_spec(package).submodule_search_locations[0])  # type: ignore[union-attr,index]
        for file in sorted(root.rglob("*.py")):
            digest.update(f"{package}/{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _read(file: Path) -> dict[str, Any]:
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"expected results of a replay, got no {file.name} in {file.parent}; run `fieldloop bench replay`"
            " first"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: expected JSON, got {error}; remove it and run again") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{file}: expected a JSON object, got a {type(tree).__name__}; remove it and run again"
        )
    return tree


def _write(file: Path, tree: Mapping[str, Any]) -> None:
    write_atomically(file, json.dumps(tree, indent=1, sort_keys=True) + "\n")
